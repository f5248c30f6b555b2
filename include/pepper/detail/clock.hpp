#pragma once

#include <chrono>
#include <cstdint>
#if defined(__x86_64__)
#include <x86intrin.h>
#endif

#pragma GCC visibility push(default)
namespace pepper::detail {

/// True where the TSC is fit to time with: invariant by CPUID, and the kernel's own clocksource. Decided once, before static constructors
/// run.
extern bool tsc_is_trusted;

/// A point in time in ticks of the cheapest trusted clock: the TSC, else nanoseconds of steady_clock. Monotonic per core.
[[nodiscard]] inline std::uint64_t now_ticks() noexcept {
#if defined(__x86_64__)
  if (tsc_is_trusted) [[likely]]
    return __rdtsc();
#endif
  return static_cast<std::uint64_t>(std::chrono::steady_clock::now().time_since_epoch().count());
}

/// Ticks as a duration, by the latest calibration. Negative ticks (a clock that went backwards) are 0.
[[nodiscard]] std::chrono::nanoseconds to_nanoseconds(std::int64_t ticks) noexcept;

/// A point in time of steady_clock, in the ticks of now_ticks(); as exact as the latest calibration, and no later than now.
[[nodiscard]] std::uint64_t to_ticks(std::chrono::steady_clock::time_point time) noexcept;

}  // namespace pepper::detail
#pragma GCC visibility pop
