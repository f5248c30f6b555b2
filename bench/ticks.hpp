#pragma once

#include <pepper/detail/clock.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace pepper::bench {

/// The clock, once everything before it is done and before anything after it begins: else the end of a call overlaps the reading.
[[nodiscard]] inline std::uint64_t fenced_ticks() {
#if defined(__x86_64__)
  _mm_lfence();
  const std::uint64_t ticks = detail::now_ticks();
  _mm_lfence();
  return ticks;
#else
  return detail::now_ticks();
#endif
}

/// Counts durations by the tick, so that no percentile is rounded.
class TickHistogram {
 public:
  void add(std::uint64_t ticks) {
    ++counts_[std::min(ticks, counts_.size() - 1)];
    ++total_;
    max_ = std::max(max_, ticks);
  }
  void merge(const TickHistogram& other) {
    for (std::size_t i = 0; i < counts_.size(); ++i) counts_[i] += other.counts_[i];
    total_ += other.total_;
    max_ = std::max(max_, other.max_);
  }
  /// In ns. At or past the last tick that is counted for itself: the maximum.
  [[nodiscard]] double percentile(double percent) const {
    const auto rank = static_cast<std::uint64_t>(std::ceil(static_cast<double>(total_) * percent / 100));
    std::uint64_t seen = 0;
    for (std::size_t ticks = 0; ticks + 1 < counts_.size(); ++ticks) {
      seen += counts_[ticks];
      if (seen >= rank) return nanoseconds(ticks);
    }
    return nanoseconds(max_);
  }

 private:
  [[nodiscard]] static double nanoseconds(std::uint64_t ticks) {
    return static_cast<double>(detail::to_nanoseconds(static_cast<std::int64_t>(ticks)).count());
  }
  std::vector<std::uint32_t> counts_ = std::vector<std::uint32_t>(std::size_t{1} << 16);
  std::uint64_t total_ = 0, max_ = 0;
};

}  // namespace pepper::bench
