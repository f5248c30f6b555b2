#pragma once

#include <pepper/detail/clock.hpp>
#include <pepper/handles.hpp>

#include <chrono>
#include <concepts>
#include <cstdint>
#include <exception>
#include <utility>

#if !defined(PEPPER_DISABLED)
#pragma GCC visibility push(default)
namespace pepper {

namespace detail {
template <class Timer>
concept GivesScope = requires(const Timer& timer) {
  { timer.scope() } -> std::same_as<ScopedTimer>;
};
}  // namespace detail

/// Times the scope it lives in, or until stop(), and records once. Two clock reads and a record; ticks become seconds on the flusher.
/// Owner thread only, but may be moved to another thread together with its coroutine. Not for durations across a suspend of the machine.
class [[nodiscard]] ScopedTimer {
 public:
  /// Of nothing: records nothing, and reads no clock.
  ScopedTimer() noexcept : running_(false), start_(0) {}

  explicit ScopedTimer(Timer timer) noexcept : timer_(timer), start_(detail::now_ticks()) {}

  /// As scope() of a timer that a SamplingCollector or a RateLimitedCollector has given out. One of a BatchCollector or an
  /// AggregatingCollector has a scope of its own: `const auto timed = timer.scope();`, which every timer has.
  template <detail::GivesScope Wrapped>
  explicit ScopedTimer(const Wrapped& timer) noexcept : ScopedTimer(timer.scope()) {}

  /// Begins where it was meant to: the time that the work had to wait before it could start counts as well, which is what whoever asked
  /// for it waited (coordinated omission). A start in the future is now, one that is 2^62 ticks of the clock (decades) ago counts as that.
  ScopedTimer(Timer timer, std::chrono::steady_clock::time_point intended_start) noexcept
      : timer_(timer), start_(detail::to_ticks(intended_start)) {}

  /// Records into `on_exception` if the scope ends by an exception, else into `on_success`.
  ScopedTimer(Timer on_success, Timer on_exception) noexcept
      : timer_(on_success), on_exception_(on_exception), exceptions_(std::uncaught_exceptions()), start_(detail::now_ticks()) {}

  /// The same, from when it was meant to begin.
  ScopedTimer(Timer on_success, Timer on_exception, std::chrono::steady_clock::time_point intended_start) noexcept
      : timer_(on_success),
        on_exception_(on_exception),
        exceptions_(std::uncaught_exceptions()),
        start_(detail::to_ticks(intended_start)) {}

  ScopedTimer(ScopedTimer&& other) noexcept
      : timer_(other.timer_),
        on_exception_(other.on_exception_),
        exceptions_(other.exceptions_),
        running_(std::exchange(other.running_, false)),
        slots_offset_(other.slots_offset_),
        start_(other.start_) {}
  ScopedTimer& operator=(ScopedTimer&& other) noexcept {
    if (this == &other) return *this;
    finish();
    timer_ = other.timer_;
    on_exception_ = other.on_exception_;
    exceptions_ = other.exceptions_;
    running_ = std::exchange(other.running_, false);
    start_ = other.start_;
    return *this;
  }
  ~ScopedTimer() { finish(); }

  /// Records and returns how long it ran. Again, or after cancel(): 0, and records nothing.
  std::chrono::nanoseconds stop() noexcept {
    if (!std::exchange(running_, false)) return {};
    const std::int64_t ticks = elapsed();
    timer_.record_ticks(ticks, slots_offset_);
    return detail::to_nanoseconds(ticks);
  }

  /// Records nothing, now or later.
  void cancel() noexcept { running_ = false; }

 private:
  static constexpr int kOneTimer = -1;

  [[nodiscard]] std::int64_t elapsed() const noexcept { return static_cast<std::int64_t>(detail::now_ticks() - start_); }
  void finish() noexcept {
    if (!running_) return;
    const std::int64_t ticks = elapsed();
    // Two calls and no reference to the one meant: so the whole object stays in registers.
    if (exceptions_ != kOneTimer && std::uncaught_exceptions() > exceptions_) {
      on_exception_.record_ticks(ticks, slots_offset_);
    } else {
      timer_.record_ticks(ticks, slots_offset_);
    }
  }

  Timer timer_, on_exception_;
  int exceptions_ = kOneTimer;
  mutable bool running_ = true;  // mutable, as g++ 12 keeps a const object without one in memory instead of in registers
  // Loaded before the clock: rdtsc waits for the loads before it, and after the second one this load would stand before three more.
  std::uintptr_t slots_offset_ = detail::thread_slots_offset();
  std::uint64_t start_;
};

inline ScopedTimer Timer::scope() const noexcept { return ScopedTimer(*this); }

}  // namespace pepper
#pragma GCC visibility pop
#endif
