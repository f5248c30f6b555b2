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
      CHECK(buckets[buckets.size()] == 0);
      CHECK(expected.front() * expected.back() != 0);  // no more than there is
    }
  }
}

TEST_CASE("ranges of buckets, zeros and infinities are all that a distribution counts, at the largest and the least magnitudes too") {
  MetricsCollector collector(manual());
  const Histogram fine = collector.histogram("fine", {}, {.relative_error = 1e-6, .max_buckets = 1u << 20});
  const Histogram filled = collector.histogram("filled", {}, {.expected_interval = 1});
  const double least = std::numeric_limits<double>::denorm_min(), most = std::numeric_limits<double>::max();
  fine.record({1, 1.0001, -1.0002, 0, kInfinity});
  filled.record({100, -3, -kInfinity});
  collector.flush();
  fine.record({least, -most});  // coarser now
  filled.record({most, least});
  const auto snapshot = collector.flush();
  for (const char* const name : {"fine", "filled"}) {
    const auto found = series(*snapshot, name);
    const Distribution& distribution = found->distribution;
    CHECK(distribution.undistributed() == 0);
    for (const int max_scale : {20, 0, -10}) {
      std::uint64_t counted = distribution.zero_count() + 1;  // an infinity
      for (const ExponentialBuckets& buckets : {distribution.positive(max_scale), distribution.negative(max_scale)}) {
        CHECK(buckets.scale() == std::min(max_scale, distribution.scale()));
        for (std::size_t i = 0; i < buckets.size(); ++i) counted += buckets[i];
      }
      CHECK(counted == distribution.count());
    }
  }
  CHECK(series(*snapshot, "filled")->distribution.backfilled() > 90);
}

TEST_CASE("a distribution of nothing has ranges of nothing at the scale that was asked for") {
  CHECK(Distribution{}.positive().size() == 0);
  CHECK(Distribution{}.positive()[0] == 0);
  CHECK(Distribution{}.negative(8).scale() == 8);
  CHECK(Distribution{}.positive(-99).scale() == -10);
  CHECK(Distribution{}.zero_count() == 0);
}
