#pragma once

#include <chrono>
#include <cstdint>

namespace pepper::detail {

/// A record's time in the four bytes beside its series: milliseconds, modulo 2^31, below a top bit that is set, so that folds take it for
/// nothing that they know and its value as it is.
using TimeExtra = std::uint32_t;

/// Now, as of the kernel's last tick, 1 to 10 ms ago: a few nanoseconds, no system call.
[[nodiscard]] TimeExtra coarse_time_extra() noexcept;

/// Of a time that was given: 0, none, where it is more than 12 days from now and could not be told from another.
[[nodiscard]] TimeExtra to_time_extra(std::chrono::system_clock::time_point time) noexcept;

/// The time next to `near`; {} where `extra` is none.
[[nodiscard]] std::chrono::system_clock::time_point from_time_extra(std::uint32_t extra,
                                                                    std::chrono::system_clock::time_point near) noexcept;

}  // namespace pepper::detail
