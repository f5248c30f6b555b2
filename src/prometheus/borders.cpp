#include "borders.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>

namespace pepper::detail {

namespace {

constexpr int kMostPowers = 24;
constexpr double kInfinity = std::numeric_limits<double>::infinity();

/// The next multiple of a power of two, down.
constexpr int floor_to(int value, int step) noexcept { return value & -step; }

}  // namespace

void Borders::see(const Distribution& distribution, double least, double most) {
  if (distribution.count() == 0) return;
  if (!has_any_ || distribution.scale() < coarsest_.scale()) coarsest_ = distribution;
  has_any_ = true;
  if (least <= 0) has_other_ = true;
  if (std::isinf(most)) {  // no border reaches there
    most = 0;
    for (const Bucket bucket : distribution) most = bucket.lower < kInfinity ? std::max(most, bucket.upper) : most;
  }
  if (most <= 0) return;
  if (least <= 0) {
    const auto positive = std::find_if(distribution.begin(), distribution.end(), [](const Bucket& bucket) { return bucket.upper > 0; });
    if (positive == distribution.end()) return;  // it is among those that undistributed() counts
    least = std::max((*positive).lower, std::numeric_limits<double>::denorm_min());
  }
  least_positive_ = has_positive_ ? std::min(least_positive_, least) : least;
  most_ = has_positive_ ? std::max(most_, most) : most;
  has_positive_ = true;
}

std::vector<double> Borders::powers_of_two() const {
  std::vector<double> borders;
  if (has_other_) borders.push_back(0);
  if (!has_positive_) return borders;
  // One below what there is as well: Prometheus takes values to be spread evenly from there.
  const double most = std::min(most_, std::numeric_limits<double>::max());
  const int highest = std::ilogb(most) + (std::ldexp(1.0, std::ilogb(most)) != most ? 1 : 0);
  const int least = std::ilogb(least_positive_), lowest = least - (std::ldexp(1.0, least) == least_positive_ ? 1 : 0);
  int step = 1 << std::max(0, -coarsest_.scale());
  const auto first = [&] { return floor_to(lowest, step); };
  const auto last = [&] { return floor_to(highest + step - 1, step); };
  while ((last() - first()) / step >= kMostPowers) step *= 2;
  for (int power = first(); power <= last(); power += step) {
    const double border = std::ldexp(1.0, power);
    if (border > 0 && border < kInfinity) borders.push_back(border);
  }
  return borders;
}

std::vector<double> Borders::settle(std::span<const double> chosen) const {
  if (!has_any_) return {};
  if (chosen.empty()) return powers_of_two();
  std::vector<double> borders;
  for (const double at : chosen) {
    const double border = coarsest_.bucket_end(at);
    if (border < kInfinity && (borders.empty() || borders.back() < border)) borders.push_back(border);
  }
  return borders;
}

std::vector<std::uint64_t> counts_up_to(const Distribution& distribution, std::span<const double> borders) {
  std::vector<std::uint64_t> counts;
  counts.reserve(borders.size());
  std::uint64_t count = 0;
  for (const Bucket bucket : distribution) {
    while (counts.size() < borders.size() && borders[counts.size()] < bucket.upper) counts.push_back(count);
    if (counts.size() == borders.size()) break;
    count += bucket.count;
  }
  counts.resize(borders.size(), count);
  return counts;
}

}  // namespace pepper::detail
