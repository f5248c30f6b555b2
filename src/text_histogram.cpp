#include <pepper/snapshot.hpp>

#include "text_number.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

namespace pepper {

namespace {

/// As an index at that scale is: neighbours differ by one. Of infinities and zero, it says nothing.
std::int64_t index_of(const Bucket& bucket, int scale) noexcept {
  const double nearer = std::min(std::abs(bucket.lower), std::abs(bucket.upper));
  return std::isfinite(nearer) && nearer > 0 ? std::llround(std::ldexp(std::log2(nearer), scale)) : 0;
}

/// Steps after which a sign is one row, all that is finite, all.
constexpr int kSign = 32, kFinite = 33, kAll = 34;

bool are_together(const Bucket& a, const Bucket& b, int scale, int steps) noexcept {
  const auto is_infinite = [](const Bucket& bucket) { return bucket.lower == bucket.upper && bucket.lower != 0; };
  const auto is_zero = [](const Bucket& bucket) { return bucket.lower == 0 && bucket.upper == 0; };
  if (steps == kAll) return true;
  if (is_infinite(a) || is_infinite(b)) return false;
  if (steps == kFinite) return true;
  if (is_zero(a) || is_zero(b) || (a.lower < 0) != (b.lower < 0)) return false;
  return steps == kSign || index_of(a, scale) >> steps == index_of(b, scale) >> steps;
}

/// Buckets that are one at `steps` scales below share a row.
std::vector<Bucket> group(const Distribution& distribution, int steps) {
  constexpr double kMost = std::numeric_limits<double>::max();
  std::vector<Bucket> groups;
  Bucket last{};
  for (Bucket bucket : distribution) {
    if (bucket.lower != bucket.upper) bucket.lower = std::max(bucket.lower, -kMost), bucket.upper = std::min(bucket.upper, kMost);
    if (!groups.empty() && are_together(last, bucket, distribution.scale(), steps)) {
      groups.back().upper = bucket.upper;
      groups.back().count += bucket.count;
    } else {
      groups.push_back(bucket);
    }
    last = bucket;
  }
  return groups;
}

bool are_told_apart(const std::vector<Bucket>& groups, int digits) {
  return std::ranges::all_of(groups, [digits](const Bucket& of) {
    return of.lower == of.upper || detail::to_text(of.lower, digits) != detail::to_text(of.upper, digits);
  });
}

}  // namespace

std::string SeriesSnapshot::histogram_text(std::size_t rows, std::size_t width) const {
  if (rows == 0) return "";
  std::vector<Bucket> groups;
  for (int steps = 0; steps <= kAll; ++steps) {
    groups = group(distribution, steps);
    if (groups.size() <= rows) break;
  }
  std::vector<std::string> labels;
  std::vector<std::string> counts;
  std::size_t label_width = 0, count_width = 0;
  std::uint64_t most = 1;
  int digits = 6;
  while (digits < 17 && !are_told_apart(groups, digits)) ++digits;
  for (const Bucket& bucket : groups) {
    labels.push_back(detail::to_text(bucket.lower, digits));
    if (bucket.lower != bucket.upper) labels.back() += " .. " + detail::to_text(bucket.upper, digits);
    counts.push_back(std::to_string(bucket.count));
    label_width = std::max(label_width, labels.back().size());
    count_width = std::max(count_width, counts.back().size());
    most = std::max(most, bucket.count);
  }
  const std::size_t beside = label_width + count_width + 4, room = width > beside ? width - beside : 0;
  std::string text;
  for (std::size_t row = 0; row < groups.size(); ++row) {
    const double share = static_cast<double>(groups[row].count) / static_cast<double>(most);
    text += std::string(label_width - labels[row].size(), ' ') + labels[row] + "  ";
    text += std::string(count_width - counts[row].size(), ' ') + counts[row];
    if (room != 0) {
      const auto bar = std::max<std::size_t>(1, static_cast<std::size_t>(share * static_cast<double>(room)));  // none is empty
      text += "  " + std::string(bar, '#');
    }
    text += '\n';
  }
  return text;
}

}  // namespace pepper
