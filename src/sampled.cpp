#include "sampled.hpp"

#include <algorithm>
#include <cmath>

namespace pepper::detail {

namespace {

/// What was recorded of a series at one weight.
struct Recorded {
  const SeriesValues& values;
  const Buckets* buckets;
  double weight;

  [[nodiscard]] Distribution distribution() const noexcept { return {buckets, values.count, values.min, values.max}; }
};

/// The first is what was recorded without a sampler.
Recorded recorded_at(const SnapshotData& data, const SeriesPart* parts, std::size_t at) noexcept {
  const std::uint32_t index = at == 0 ? parts->whole : parts[at - 1].index;
  return {data.values[index], data.values.buckets(index), at == 0 ? 1 : parts[at - 1].weight};
}

/// The sum of the squares of the recorded values, each as exact as its bucket; of values that are in no bucket as of the others.
double sum_of_squares(const Recorded& recorded) noexcept {
  const SeriesValues& values = recorded.values;
  const Distribution distribution = recorded.distribution();
  if (distribution.count() == 0) {  // no room for any: no more than if all were the largest
    const double most = std::max(std::abs(values.min), std::abs(values.max));
    return static_cast<double>(values.count) * most * most;
  }
  double sum = 0;
  for (const Bucket bucket : distribution) {
    const double middle = bucket.lower == bucket.upper ? bucket.lower : bucket.lower / 2 + bucket.upper / 2;
    sum += static_cast<double>(bucket.count) * middle * middle;
  }
  return sum * static_cast<double>(values.count) / static_cast<double>(distribution.count());
}

/// 1 / weight, but for the weight of a sampler that keeps none.
double rate_of(const SeriesPart& part) noexcept { return part.weight == 0 ? 0 : 1 / part.weight; }

}  // namespace

/// The Horvitz-Thompson estimators of count and sum, and of their variances, for records that are each kept with probability 1 / weight.
/// https://en.wikipedia.org/wiki/Horvitz-Thompson_estimator
void add_up(SeriesSnapshot& series, const SnapshotData& data, std::span<const SeriesPart> parts) noexcept {
  const SeriesValues nothing;
  series.recorded = 0;
  series.sum = 0;
  series.min = nothing.min, series.max = nothing.max, series.last = nothing.last;
  double count = 0, count_variance = 0, sum_variance = 0;
  for (std::size_t at = 0; at <= parts.size(); ++at) {
    const Recorded recorded = recorded_at(data, parts.data(), at);
    if (at != 0) series.violations += data.values.violations(parts[at - 1].index);
    const SeriesValues& values = recorded.values;
    if (values.count == 0) continue;
    const double n = static_cast<double>(values.count), w = recorded.weight;
    series.recorded += values.count;
    count += w * n;
    series.sum += w * values.sum;
    if (!(values.min >= series.min)) series.min = values.min;
    if (!(values.max <= series.max)) series.max = values.max;
    if (at == 0 || series.kind != Kind::gauge || std::isnan(series.last)) series.last = values.last;  // a part is older than that kind
    count_variance += w * (w - 1) * n;
    if (w != 1) sum_variance += w * (w - 1) * sum_of_squares(recorded);
  }
  series.parts = {data, parts.data(), parts.size() + 1};
  series.count = series.parts.estimate([&](std::size_t at) { return recorded_at(data, parts.data(), at).values.count; });
  series.count_error = std::sqrt(count_variance);
  series.sum_error = std::sqrt(sum_variance);
  series.sample_rate = count > 0 ? static_cast<double>(series.recorded) / count : rate_of(*std::ranges::min_element(parts, {}, rate_of));
}

}  // namespace pepper::detail

pepper::SampledPart pepper::SampledParts::operator[](std::size_t at) const noexcept {
  const detail::Recorded recorded = detail::recorded_at(*data_, parts_, at);
  return {recorded.weight, recorded.values.count, recorded.distribution()};
}
