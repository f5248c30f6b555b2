#include "contract.hpp"

#include <pepper/testing.hpp>

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

TEST_CASE("a series that is bound at rate 0 alone is sampled, at rate 0, until others record it") {
  MetricsCollector collector(manual());
  SamplingCollector none{collector, 0.0};
  SamplingCollector outside{SamplingCollector{collector, 0.5}, 0.0}, inside{SamplingCollector{collector, 0.0}, 0.5};
  for (int i = 0; i < 100; ++i) {
    none.counter("c").add();
    outside.histogram("outside").record(1);
    inside.histogram("inside").record(1);
  }
  auto snapshot = collector.flush();
  CHECK(snapshot->stats().recorded == 0);
  for (const char* const name : {"c", "outside", "inside"}) {
    CAPTURE(name);
    const auto found = series(*snapshot, name);
    CHECK(found->count == 0);
    CHECK(found->sum == 0);
    CHECK(std::isnan(found->last));
    CHECK(found->sample_rate == 0);
    CHECK(found->count_error == 0);
    REQUIRE(found->parts.size() == 2);
    CHECK(found->parts[1].weight == 0);
    CHECK(found->parts[1].recorded == 0);
  }
  collector.counter("c").add(5);
  snapshot = collector.flush();
  CHECK(series(*snapshot, "c")->count == 1);
  CHECK(series(*snapshot, "c")->sum == 5);
  CHECK(series(*snapshot, "c")->sample_rate == 1);
  CHECK(series(*snapshot, "c")->parts.size() == 2);
}

TEST_CASE("where max_series has no room for its part, a handle of rate 0 records nothing all the same") {
  TelemetryConfig config = manual();
  config.max_series = 1;
  MetricsCollector collector(config);
  SamplingCollector none{collector, 0.0};
  const auto counter = none.counter("only");
  for (int i = 0; i < 100; ++i) counter.add();
  CHECK(series(*collector.flush(), "only")->count == 0);
  CHECK(collector.stats().recorded == 0);
}

TEST_CASE("a sampled series of which nothing was kept says the lowest rate that it is bound at, and no error") {
  MetricsCollector collector(manual());
  SamplingCollector tenth{collector, 0.1}, rarely{collector, 1e-3};
  (void)tenth.histogram("h"), (void)rarely.histogram("h"), (void)tenth.histogram("other");
  const auto snapshot = collector.flush();
  const auto found = series(*snapshot, "h");
  CHECK(found->recorded == 0);
  CHECK(found->sample_rate == doctest::Approx(1e-3));
  CHECK(found->count_error == 0);
  CHECK(found->sum_error == 0);
  CHECK(std::isnan(found->quantile(0.5)));
  CHECK(series(*snapshot, "other")->sample_rate == doctest::Approx(0.1));
}

TEST_CASE("last of a series of several rates is that of the last of its parts that has any") {
  MetricsCollector collector(manual());
  SamplingCollector often{collector, 0.5, 1}, less{collector, 0.25, 2}, never{collector, 0.0};
  const auto in_often = often.summary("s"), in_less = less.summary("s"), in_never = never.summary("s");
  for (int i = 0; i < 100; ++i) in_less.record(i < 50 ? 1 : 2), in_never.record(9);
  CHECK(series(*collector.flush(), "s")->last == 2);
  for (int i = 0; i < 100; ++i) in_often.record(3);
  collector.summary("s").record(4);
  CHECK(series(*collector.flush(), "s")->last == 2);
}

TEST_CASE("what a sampler kept is not filled back, and the error of its sum is that of what was kept; what was recorded without one is") {
  MetricsCollector collector(manual());
  SamplingCollector quarter{collector, 0.25, 1};
  const auto sampled = quarter.histogram("h", {}, {.expected_interval = 10});
  for (int i = 0; i < 1'000; ++i) sampled.record(i % 2 == 0 ? 100 : 300);
  auto found = series(*collector.flush(), "h");
  CHECK(found->distribution.backfilled() == 0);
  CHECK(found->distribution.count() == found->recorded);
  const double n = static_cast<double>(found->recorded), large = static_cast<double>(found->distribution.count_above(200));
  const double error = std::sqrt(4 * (4 - 1) * (large * 300 * 300 + (n - large) * 100 * 100));
  CHECK(found->sum_error == doctest::Approx(error).epsilon(0.02));

  const Histogram plain = collector.histogram("h");
  for (int i = 0; i < 100; ++i) plain.record(100);
  found = series(*collector.flush(), "h");
  CHECK(found->recorded == static_cast<std::uint64_t>(n) + 100);
  CHECK(found->distribution.backfilled() >= 8 * 100);
  CHECK(found->distribution.backfilled() <= 9 * 100);
  CHECK(found->distribution.count() == found->recorded + found->distribution.backfilled());
  CHECK(found->sum_error == doctest::Approx(error).epsilon(0.02));
  CHECK(found->parts[0].distribution.backfilled() == found->distribution.backfilled());
}

TEST_CASE("where there is no room for buckets, the error of a sampled sum is rather too high than 0") {
  MetricsCollector collector(manual());
  SamplingCollector half{collector, 0.5, 1};
  const auto sampled = half.summary("s");
  collector.attach_thread();
  const testing::Faults faults(collector, {.no_memory = true});
  for (int i = 0; i < 1'000; ++i) sampled.record(-(i % 10));
  const auto found = series(*collector.flush(), "s");
  REQUIRE(found->recorded > 400);
  CHECK(found->parts[1].distribution.count() == 0);
  CHECK(found->sum_error == doctest::Approx(std::sqrt(2.0 * static_cast<double>(found->recorded)) * 9));
}
