#pragma once

#include <cstddef>
#include <cstdint>

namespace pepper::detail {

/// What a fold finds that is in no series' count.
enum class Found : std::uint8_t {
  nan,             ///< refused
  foreign,         ///< bound to a collector that was here before: nobody's
  clock_step,      ///< a scoped timer that ran backwards: counted in its series as 0 seconds, and here
  negative,        ///< dropped, Cause::negative
  overflow,        ///< dropped, Cause::overflow
  after_shutdown,  ///< dropped, Cause::after_shutdown
  memory,          ///< dropped, Cause::memory
  invalid,         ///< dropped, Cause::invalid
  clamped,         ///< not valid either: counted in its series as the nearest valid value, and here
};
inline constexpr std::size_t kFoundKinds = 9;

struct Tally {
  std::uint64_t counts[kFoundKinds] = {};

  [[nodiscard]] std::uint64_t& operator[](Found what) noexcept { return counts[static_cast<std::size_t>(what)]; }
  [[nodiscard]] std::uint64_t operator[](Found what) const noexcept { return counts[static_cast<std::size_t>(what)]; }
  /// Values that their series' checks did not let pass as they were.
  [[nodiscard]] std::uint64_t violations() const noexcept { return (*this)[Found::invalid] + (*this)[Found::clamped]; }
  /// Records it stands for: clock steps and what was clamped are in their series' counts as well.
  [[nodiscard]] std::uint64_t records() const noexcept {
    std::uint64_t sum = 0;
    for (const std::uint64_t count : counts) sum += count;
    return sum - (*this)[Found::clock_step] - (*this)[Found::clamped];
  }
  Tally& operator+=(const Tally& other) noexcept {
    for (std::size_t i = 0; i < kFoundKinds; ++i) counts[i] += other.counts[i];
    return *this;
  }
};

}  // namespace pepper::detail
