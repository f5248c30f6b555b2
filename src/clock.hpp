#pragma once

#include <pepper/detail/clock.hpp>

namespace pepper::detail {

/// Seconds in one tick of now_ticks(), by the latest calibration; the first call of a process may take 1 ms. Thread-safe.
[[nodiscard]] double seconds_per_tick() noexcept;

/// The same, but 0 if no one called seconds_per_tick() yet. Wait-free: for folds, whose ticks come from timers, whose bind called it.
[[nodiscard]] double known_seconds_per_tick() noexcept;

/// Fits the tick to steady_clock anew, over the last 20 seconds at most; nothing if no timer was ever bound. Cold paths only; thread-safe.
void keep_clock_in_step() noexcept;

}  // namespace pepper::detail
