#pragma once

#include <pepper/detail/clock.hpp>

#include <chrono>
#include <cmath>

namespace pepper::detail {

/// Seconds in one tick of now_ticks(), by the latest calibration; the first call of a process may take 1 ms. Thread-safe.
[[nodiscard]] double seconds_per_tick() noexcept;

/// The same, but 0 if no one called seconds_per_tick() yet. Wait-free: for folds, whose ticks come from timers, whose bind called it.
[[nodiscard]] double known_seconds_per_tick() noexcept;

/// The same, and negative in manual time: see FoldTable::seconds().
[[nodiscard]] double fold_seconds_per_tick() noexcept;

/// The nearest double to a whole number of nanoseconds, in seconds.
[[nodiscard, gnu::cold]] inline double whole_nanoseconds(double seconds) noexcept { return std::nearbyint(seconds * 1e9) / 1e9; }

/// Fits the tick to steady_clock anew, over the last 20 seconds at most; nothing if no timer was ever bound, or in manual time. Cold paths
/// only; thread-safe.
void keep_clock_in_step() noexcept;

/// system_clock, or what a testing::ManualClock shows in its place.
[[nodiscard]] std::chrono::system_clock::time_point now_system() noexcept;

// Manual time, for testing::ManualClock: now_ticks(), now_steady() and now_system() stand still where they are, and move as they are told.
// Ticks stay as long as they are, so that a timer that runs as manual time begins or ends has measured both times one after the other, and
// records that wait to be folded mean what they did. What waits and times out looks at steady_clock itself. Thread-safe.

/// False: it is manual already.
[[nodiscard]] bool begin_manual_time() noexcept;
/// False: negative, or more than ten years in all.
[[nodiscard]] bool advance_manual_time(std::chrono::nanoseconds by) noexcept;
void end_manual_time() noexcept;
[[nodiscard]] bool is_time_manual() noexcept;

}  // namespace pepper::detail
