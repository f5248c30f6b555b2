#pragma once

#include "demo_counts.hpp"
#include "demo_errors.hpp"
#include "demo_walk.hpp"

#include <pepper/pepper.hpp>

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <vector>

namespace demo {

inline constexpr const char* kFiles = "demo.files";
inline constexpr const char* kBytes = "demo.bytes";
inline constexpr const char* kErrors = "demo.errors";
inline constexpr const char* kFileTime = "demo.file_time";
inline constexpr const char* kBlockTime = "demo.block_time";
inline constexpr const char* kInFlight = "demo.files_in_flight";

/// How the job is measured. Snapshots come often enough for the gauge of files in flight to see a job of a tenth of a second.
[[nodiscard]] inline pepper::TelemetryConfig telemetry_config() {
  return {.name = "pepper-demo", .flush_interval = std::chrono::milliseconds{50}};
}

/// The job's instrumentation: binds what the hot path needs before the job begins, and hands each worker a lane of its own. The job is a
/// template over this, so that --compare can run the same code with NoProbe.
class PepperProbe {
 public:
  class Lane;

  PepperProbe(pepper::MetricsCollector& collector, const Tree& tree);
  /// For the calling thread, which must be the only one with that number.
  [[nodiscard]] Lane lane(unsigned worker);

 private:
  struct PerExtension {
    pepper::Counter files, bytes;
  };
  struct alignas(64) Busy {  // keeps two workers apart
    std::atomic<unsigned> files = 0;
  };

  pepper::MetricsCollector& collector_;
  const Tree& tree_;
  std::vector<PerExtension> hashed_;  // by File::extension
  pepper::Timer block_, file_ok_, file_error_;
  std::array<Busy, kMaxThreads> busy_;
  // Asked for before each snapshot instead of pushed: Gauge::set() from all workers would drag two words from core to core twice a file,
  // only to say how many are at work. Last member: it must be gone before what it reads.
  pepper::Subscription in_flight_;
};

/// What one worker says about its files. Owner thread only.
class PepperProbe::Lane {
 public:
  void file_begins() const noexcept { busy_.store(1, std::memory_order_relaxed); }  // [relaxed: a number to show, orders nothing]
  void file_ends() const noexcept { busy_.store(0, std::memory_order_relaxed); }    // [relaxed: as above]
  [[nodiscard]] pepper::ScopedTimer time_file() const noexcept { return {file_ok_, file_error_}; }
  [[nodiscard]] pepper::ScopedTimer time_block() const noexcept { return pepper::ScopedTimer(block_); }

  void hashed(const File& file, std::uint64_t bytes) const noexcept {
    const PerExtension& counters = probe_.hashed_[file.extension];
    counters.files.add();
    counters.bytes.add(static_cast<double>(bytes));
  }
  /// Cold: an exception has been paid for already, so this may bind as well.
  void failed(const File& file, std::uint64_t bytes, int error_number) const;

 private:
  friend PepperProbe;
  Lane(const PepperProbe& probe, std::atomic<unsigned>& busy) noexcept
      : block_(probe.block_), file_ok_(probe.file_ok_), file_error_(probe.file_error_), busy_(busy), probe_(probe) {}

  // Copies: handles are small, and the worker's stack is warm when the kernel comes back from a read.
  pepper::Timer block_, file_ok_, file_error_;
  std::atomic<unsigned>& busy_;
  const PepperProbe& probe_;
};

/// Counts directories that could not be read. The walk is over by then: it is not part of what --compare compares.
void record_walk_errors(pepper::MetricsCollector& collector, const ErrorLog& errors);

/// The same job with nothing in place of pepper.
struct NoProbe {
  struct Scope {
    void cancel() const noexcept {}
  };
  struct Lane {
    void file_begins() const noexcept {}
    void file_ends() const noexcept {}
    [[nodiscard]] Scope time_file() const noexcept { return {}; }
    [[nodiscard]] Scope time_block() const noexcept { return {}; }
    void hashed(const File&, std::uint64_t) const noexcept {}
    void failed(const File&, std::uint64_t, int) const noexcept {}
  };
  [[nodiscard]] Lane lane(unsigned) const noexcept { return {}; }
};

}  // namespace demo
