#pragma once

#include <pepper/detail/capture.hpp>
#include <pepper/detail/clock.hpp>
#include <pepper/detail/deferred.hpp>
#if defined(PEPPER_DISABLED)
#include <pepper/detail/disabled.hpp>
#else

#include <atomic>
#include <chrono>
#include <cstdint>
#include <initializer_list>
#include <span>

#pragma GCC visibility push(default)
namespace pepper {

class MetricsCollector;
class ScopedTimer;
namespace detail {
class Layers;
}

// A handle is a bound series: trivially copyable, made once by MetricsCollector, kept wherever the hot path finds it cheaply. Every member
// is const, noexcept, thread-safe and wait-free (under OverflowPolicy::block a full pool waits). A default-constructed handle is unbound
// and records nothing; one that outlives its collector records nothing either. NaN is refused when it is folded, and counted
// (CollectorStats::rejected). Not for signal handlers: see SignalCounter.
//
// What is costly to find out, a function may find out: summary.record([&] { return queue.size_slow(); }). It is asked only where the record
// would be somebody's, so not by a handle that is unbound, or whose collector is disabled or gone. What it throws passes through, and
// nothing is recorded. A nanosecond or two more than the value itself.
//
// A file that defines PEPPER_DISABLED before it includes pepper, or is compiled with -DPEPPER_DISABLED, gets handles that are empty and
// leave no instruction behind, and a MetricsCollector that binds, records and observes nothing; all else is as ever. Files with and without
// it may be in one program: but an inline function or template that records must see the same in all of them.

/// Counts events or amounts: only goes up.
class Counter {
 public:
  constexpr Counter() noexcept = default;
  /// Adds `amount`, 0 or more. A negative one is dropped, Cause::negative.
  void add(double amount = 1) const noexcept { detail::capture(target_.place, target_.head, amount); }
  template <detail::Gives<double> F>
  void add(F&& amount) const noexcept(noexcept(double(amount()))) {
    if (detail::is_wanted(target_.place, target_.head)) add(double(amount()));
  }
  void record(std::span<const double> amounts) const noexcept {
    detail::capture_span(target_.place, target_.head, amounts.data(), amounts.size());
  }
  void record(std::initializer_list<double> amounts) const noexcept { record(std::span{amounts.begin(), amounts.size()}); }

 private:
  friend MetricsCollector;
  friend detail::Layers;
  explicit constexpr Counter(detail::Target target) noexcept : target_(target) {}
  detail::Target target_;
};

namespace detail {
/// The top bit is set, so never kExtraPlain or kExtraTicks; the order is modulo 2^31.
[[nodiscard]] inline std::uint32_t next_gauge_ticket(std::atomic<std::uint32_t>& tickets) noexcept {
  return tickets.fetch_add(1, std::memory_order_relaxed) | 0x8000'0000u;  // [relaxed: coherence of this one word is the order we want]
}
}  // namespace detail

/// The value of something now. `last` of its series is the one that was set last: a set() that happened after another wins,
/// whichever threads they were on. That order costs a fetch_add on a word of the gauge's own.
class Gauge {
 public:
  constexpr Gauge() noexcept = default;
  void set(double value) const noexcept {
    if (tickets_ == nullptr) return;
    detail::capture(target_.place, target_.head | std::uint64_t{detail::next_gauge_ticket(*tickets_)} << 32, value);
  }
  template <detail::Gives<double> F>
  void set(F&& value) const noexcept(noexcept(double(value()))) {
    if (detail::is_wanted(target_.place, target_.head)) set(double(value()));
  }
  /// Sets them one after another; the last one stays.
  void record(std::span<const double> values) const noexcept {
    for (const double value : values) set(value);
  }
  void record(std::initializer_list<double> values) const noexcept { record(std::span{values.begin(), values.size()}); }

 private:
  friend MetricsCollector;
  friend detail::Layers;
  constexpr Gauge(detail::Target target, std::atomic<std::uint32_t>* tickets) noexcept : target_(target), tickets_(tickets) {}
  detail::Target target_;
  std::atomic<std::uint32_t>* tickets_ = nullptr;  // memory that is never freed, as handles outlive collectors
};

/// Count, sum, min, max and last of any values.
class Summary {
 public:
  constexpr Summary() noexcept = default;
  void record(double value) const noexcept { detail::capture(target_.place, target_.head, value); }
  template <detail::Gives<double> F>
  void record(F&& value) const noexcept(noexcept(double(value()))) {
    if (detail::is_wanted(target_.place, target_.head)) record(double(value()));
  }
  void record(std::span<const double> values) const noexcept {
    detail::capture_span(target_.place, target_.head, values.data(), values.size());
  }
  void record(std::initializer_list<double> values) const noexcept { record(std::span{values.begin(), values.size()}); }

 private:
  friend MetricsCollector;
  friend detail::Layers;
  explicit constexpr Summary(detail::Target target) noexcept : target_(target) {}
  detail::Target target_;
};

/// Of values whose distribution matters: what a Summary has, and quantiles with a stated error. To the caller it costs what a Summary does.
class Histogram {
 public:
  constexpr Histogram() noexcept = default;
  void record(double value) const noexcept { detail::capture(target_.place, target_.head, value); }
  template <detail::Gives<double> F>
  void record(F&& value) const noexcept(noexcept(double(value()))) {
    if (detail::is_wanted(target_.place, target_.head)) record(double(value()));
  }
  void record(std::span<const double> values) const noexcept {
    detail::capture_span(target_.place, target_.head, values.data(), values.size());
  }
  void record(std::initializer_list<double> values) const noexcept { record(std::span{values.begin(), values.size()}); }

 private:
  friend MetricsCollector;
  friend detail::Layers;
  explicit constexpr Histogram(detail::Target target) noexcept : target_(target) {}
  detail::Target target_;
};

/// Durations, in seconds, with a distribution as a Histogram has. To time a scope, see ScopedTimer.
class Timer {
 public:
  constexpr Timer() noexcept = default;
  template <class R, class P>
  void record(std::chrono::duration<R, P> duration) const noexcept {
    detail::capture(target_.place, target_.head, std::chrono::duration<double>(duration).count());
  }
  template <detail::Gives<std::chrono::duration<double>> F>
  void record(F&& duration) const noexcept(noexcept(std::chrono::duration<double>(duration()))) {
    if (detail::is_wanted(target_.place, target_.head)) record(std::chrono::duration<double>(duration()));
  }
  /// From when it was meant to start until now, waiting included: see ScopedTimer. A start in the future is 0.
  void record(std::chrono::steady_clock::time_point intended_start) const noexcept { record(detail::since(intended_start)); }
  /// Times the scope that it is kept in.
  [[nodiscard]] ScopedTimer scope() const noexcept;
  /// In seconds.
  void record(std::span<const double> seconds) const noexcept {
    detail::capture_span(target_.place, target_.head, seconds.data(), seconds.size());
  }
  void record(std::initializer_list<double> seconds) const noexcept { record(std::span{seconds.begin(), seconds.size()}); }

 private:
  friend MetricsCollector;
  friend detail::Layers;
  friend ScopedTimer;
  explicit constexpr Timer(detail::Target target) noexcept : target_(target) {}
  void record_ticks(std::int64_t ticks, std::uintptr_t slots_offset) const noexcept {
    detail::capture(target_.place, target_.head | std::uint64_t{detail::kExtraTicks} << 32, static_cast<double>(ticks), slots_offset);
  }
  detail::Target target_;
};

}  // namespace pepper
#pragma GCC visibility pop
#endif
