#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#if defined(__x86_64__)
#include <x86intrin.h>
#endif

// ThreadSanitizer cannot see into assembly.
#if defined(__SANITIZE_THREAD__)
#define PEPPER_DETAIL_TSAN
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define PEPPER_DETAIL_TSAN
#endif
#endif

#pragma GCC visibility push(default)
namespace pepper::detail {

/// True where the TSC is what durations are timed with: it is fit to (invariant by CPUID, and the kernel's own clocksource; decided once,
/// before static constructors run), and no testing::ManualClock stands in for it. Read through is_tsc_trusted(), as that may change.
extern bool tsc_is_trusted;

/// A relaxed atomic load and the test of it, in one instruction: compilers take two for an atomic.
[[nodiscard, gnu::always_inline]] inline bool is_tsc_trusted() noexcept {
#if defined(__x86_64__) && !defined(PEPPER_DETAIL_TSAN)
  bool is_trusted;
  asm("cmpb $0, %1" : "=@ccne"(is_trusted) : "m"(tsc_is_trusted));  // one byte: never torn
  return is_trusted;
#else
  return std::atomic_ref(tsc_is_trusted).load(std::memory_order_relaxed);  // [relaxed: either clock was right a moment ago]
#endif
}

/// now_ticks() where the TSC is not trusted.
[[nodiscard]] std::uint64_t now_ticks_slow() noexcept;

/// A point in time in ticks of the cheapest trusted clock: the TSC, else nanoseconds of steady_clock. Monotonic per core.
[[nodiscard]] inline std::uint64_t now_ticks() noexcept {
#if defined(__x86_64__)
  if (is_tsc_trusted()) [[likely]]
    return __rdtsc();
#endif
  return now_ticks_slow();
}

/// steady_clock, or what a testing::ManualClock shows in its place.
[[nodiscard]] std::chrono::steady_clock::time_point now_steady() noexcept;

/// How long ago that was by now_steady(); 0 in the future. Of any point in time.
[[nodiscard]] std::chrono::duration<double> since(std::chrono::steady_clock::time_point time) noexcept;

/// Ticks as a duration, by the latest calibration. Negative ticks (a clock that went backwards) are 0.
[[nodiscard]] std::chrono::nanoseconds to_nanoseconds(std::int64_t ticks) noexcept;

/// A point in time of now_steady(), in the ticks of now_ticks(); as exact as the latest calibration, and no later than now; no
/// earlier than 2^62 ticks (decades) ago.
[[nodiscard]] std::uint64_t to_ticks(std::chrono::steady_clock::time_point time) noexcept;

}  // namespace pepper::detail
#pragma GCC visibility pop

#undef PEPPER_DETAIL_TSAN
