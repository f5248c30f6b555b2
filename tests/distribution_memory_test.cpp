#include "contract.hpp"

#include <algorithm>
#include <cmath>
#include <random>
#include <string>
#include <vector>

using namespace pepper;
using contract::manual;

TEST_CASE("where the budget has no room for buckets, count, sum, min and max hold, and the rest is said to be missing") {
  TelemetryConfig config = manual();
  config.buffer_size = 255;
  config.memory_limit_bytes = (std::size_t{1} << 20) + 255 * 16;
  MetricsCollector collector(config);
  std::vector<Histogram> histograms;
  for (int i = 0; i < 600; ++i) histograms.push_back(collector.histogram("values", {{"i", std::to_string(i)}}));
  std::uint64_t recorded = 0;
  for (int turn = 0; turn < 300; ++turn) {
    for (const Histogram& histogram : histograms) histogram.record(std::pow(1.1, turn)), ++recorded;
    if (turn % 50 == 49) (void)collector.flush();
  }
  const auto snapshot = collector.flush();
  CHECK(snapshot->stats().recorded == recorded);
  CHECK(snapshot->stats().memory_bytes <= config.memory_limit_bytes);
  std::uint64_t count = 0, missing = 0;
  for (const SeriesSnapshot& one : *snapshot) {
    count += one.count;
    missing += one.distribution.undistributed();
    CHECK(one.distribution.count() + one.distribution.undistributed() == one.count);
  }
  CHECK(count + snapshot->stats().dropped == recorded);
  CHECK((missing != 0 || snapshot->begin()->distribution.relative_error() > 0.01));
}

TEST_CASE("with the budget used up distributions get coarser, and no record of one that has a bucket is missing") {
  TelemetryConfig config = manual();
  config.buffer_size = 20'000;
  config.memory_limit_bytes = (std::size_t{1} << 20) + 20'000 * 16 + 600'000;
  MetricsCollector collector(config);
  std::vector<Histogram> histograms;
  for (int i = 0; i < 300; ++i) histograms.push_back(collector.histogram("values", {{"i", std::to_string(i)}}));
  for (const Histogram& histogram : histograms) histogram.record(1);
  std::mt19937_64 random{1};
  std::lognormal_distribution<double> wide{0, 5};
  int lowest = 20;
  for (int turn = 0; turn < 20; ++turn) {
    // At the end only values that all have buckets for.
    for (int i = 0; i < 10'000; ++i) histograms[random() % histograms.size()].record(turn < 15 ? wide(random) : 1);
    const auto snapshot = collector.flush();
    CHECK(snapshot->stats().memory_bytes <= config.memory_limit_bytes);
    CHECK(snapshot->stats().dropped == 0);
    for (const SeriesSnapshot& one : *snapshot) {
      REQUIRE(one.distribution.undistributed() == 0);
      REQUIRE(one.distribution.count() == one.count);
      lowest = std::min(lowest, one.distribution.scale());
    }
  }
  CHECK(lowest < 6);
}
