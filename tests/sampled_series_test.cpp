#include "contract.hpp"

#include <cmath>
#include <cstdint>
#include <deque>
#include <string>
#include <vector>

using namespace pepper;
using contract::manual;
using contract::series;

TEST_CASE("a series' parts are its records of each sample rate, and its estimates those of its parts") {
  MetricsCollector collector(manual());
  SamplingCollector half{collector, 0.5, 1}, tenth{collector, 0.1, 2};
  const Histogram plain = collector.histogram("h");
  const auto in_half = half.histogram("h"), in_tenth = tenth.histogram("h");
  for (int i = 0; i < 1'000; ++i) {
    plain.record(1);
    in_half.record(10);
    in_tenth.record(100);
  }
  const auto snapshot = collector.flush();
  const auto found = series(*snapshot, "h");
  REQUIRE(found->parts.size() == 3);
  std::uint64_t recorded = 0;
  double count = 0;
  const double weights[] = {1, 2, 10}, values[] = {1, 10, 100};
  for (std::size_t at = 0; at < 3; ++at) {
    const SampledPart part = found->parts[at];
    CHECK(part.weight == weights[at]);
    CHECK(part.distribution.count() == part.recorded);
    CHECK(part.distribution.quantile(0) == values[at]);
    CHECK(part.distribution.quantile(1) == values[at]);
    recorded += part.recorded;
    count += part.weight * static_cast<double>(part.recorded);
  }
  CHECK(found->parts[0].recorded == 1'000);
  CHECK(found->recorded == recorded);
  CHECK(static_cast<double>(found->count) == count);
  CHECK(found->parts.estimate([&](std::size_t at) { return found->parts[at].distribution.count_above(50); }) ==
        10 * found->parts[2].recorded);
  CHECK(found->sample_rate == doctest::Approx(static_cast<double>(recorded) / count));
}

TEST_CASE("a series that nobody samples has no parts") {
  MetricsCollector collector(manual());
  SamplingCollector all{collector, 1.0}, half{collector, 0.5};
  all.counter("c").add();
  half.gauge("g").set(1);
  const auto snapshot = collector.flush();
  CHECK(series(*snapshot, "c")->parts.empty());
  CHECK(series(*snapshot, "g")->parts.empty());
  CHECK(series(*snapshot, "c")->sample_rate == 1);
}

TEST_CASE("a series may be recorded at any number of rates, and its distribution has all of them") {
  constexpr int kRates = 200;
  MetricsCollector collector(manual());
  std::deque<SamplingCollector<MetricsCollector&>> samplers;
  for (int i = 0; i < kRates; ++i) {
    const auto histogram = samplers.emplace_back(collector, 0.9 - 0.001 * i, static_cast<std::uint64_t>(i + 1)).histogram("h");
    for (int k = 0; k < 20; ++k) histogram.record(i);
  }
  const auto snapshot = collector.flush();
  const auto found = series(*snapshot, "h");
  CHECK(found->parts.size() == kRates + 1);
  CHECK(found->recorded == snapshot->stats().recorded);
  CHECK(found->distribution.count() == found->recorded);
  CHECK(std::abs(static_cast<double>(found->count) - 20.0 * kRates) < 6 * found->count_error);
}

TEST_CASE("threads that read a snapshot at once find the same distributions of sampled series") {
  constexpr int kSeries = 100;
  MetricsCollector collector(manual());
  SamplingCollector half{collector, 0.5, 1}, tenth{collector, 0.1, 2};
  for (int i = 0; i < kSeries; ++i) {
    const std::string name = "h" + std::to_string(i);
    const auto in_half = half.histogram(name), in_tenth = tenth.histogram(name);
    for (int k = 0; k < 100; ++k) in_half.record(k), in_tenth.record(i);
  }
  const auto snapshot = collector.flush();
  std::vector<std::uint64_t> wrong(4), seen(4);
  contract::on_threads(wrong.size(), [&](std::size_t thread) {
    for (const SeriesSnapshot& one : *snapshot) {
      std::uint64_t count = 0;
      for (const Bucket bucket : one.distribution) count += bucket.count;
      wrong[thread] += count != one.recorded || one.distribution.count() != one.recorded;
      ++seen[thread];
    }
  });
  CHECK(wrong == std::vector<std::uint64_t>(4));
  CHECK(seen == std::vector<std::uint64_t>(4, kSeries));
}
