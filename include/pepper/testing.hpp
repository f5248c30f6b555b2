#pragma once

#include <pepper/collector.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

// For the tests of programs that use pepper; works with any test framework, and with none. Not part of pepper.hpp.
//
//     #include <pepper/pepper.hpp>
//     #include <pepper/testing.hpp>
//     #include <iostream>
//
//     // What is tested: it records into the default collector, whose handles it keeps nowhere, or static.
//     void serve(pepper::testing::ManualClock& clock) {
//       const pepper::ScopedTimer timed(pepper::timer<"latency">());
//       clock.advance(std::chrono::milliseconds{10});  // instead of work that takes its time
//       pepper::counter<"requests_total", "method", "GET">().add();
//     }
//
//     int main() {
//       const pepper::testing::ScopedDefaultCollector replaced;  // no thread, and nothing that another test left behind
//       pepper::testing::ManualClock clock;
//       const pepper::testing::Delta delta;
//       for (int i = 0; i < 3; ++i) serve(clock);
//
//       const std::string difference = delta.difference({
//           {.name = "requests_total", .tags = {{"method", "GET"}}, .count = 3},
//           {.name = "latency", .count = 3, .sum = 0.03},
//       });
//       std::cout << difference;  // CHECK(difference == "") in a test
//       return difference.empty() && delta.of("latency").last == 0.01 ? 0 : 1;
//     }

#pragma GCC visibility push(default)
namespace pepper::testing {

/// Without threads, and with a small pool: a collector for a test is made and gone in some 0.1 ms.
[[nodiscard]] TelemetryConfig manual_config();

/// Time by hand. While it lives, what users see of time stands still where it was and moves by advance() alone: ScopedTimer,
/// Timer::record(intended_start), Snapshot::taken_at(), Loss::first and last, of all collectors. Durations are exact, and sums read as
/// they were advanced, if the flush comes while it lives (to the nanosecond where the processor counts fewer than two ticks in one). A
/// timer that runs as it begins or ends measures the real and the manual part one after the other. Flush intervals and time-outs stay on
/// the real clock, so that nothing hangs. One at a time; thread-safe.
class ManualClock {
 public:
  /// Throws std::logic_error if there is one already. The first of a process may take 1 ms.
  ManualClock();
  ~ManualClock();
  ManualClock(const ManualClock&) = delete;
  ManualClock& operator=(const ManualClock&) = delete;

  /// Throws std::invalid_argument if it is negative, or more than ten years in all.
  void advance(std::chrono::nanoseconds by);

  /// What it shows; for intended starts.
  [[nodiscard]] std::chrono::steady_clock::time_point now() const noexcept;
  [[nodiscard]] std::chrono::system_clock::time_point system_now() const noexcept;
};

/// While it lives default_collector() gives the collector in it, and static handles (`pepper::counter<"...">()`) bind to it at their next
/// call; afterwards what they were before. Nests. Handles and references that were taken from the default collector before stay with that
/// one; references to this one must not outlive it, handles may. No other thread may be using the default collector while this begins or
/// ends: its record could go to any series of the one that it leaves.
class ScopedDefaultCollector {
 public:
  /// Throws as the constructor of MetricsCollector does.
  explicit ScopedDefaultCollector(TelemetryConfig config = manual_config());
  ~ScopedDefaultCollector();
  ScopedDefaultCollector(const ScopedDefaultCollector&) = delete;
  ScopedDefaultCollector& operator=(const ScopedDefaultCollector&) = delete;

  [[nodiscard]] MetricsCollector& operator*() noexcept { return collector_; }
  [[nodiscard]] MetricsCollector* operator->() noexcept { return &collector_; }

 private:
  MetricsCollector collector_;
  ScopedDefaultCollector* outer_ = nullptr;
};

/// What goes wrong in a collector while it lives. Several add up. Thread-safe; may outlive the collector.
class Faults {
 public:
  struct Which {
    /// The pool is empty: a thread whose own chunk is full, at the latest at its 256th record, does what OverflowPolicy says (block: it
    /// waits until this ends, or the collector is shut down).
    bool no_free_chunk = false;
    /// As if memory_limit_bytes were used up: new series overflow, threads that need memory to record drop (Cause::threads),
    /// distributions do not grow.
    bool no_memory = false;
  };
  /// Throws std::bad_alloc.
  Faults(MetricsCollector& collector, Which which);
  ~Faults();
  Faults(const Faults&) = delete;
  Faults& operator=(const Faults&) = delete;

 private:
  const std::shared_ptr<detail::Collector> collector_;
  const Which which_;
};

/// Where a callback under test waits, or throws, for as long as the test wants: call pass() in it. For a slow callback without a sleep;
/// with FlushMode::background, as else it is flush() that would wait. Thread-safe. Its destructor opens it and waits for who is in it.
class Gate {
 public:
  enum class State : std::uint8_t { closed, open, failing };
  explicit Gate(State state = State::closed);
  ~Gate();
  Gate(const Gate&) = delete;
  Gate& operator=(const Gate&) = delete;

  /// Waits while it is closed. Throws std::runtime_error where it is failing, or has stayed closed for ten seconds, as a test that fails
  /// must not hang.
  void pass();
  /// For all who wait and who come.
  void set(State state);
  /// Waits until pass() was called so many times in all, by whomever. False: it was not for ten seconds.
  [[nodiscard]] bool wait_for_arrivals(std::uint64_t count);

 private:
  struct Inside;
  const std::unique_ptr<Inside> inside_;
};

/// What happened to one series between two snapshots. Thread-compatible.
struct Change {
  std::string name;
  Tags tags{};
  std::uint64_t count = 0;                                 ///< records
  double sum = 0;                                          ///< of their values; so what a counter went up by
  double last = std::numeric_limits<double>::quiet_NaN();  ///< at the end; NaN if nothing was recorded meanwhile
};

/// What a test wants of a series. What is not given is not compared; of one with nothing given, that it has a record.
struct Expected {
  std::string_view name;
  Tags tags{};
  std::optional<std::uint64_t> count{};
  std::optional<double> sum{};  ///< to a billionth, as sums of decimals are not exact
  std::optional<double> last{};
};

/// What becomes of series that have new records and are not expected.
enum class Others : std::uint8_t { unexpected, ignored };

/// What was recorded since it was made, by any thread, into one collector. Each look flushes. Thread-safe.
class Delta {
 public:
  explicit Delta(MetricsCollector& collector = default_collector());

  /// Of one series. One that does not exist has no records.
  [[nodiscard]] Change of(std::string_view name, TagsView tags = {}) const;
  /// Of all series with new records, in (name, tags) order.
  [[nodiscard]] std::vector<Change> all() const;

  /// Empty if all is as expected; else a table for humans of what is not, what other tags there are where a series has no record, and what
  /// the collector dropped and refused meanwhile. Throws std::invalid_argument if a series is expected twice.
  [[nodiscard]] std::string difference(std::span<const Expected> expected, Others others = Others::unexpected) const;
  [[nodiscard]] std::string difference(std::initializer_list<Expected> expected, Others others = Others::unexpected) const {
    return difference(std::span(expected.begin(), expected.size()), others);
  }
  /// Throws std::runtime_error with the difference, where there is one.
  void expect(std::initializer_list<Expected> expected, Others others = Others::unexpected) const;

 private:
  MetricsCollector& collector_;
  const std::shared_ptr<const Snapshot> before_;
};

}  // namespace pepper::testing
#pragma GCC visibility pop
