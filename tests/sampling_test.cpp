#include <pepper/pepper.hpp>

#include <doctest/doctest.h>

#include <chrono>
#include <cmath>
#include <cstdint>
#include <limits>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace {

using namespace std::chrono_literals;
using pepper::MetricsCollector;
using pepper::SamplingCollector;

pepper::TelemetryConfig manual() {
  pepper::TelemetryConfig config;
  config.flush_mode = pepper::FlushMode::manual;
  return config;
}

/// What the values of a run are: not all alike, and of a sum that is known.
double value_of(int i) { return 1 + i % 7; }

/// Mean and its standard error over runs.
struct Mean {
  double sum = 0, squares = 0;
  int runs = 0;
  void add(double x) {
    sum += x;
    squares += x * x;
    ++runs;
  }
  [[nodiscard]] double mean() const { return sum / runs; }
  [[nodiscard]] double deviation() const { return std::sqrt((squares - sum * sum / runs) / (runs - 1)); }
  /// How many of its standard errors the mean is away from the truth.
  [[nodiscard]] double away_from(double truth) const { return std::abs(mean() - truth) / (deviation() / std::sqrt(runs)); }
};

constexpr int kRuns = 200;
constexpr double kSurprise = 4.42;  // standard errors: exceeded by chance once in 100,000 runs

TEST_CASE("over 200 runs count and sum of a sampled series are unbiased, and their standard errors true") {
  for (const double rate : {0.5, 0.1, 0.013}) {
    CAPTURE(rate);
    constexpr int kCalls = 7'000;
    double truth = 0;
    for (int i = 0; i < kCalls; ++i) truth += value_of(i);
    Mean counts, sums, count_errors, sum_errors;
    for (int run = 0; run < kRuns; ++run) {
      MetricsCollector collector(manual());
      SamplingCollector sampled{collector, rate, static_cast<std::uint64_t>(run + 1)};
      const auto summary = sampled.summary("s");
      for (int i = 0; i < kCalls; ++i) summary.record(value_of(i));
      const auto found = sampled.flush()->find("s");
      REQUIRE(found != nullptr);
      CHECK(found->recorded == collector.stats().recorded);
      counts.add(static_cast<double>(found->count));
      sums.add(found->sum);
      count_errors.add(found->count_error);
      sum_errors.add(found->sum_error);
    }
    CHECK(counts.away_from(kCalls) < kSurprise);
    CHECK(sums.away_from(truth) < kSurprise);
    // The spread of 200 runs is itself known to 5 %, its standard error; what the snapshot states must agree with it.
    CHECK(std::abs(count_errors.mean() / counts.deviation() - 1) < kSurprise * 0.05);
    CHECK(std::abs(sum_errors.mean() / sums.deviation() - 1) < kSurprise * 0.05);
  }
}

TEST_CASE("a record that was kept keeps its value: min, max, last and the distribution are of raw values") {
  MetricsCollector collector(manual());
  SamplingCollector sampled{collector, 0.1, 7};
  const auto sizes = sampled.histogram("sizes");
  for (int i = 0; i < 100'000; ++i) sizes.record(100 + i % 100);
  const auto found = sampled.flush()->find("sizes");
  REQUIRE(found != nullptr);
  CHECK(found->min == 100);
  CHECK(found->max == 199);
  CHECK(found->last >= 100);
  CHECK(found->sample_rate == doctest::Approx(0.1));
  CHECK(found->recorded == found->distribution.count());
  CHECK(found->distribution.undistributed() == 0);
  CHECK(found->quantile(0.5) == doctest::Approx(150).epsilon(0.03));
  CHECK(found->mean() == doctest::Approx(149.5).epsilon(0.02));
  CHECK(found->kind == pepper::Kind::histogram);
}

TEST_CASE("records of one series at several rates and without one add up, distribution included") {
  MetricsCollector collector(manual());
  SamplingCollector tenth{collector, 0.1, 1}, half{collector, 0.5, 2};
  const pepper::Histogram plain = collector.histogram("h", {{"a", "b"}});
  const auto a = tenth.histogram("h", {{"a", "b"}}), b = half.histogram("h", {{"a", "b"}});
  for (int i = 0; i < 10'000; ++i) {
    plain.record(1);
    a.record(10);
    b.record(100);
  }
  const auto snapshot = collector.flush();
  CHECK(snapshot->size() == 1);
  CHECK(snapshot->stats().series == 1);
  int seen = 0;
  for (const pepper::SeriesSnapshot& series : *snapshot) {
    ++seen;
    CHECK(series.count > 28'000);
    CHECK(series.count < 32'000);
  }
  CHECK(seen == 1);
  const auto found = snapshot->find("h", {{"a", "b"}});
  REQUIRE(found != nullptr);
  CHECK(found->recorded == snapshot->stats().recorded);
  CHECK(found->distribution.count() == found->recorded);
  CHECK(found->distribution.count() == snapshot->find("h", {{"a", "b"}})->distribution.count());
  CHECK(found->min == 1);
  CHECK(found->max == 100);
  const auto above = found->distribution.count_above(50);
  CHECK(above > 4'500);
  CHECK(above < 5'500);
}

TEST_CASE("a rate of 1 keeps all, of 0 nothing, and any other that is none is refused") {
  MetricsCollector collector(manual());
  SamplingCollector all{collector, 1.0}, none{collector, 0.0};
  const auto in_all = all.counter("all"), in_none = none.counter("none");
  for (int i = 0; i < 1'000; ++i) {
    in_all.add(2);
    in_none.add();
    CHECK(none.record("dynamic", 1));
  }
  const auto snapshot = collector.flush();
  CHECK(snapshot->find("all")->count == 1'000);
  CHECK(snapshot->find("all")->sum == 2'000);
  CHECK(snapshot->find("all")->count_error == 0);
  CHECK(snapshot->find("none")->count == 0);
  CHECK(snapshot->find("dynamic") == nullptr);
  CHECK(snapshot->stats().recorded == 1'000);
  for (const double rate : {-0.1, 1.1, std::numeric_limits<double>::quiet_NaN(), 1e-12, std::numeric_limits<double>::infinity()}) {
    CAPTURE(rate);
    CHECK_THROWS_AS((SamplingCollector{collector, rate}), std::invalid_argument);
  }
}

TEST_CASE("gauges are never sampled") {
  MetricsCollector collector(manual());
  SamplingCollector sampled{collector, 0.001};
  const auto gauge = sampled.gauge("level");
  for (int i = 1; i <= 100; ++i) gauge.set(i);
  const auto found = sampled.flush()->find("level");
  CHECK(found->count == 100);
  CHECK(found->last == 100);
}

TEST_CASE("a sampler within a sampler multiplies their weights, and stays unbiased") {
  Mean counts;
  for (int run = 0; run < kRuns; ++run) {
    MetricsCollector collector(manual());
    const auto seed = static_cast<std::uint64_t>(run);
    SamplingCollector nested{SamplingCollector{collector, 0.2, 3 * seed + 1}, 0.25, 3 * seed + 2};
    const auto counter = nested.counter("c");
    for (int i = 0; i < 5'000; ++i) counter.add();
    counts.add(nested.flush()->find("c")->sum);
  }
  CHECK(counts.away_from(5'000) < kSurprise);
}

TEST_CASE("the dynamic path is sampled as well, and unbiased") {
  Mean counts;
  for (int run = 0; run < kRuns; ++run) {
    MetricsCollector collector(manual());
    SamplingCollector sampled{collector, 0.05, static_cast<std::uint64_t>(run + 1)};
    for (int i = 0; i < 2'000; ++i) CHECK(sampled.record("d", 3, {{"k", "v"}}));
    const auto found = sampled.flush()->find("d", {{"k", "v"}});
    counts.add(found == nullptr ? 0 : static_cast<double>(found->sum));
  }
  CHECK(counts.away_from(6'000) < kSurprise);
}

TEST_CASE("where max_series has no room for its weight, a series is not sampled and stays exact") {
  pepper::TelemetryConfig config = manual();
  config.max_series = 1;
  MetricsCollector collector(config);
  SamplingCollector sampled{collector, 0.01};
  const auto counter = sampled.counter("only");
  for (int i = 0; i < 1'000; ++i) counter.add();
  const auto snapshot = collector.flush();
  CHECK(snapshot->find("only")->count == 1'000);
  CHECK(snapshot->find("only")->count_error == 0);
}

TEST_CASE("a skipped call of a ScopedTimer reads no clock, a kept one times its scope") {
  MetricsCollector collector(manual());
  SamplingCollector all{collector, 1.0}, none{collector, 0.0};
  { const pepper::ScopedTimer kept = all.timer("t").scope(), skipped = none.timer("t").scope(); }
  CHECK(collector.flush()->find("t")->count == 1);
  all.timer("t").record(5ms);
  none.timer("t").record(5ms);
  CHECK(collector.flush()->find("t")->count == 2);
}

TEST_CASE("handles outlive their sampler, and record nothing then, whichever sampler comes after it") {
  MetricsCollector collector(manual());
  const auto orphan = [&] { return SamplingCollector{collector, 0.5, 1}.counter("orphan"); }();
  const std::uint64_t before = collector.flush()->stats().recorded;
  for (int samplers = 0; samplers < 3'000; ++samplers) {
    const SamplingCollector next{collector, 1.0};
    for (int i = 0; i < 20; ++i) orphan.add();
  }
  CHECK(collector.flush()->stats().recorded == before);
}

TEST_CASE("threads sample by themselves, each its own calls, and what they keep adds up") {
  Mean counts;
  for (int run = 0; run < 50; ++run) {
    MetricsCollector collector(manual());
    SamplingCollector sampled{collector, 0.1, static_cast<std::uint64_t>(run + 1)};
    const auto counter = sampled.counter("c");
    std::vector<std::thread> threads;
    threads.reserve(3);
    for (int t = 0; t < 3; ++t) {
      threads.emplace_back([counter] {
        for (int i = 0; i < 2'000; ++i) counter.add();
      });
    }
    for (std::thread& thread : threads) thread.join();
    counts.add(sampled.flush()->find("c")->sum);
  }
  CHECK(counts.away_from(6'000) < kSurprise);
}

TEST_CASE("what threads fold themselves is weighted as what the flusher folds") {
  pepper::TelemetryConfig config = manual();
  config.buffer_size = 255;
  Mean counts;
  for (int run = 0; run < 50; ++run) {
    MetricsCollector collector(config);
    SamplingCollector sampled{collector, 0.5, static_cast<std::uint64_t>(run + 1)};
    const auto histogram = sampled.histogram("h");
    for (int i = 0; i < 20'000; ++i) histogram.record(2);
    const auto found = sampled.flush()->find("h");
    CHECK(collector.stats().spilled > 0);
    CHECK(found->distribution.count() == found->recorded);
    counts.add(found->sum);
  }
  CHECK(counts.away_from(40'000) < kSurprise);
}

TEST_CASE("a function is asked for its value only by calls that are kept, whatever lies between") {
  MetricsCollector collector(manual());
  int asked = 0;
  const auto value = [&] { return 1.0 + ++asked; };
  {
    SamplingCollector none{collector, 0.0}, all{collector, 1.0};
    pepper::BatchCollector batch{collector, 10};
    pepper::AggregatingCollector request{collector};
    none.summary("none").record(value);
    none.counter("none.c").add(value);
    none.gauge("gauge").set(value);
    all.histogram("all").record(value);
    all.timer("timer").record([] { return 5ms; });
    batch.summary("batch").record(value);
    request.counter("request").add(value);
    CHECK(request.find("request").sum() == 5);
  }
  CHECK(asked == 4);
  const auto snapshot = collector.flush();
  CHECK(snapshot->stats().recorded == 5);
  CHECK(snapshot->find("all")->last == 3);
}

TEST_CASE("checks, exemplars and raw records of a sampled series are the series' own") {
  MetricsCollector collector(manual());
  SamplingCollector half{collector, 0.5, 3};
  std::uint64_t delivered = 0, others = 0;
  const pepper::Subscription records = collector.on_records([&](const pepper::RecordBatch& batch) {
    for (const pepper::RawRecord record : batch) {
      ++delivered;
      others += record.weight != 2 || record.name.substr(0, 1) != "s" || record.tags.size() != 1 || record.tags[0].key != "k";
    }
  });
  const auto checked = half.summary("s", {{"k", "v"}}, {.check = pepper::ValueCheck::range(0, 1)});
  for (int i = 0; i < 1'000; ++i) {
    checked.record(2);
    checked.record(0.5);
    half.record("s.dynamic", i, {{"k", "v"}}, {{"request", "7"}});
  }
  const auto snapshot = collector.flush();
  const auto found = snapshot->find("s", {{"k", "v"}}), dynamic = snapshot->find("s.dynamic", {{"k", "v"}});
  CHECK(found->violations > 400);
  CHECK(found->violations < 600);
  CHECK(found->max == 0.5);
  REQUIRE(dynamic->exemplars.largest != nullptr);
  CHECK(dynamic->exemplars.largest->value == dynamic->max);
  CHECK(delivered == found->recorded + dynamic->recorded);
  CHECK(others == 0);
  CHECK(snapshot->size() == 2);
}

TEST_CASE("a gauge is sampled by no handle and no name, and what would be refused is") {
  MetricsCollector collector(manual());
  SamplingCollector rarely{collector, 1e-6, 1};
  const pepper::Gauge gauge = collector.gauge("g");
  gauge.set(1);
  const auto summary = rarely.summary("g");
  for (int i = 2; i <= 100; ++i) CHECK(rarely.record("g", i));
  CHECK(collector.flush()->find("g")->last == 100);
  summary.record(7);
  CHECK(collector.flush()->find("g")->count == 101);
  CHECK_FALSE(rarely.record("g", std::numeric_limits<double>::quiet_NaN()));
  CHECK_FALSE(rarely.record("", 1));
  CHECK(collector.stats().rejected == 2);
}

TEST_CASE("a sampled series takes the kind and the check of its first bind") {
  MetricsCollector collector(manual());
  SamplingCollector half{collector, 0.5, 1};
  for (int i = 0; i < 20; ++i) half.record("s", 0.5);
  const auto checked = half.summary("s", {}, {.check = pepper::ValueCheck::range(0, 1)});
  for (int i = 0; i < 100; ++i) checked.record(50);
  for (int i = 0; i < 20; ++i) half.record("n", 1);
  (void)half.counter("n");
  for (int i = 0; i < 100; ++i) half.record("n", -1);
  const auto snapshot = collector.flush();
  CHECK(snapshot->find("s")->max == 0.5);
  CHECK(snapshot->find("s")->violations > 30);
  CHECK(snapshot->find("n")->min == 1);
  CHECK(snapshot->find("n")->kind == pepper::Kind::counter);
}

TEST_CASE("the part of a series that takes its sampled records is nobody else's") {
  MetricsCollector collector(manual());
  SamplingCollector half{collector, 0.5, 1};
  const auto counter = half.counter("c");
  for (int i = 0; i < 100; ++i) counter.add();
  const double weight = 2;
  const pepper::Tag tag{"\1", {reinterpret_cast<const char*>(&weight), sizeof weight}};
  CHECK_FALSE(collector.record("c", 1, {tag}));
  CHECK(collector.flush()->find("c", {tag}) == nullptr);
}

}  // namespace
