#include <pepper/snapshot.hpp>

#include "text_number.hpp"

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

namespace pepper {

namespace {

/// As an index at that scale is: neighbours differ by one. Of infinities and zero, it says nothing.
std::int64_t index_of(const Bucket& bucket, int scale) noexcept {
  const double nearer = std::min(std::abs(bucket.lower), std::abs(bucket.upper));
  return std::isfinite(nearer) && nearer > 0 ? std::llround(std::ldexp(std::log2(nearer), scale)) : 0;
}

constexpr int kAll = 32;  ///< steps after which a sign is one row

bool are_together(const Bucket& a, const Bucket& b, int scale, int steps) noexcept {
  const auto is_special = [](const Bucket& bucket) { return bucket.lower == bucket.upper; };
  return !is_special(a) && !is_special(b) && (a.lower < 0) == (b.lower < 0) &&
         (steps == kAll || index_of(a, scale) >> steps == index_of(b, scale) >> steps);
}

/// Buckets that are one at `steps` scales below share a row.
std::vector<Bucket> group(const Distribution& distribution, int steps) {
  std::vector<Bucket> groups;
  Bucket last{};
  for (const Bucket& bucket : distribution) {
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

}  // namespace

std::string SeriesSnapshot::histogram_text(std::size_t rows, std::size_t width) const {
  std::vector<Bucket> groups;
  for (int steps = 0; steps <= kAll; ++steps) {
    groups = group(distribution, steps);
    if (groups.size() <= rows) break;
  }
  std::vector<std::string> labels;
  std::vector<std::string> counts;
  std::size_t label_width = 0, count_width = 0;
  std::uint64_t most = 1;
  for (const Bucket& bucket : groups) {
    labels.push_back(bucket.lower == bucket.upper ? detail::to_text(bucket.lower)
                                                  : detail::to_text(bucket.lower) + " .. " + detail::to_text(bucket.upper));
    counts.push_back(std::to_string(bucket.count));
    label_width = std::max(label_width, labels.back().size());
    count_width = std::max(count_width, counts.back().size());
    most = std::max(most, bucket.count);
  }
  const std::size_t beside = label_width + count_width + 4, room = width > beside ? width - beside : 1;
  std::string text;
  for (std::size_t row = 0; row < groups.size(); ++row) {
    const double share = static_cast<double>(groups[row].count) / static_cast<double>(most);
    const auto bar = std::max<std::size_t>(1, static_cast<std::size_t>(share * static_cast<double>(room)));  // none is empty
    text += std::string(label_width - labels[row].size(), ' ') + labels[row] + "  ";
    text += std::string(count_width - counts[row].size(), ' ') + counts[row] + "  " + std::string(bar, '#') + '\n';
  }
  return text;
}

}  // namespace pepper
