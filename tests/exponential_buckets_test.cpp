#include "contract.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <vector>

using namespace pepper;
using contract::manual;
using contract::series;

namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

}  // namespace

TEST_CASE("ranges of buckets hold what OpenTelemetry's definition puts there, at every scale below the distribution's own") {
  MetricsCollector collector(manual());
  const Histogram histogram = collector.histogram("values", {}, {.relative_error = 0.0015, .max_buckets = 1u << 16});
  std::mt19937_64 random(7);
  std::lognormal_distribution<double> draw(0, 2);
  std::vector<double> values{1, 2, 4, -1, -0.5, 0, -0.0, kInfinity, -kInfinity};  // powers of 2 are borders at every scale
  for (int i = 0; i < 3000; ++i) values.push_back(i % 3 == 0 ? -draw(random) : draw(random));
  histogram.record(values);
  const auto found = series(*collector.flush(), "values");
  const Distribution& distribution = found->distribution;
  REQUIRE(distribution.scale() == 8);
  CHECK(distribution.zero_count() == 2);
  for (const int max_scale : {20, 8, 7, 3, 0, -3, -10, -99}) {
    CAPTURE(max_scale);
    const int scale = std::max(-10, std::min(8, max_scale));
    for (const bool is_negative : {false, true}) {
      const ExponentialBuckets buckets = is_negative ? distribution.negative(max_scale) : distribution.positive(max_scale);
      REQUIRE(buckets.scale() == scale);
      std::vector<std::uint64_t> expected(buckets.size());
      for (const double value : values) {
        if (value == 0 || std::isinf(value) || (value < 0) != is_negative) continue;
        const long double position = std::log2(std::abs(static_cast<long double>(value))) * std::exp2(static_cast<long double>(scale));
        const auto index = static_cast<std::int64_t>(std::ceil(position)) - 1;  // (lower, upper]
        REQUIRE(index >= buckets.offset());
        REQUIRE(index < buckets.offset() + static_cast<std::int64_t>(buckets.size()));
        ++expected[static_cast<std::size_t>(index - buckets.offset())];
      }
      for (std::size_t i = 0; i < buckets.size(); ++i) CHECK(buckets[i] == expected[i]);
    }
  }
  CHECK(Distribution{}.positive().size() == 0);
  CHECK(Distribution{}.zero_count() == 0);
}
