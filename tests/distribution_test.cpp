#include "contract.hpp"
#include "sanitizers.hpp"

#include <algorithm>
#include <cmath>
#include <ctime>
#include <functional>
#include <limits>
#include <memory>
#include <random>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

using namespace pepper;
using contract::manual;
using contract::series;

namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity(), kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr std::size_t kMany = sanitizers::kIsAsan || sanitizers::kIsTsan ? 50'000 : 1'000'000;

std::vector<double> drawn(std::function<double()> draw) {
  std::vector<double> values(kMany);
  std::generate(values.begin(), values.end(), draw);
  return values;
}

/// Quantiles of a histogram of `values` err by no more than it says, which is no more than was asked for.
void check_quantiles(const std::vector<double>& values, double relative_error) {
  MetricsCollector collector(manual());
  const Histogram histogram = collector.histogram("values", {}, {.relative_error = relative_error, .max_buckets = 1u << 20});
  histogram.record(values);
  const auto found = series(*collector.flush(), "values");
  const Distribution& distribution = found->distribution;
  REQUIRE(distribution.count() == values.size());
  CHECK(distribution.undistributed() == 0);
  CHECK(distribution.relative_error() <= relative_error);
  std::vector<double> sorted = values;
  std::ranges::sort(sorted);
  double before = -kInfinity;
  for (const double q : {0.0, 1e-6, 0.001, 0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999, 0.9999, 0.99999, 1.0}) {
    CAPTURE(q);
    const auto rank = static_cast<std::size_t>(std::max(1.0, std::ceil(q * static_cast<double>(sorted.size()))));
    const double exact = sorted[rank - 1], value = distribution.quantile(q);
    CHECK(value >= before);
    CHECK(value >= found->min);
    CHECK(value <= found->max);
    if (std::isinf(exact)) {
      CHECK(value == exact);
    } else {
      CHECK(std::abs(value - exact) <= std::abs(exact) * distribution.relative_error() * (1 + 1e-9));
    }
    before = value;
  }
}

}  // namespace

TEST_CASE("a quantile is within the stated error of the exact one, whatever the distribution") {
  std::mt19937_64 random{20'261'127};
  std::uniform_real_distribution<double> uniform{0, 1000};
  std::exponential_distribution<double> exponential{3};
  std::lognormal_distribution<double> log_normal{-7, 2};
  std::normal_distribution<double> normal{0, 1};
  std::bernoulli_distribution coin{0.02};
  std::vector<double> sorted = drawn([&] { return log_normal(random); }), reversed, mixed = drawn([&] { return normal(random); });
  std::ranges::sort(sorted);
  reversed.assign(sorted.rbegin(), sorted.rend());
  for (std::size_t i = 0; i < mixed.size(); i += 100) mixed[i] = 0;
  mixed[1] = kInfinity;
  mixed[2] = -kInfinity;
  double growing = 1e-3;
  const std::vector<std::pair<const char*, std::vector<double>>> all{
      {"uniform", drawn([&] { return uniform(random); })},
      {"exponential", drawn([&] { return exponential(random); })},
      {"log-normal", drawn([&] { return log_normal(random); })},
      {"Pareto", drawn([&] { return std::pow(uniform(random) / 1000 + 1e-12, -1 / 1.5); })},
      {"bimodal", drawn([&] { return coin(random) ? 100 + normal(random) : 1 + normal(random) / 20; })},
      {"constant", drawn([] { return 42.0; })},
      {"two points", drawn([&] { return coin(random) ? 1e9 : 1e-9; })},
      {"sorted", sorted},
      {"reversed", reversed},
      {"a range that grows", drawn([&] { return growing *= 1 + 5.0 / static_cast<double>(kMany); })},
      {"both signs, zeros and infinities", mixed},
  };
  for (const auto& distribution : all) {  // clang 14 captures no structured binding
    const char* const name = distribution.first;
    const std::vector<double>& values = distribution.second;
    for (const double relative_error : {0.01, 0.2, 0.005}) {
      CAPTURE(name);
      CAPTURE(relative_error);
      check_quantiles(values, relative_error);
    }
  }
}

TEST_CASE("an error below what the table of borders is made for is kept as well") {
  std::mt19937_64 random{7};
  std::uniform_real_distribution<double> uniform{1, 1.5};
  std::vector<double> values(20'000);
  for (double& value : values) value = uniform(random);
  check_quantiles(values, 0.0005);
}

TEST_CASE("every quantile of one record is its value") {
  for (const double value : {1e-320, 0.001, 1.0, 3.7, 1e300, 0.0, -2.5, kInfinity, -kInfinity}) {
    MetricsCollector collector(manual());
    collector.histogram("one").record(value);
    for (const double q : {-1.0, 0.0, 0.3, 1.0, 2.0}) CHECK(series(*collector.flush(), "one")->quantile(q) == value);
    CHECK(std::isnan(series(*collector.flush(), "one")->quantile(kNaN)));
  }
}

TEST_CASE("buckets come in order, do not overlap, and count every record") {
  MetricsCollector collector(manual());
  const Histogram histogram = collector.histogram("values");
  std::mt19937_64 random{3};
  for (int i = 0; i < 10'000; ++i) histogram.record(std::normal_distribution<double>{0, 100}(random));
  histogram.record({0, 0, -kInfinity, kInfinity, 1e-310});
  const auto found = series(*collector.flush(), "values");
  double end = -kInfinity;
  std::uint64_t count = 0;
  for (const Bucket& bucket : found->distribution) {
    CHECK(bucket.lower >= end);
    CHECK(bucket.upper >= bucket.lower);
    CHECK(bucket.count != 0);
    end = bucket.upper;
    count += bucket.count;
  }
  CHECK(count == 10'005);
}

TEST_CASE("cdf() and count_above() are exact at borders of buckets") {
  MetricsCollector collector(manual());
  const Histogram histogram = collector.histogram("values");
  for (const double value : {0.5, 1.0, 2.0, 3.0, 4.0, 4.5, 100.0}) histogram.record(value);
  const Distribution distribution = series(*collector.flush(), "values")->distribution;
  CHECK(distribution.count_above(4) == 2);
  CHECK(distribution.count_above(0.25) == 7);
  CHECK(distribution.count_above(0.5) == 6);
  CHECK(distribution.count_above(100) == 0);
  CHECK(distribution.cdf(1) == doctest::Approx(2.0 / 7));
  CHECK(distribution.cdf(0.25) == 0);
  CHECK(distribution.cdf(100) == 1);
  CHECK(std::isnan(distribution.cdf(kNaN)));
}

TEST_CASE("values that spread over more than max_buckets are told apart less, and the snapshot says by how much") {
  for (const std::uint32_t max_buckets : {8u, 20u, 160u}) {
    MetricsCollector collector(manual());
    const Histogram histogram = collector.histogram("values", {}, {.relative_error = 1e-4, .max_buckets = max_buckets});
    std::vector<double> values;
    for (int i = -300; i <= 300; ++i) values.insert(values.end(), {std::pow(10, i), -std::pow(10, i) * 2});
    histogram.record(values);
    const Distribution distribution = series(*collector.flush(), "values")->distribution;
    std::ranges::sort(values);
    CHECK(distribution.count() == values.size());
    CHECK(distribution.relative_error() > 1e-4);
    CHECK(std::distance(distribution.begin(), distribution.end()) <= static_cast<std::ptrdiff_t>(max_buckets));
    for (const double q : {0.1, 0.4, 0.6, 0.9}) {
      const double exact = values[static_cast<std::size_t>(std::ceil(q * static_cast<double>(values.size()))) - 1];
      CHECK(std::abs(distribution.quantile(q) - exact) <= std::abs(exact) * distribution.relative_error() * (1 + 1e-9));
    }
  }
}

TEST_CASE("a snapshot's distribution stays what it was while more is recorded") {
  MetricsCollector collector(manual());
  const Histogram histogram = collector.histogram("values");
  histogram.record({1, 2, 3});
  const auto first = series(*collector.flush(), "values");
  histogram.record({1, 1000});
  const auto second = series(*collector.flush(), "values");
  CHECK(first->distribution.count() == 3);
  CHECK(first->quantile(1) == 3);
  CHECK(second->distribution.count() == 5);
  CHECK(first->distribution.count_above(1) == 2);
}

TEST_CASE("records by name before the series was bound are said to be missing") {
  MetricsCollector collector(manual());
  CHECK(collector.record("late", 1));
  CHECK(collector.record("late", 2));
  (void)collector.flush();
  const Histogram histogram = collector.histogram("late");
  histogram.record({3, 4, 5});
  CHECK(collector.record("late", 6));
  const auto found = series(*collector.flush(), "late");
  CHECK(found->count == 6);
  CHECK(found->distribution.count() == 4);
  CHECK(found->distribution.undistributed() == 2);
}

TEST_CASE("what threads fold themselves lands in the same buckets as what the flusher folds") {
  constexpr std::size_t kThreads = 2, kSeries = 5, kRecords = 200'000;
  TelemetryConfig small;
  small.buffer_size = 255;
  small.flush_interval = std::chrono::milliseconds{1};
  MetricsCollector collector(small);
  MetricsCollector large(manual());
  std::vector<Histogram> histograms, expected;
  for (std::size_t i = 0; i < kSeries; ++i) {
    histograms.push_back(collector.histogram("values", {{"i", std::to_string(i)}}));
    expected.push_back(large.histogram("values", {{"i", std::to_string(i)}}));
  }
  const auto record = [](const std::vector<Histogram>& to, std::size_t thread) {
    std::mt19937_64 random{thread};
    std::lognormal_distribution<double> values{0, 1};
    for (std::size_t i = 0; i < kRecords; ++i) to[i % kSeries].record(i % 1000 == 0 ? -values(random) : values(random));
  };
  {
    std::vector<std::jthread> threads;
    for (std::size_t t = 0; t < kThreads; ++t) threads.emplace_back([&, t] { record(histograms, t); });
    for (int i = 0; i < 200; ++i) {
      const auto snapshot = collector.flush();
      for (const SeriesSnapshot& one : *snapshot) REQUIRE(one.distribution.count() == one.count);
    }
  }
  for (std::size_t t = 0; t < kThreads; ++t) {
    record(expected, t);
    (void)large.flush();
  }
  const auto snapshot = collector.flush(), exact = large.flush();
  CHECK(snapshot->stats().spilled > 0);
  auto other = exact->begin();
  for (const SeriesSnapshot& one : *snapshot) {
    const Distribution theirs = (*other++).distribution;
    CHECK(one.distribution.undistributed() == 0);
    auto at = theirs.begin();
    for (const Bucket& bucket : one.distribution) {
      REQUIRE(at != theirs.end());
      const Bucket same = *at;
      CHECK(bucket.lower == same.lower);
      CHECK(bucket.count == same.count);
      ++at;
    }
    CHECK(at == theirs.end());
  }
}

TEST_CASE("threads that fold their own records of very many series have all of them in their distributions") {
  TelemetryConfig config = manual();
  config.buffer_size = 1'000;
  MetricsCollector collector(config);
  constexpr int kMany = 70'000;
  for (int i = 0; i < kMany; ++i) collector.histogram("h", {{"i", std::to_string(i)}}).record(i + 1);
  const auto snapshot = collector.flush();
  REQUIRE(snapshot->stats().spilled > kMany * 9 / 10);
  std::uint64_t missing = 0, counted = 0;
  for (const SeriesSnapshot& series : *snapshot) {
    missing += series.distribution.undistributed();
    counted += series.distribution.count();
  }
  CHECK(missing == 0);
  CHECK(counted == kMany);
}

TEST_CASE("a value above the expected interval counts those that were kept from being measured, in the distribution alone") {
  MetricsCollector collector(manual());
  const Histogram histogram = collector.histogram("values", {}, {.expected_interval = 10});
  histogram.record({5, 10, 100});
  const auto found = series(*collector.flush(), "values");
  CHECK(found->count == 3);
  CHECK(found->sum == 115);
  CHECK(found->distribution.backfilled() == 9);  // 90, 80, ... 10
  CHECK(found->distribution.count() == 12);
  CHECK(found->distribution.undistributed() == 0);
  CHECK(found->quantile(0.5) == doctest::Approx(40).epsilon(0.02));
}

TEST_CASE("what was filled back stays counted apart, whatever comes later") {
  MetricsCollector collector(manual());
  const Histogram histogram = collector.histogram("values", {}, {.expected_interval = 10});
  for (std::uint64_t turn = 1; turn <= 3; ++turn) {
    histogram.record({5, -3, 105, 105, 0});
    const auto found = series(*collector.flush(), "values");
    CHECK(found->distribution.backfilled() == turn * 18);
    CHECK(found->distribution.count() == turn * 23);
    CHECK(found->distribution.undistributed() == 0);
  }
}

TEST_CASE("a stall of thousands of millions of intervals is filled back whole") {
  MetricsCollector collector(manual());
  const Timer timer = collector.timer("stall", {}, {.expected_interval = 1e-6});
  timer.record(std::chrono::hours{1});
  const auto found = series(*collector.flush(), "stall");
  CHECK(static_cast<double>(found->distribution.backfilled()) == doctest::Approx(3.6e9).epsilon(0.01));
  for (const double q : {0.1, 0.5, 0.9}) CHECK(found->quantile(q) == doctest::Approx(q * 3600).epsilon(0.02));
  CHECK(found->distribution.undistributed() == 0);
}

TEST_CASE("what threads fold themselves is filled back as what the flusher folds is") {
  TelemetryConfig small = manual();
  small.buffer_size = 1;
  MetricsCollector spilling(small), other(manual());
  const SeriesOptions options{.expected_interval = 0.5};
  std::mt19937_64 random{5};
  std::lognormal_distribution<double> values{1, 0.7};
  for (int turn = 0; turn < 3; ++turn) {
    for (int i = 0; i < 5'000; ++i) {
      const double value = values(random) * (i % 10 == 0 ? -1 : 1);
      for (MetricsCollector* collector : {&spilling, &other}) collector->histogram("values", {}, options).record(value);
    }
    const auto snapshot = spilling.flush();
    CHECK(snapshot->stats().spilled > 0);
    const auto found = series(*snapshot, "values"), same = series(*other.flush(), "values");
    CHECK(found->distribution.backfilled() > 5'000);
    CHECK(found->distribution.backfilled() == same->distribution.backfilled());
    auto at = same->distribution.begin();
    for (const Bucket& bucket : found->distribution) {
      REQUIRE(at != same->distribution.end());
      const Bucket expected = *at++;
      CHECK(bucket.lower == expected.lower);
      CHECK(bucket.count == expected.count);
    }
    CHECK(at == same->distribution.end());
  }
}

TEST_CASE("a record that says that few are missing takes the time of few additions, however many buckets are between") {
  MetricsCollector collector(manual());
  const Histogram histogram = collector.histogram("values", {}, {.relative_error = 1e-6, .max_buckets = 1u << 20, .expected_interval = 1});
  for (int i = 0; i < 5'000; ++i) histogram.record(3.5 + i * 1e-4);
  const std::clock_t before = std::clock();
  const auto found = series(*collector.flush(), "values");
  CHECK(std::clock() - before < 20 * CLOCKS_PER_SEC);  // it is some 10 ms, and were two minutes
  CHECK(found->distribution.backfilled() >= 10'000);
}

TEST_CASE("a timer that is told its intended start counts the wait as well") {
  using Steady = std::chrono::steady_clock;
  MetricsCollector collector(manual());
  const Timer timer = collector.timer("wait");
  { const ScopedTimer timed(timer, Steady::now() - std::chrono::seconds{3}); }
  timer.record(Steady::now() - std::chrono::seconds{5});
  timer.record(Steady::now() + std::chrono::hours{1});
  const auto found = series(*collector.flush(), "wait");
  CHECK(found->count == 3);
  CHECK(found->max == doctest::Approx(5).epsilon(0.01));
  CHECK(found->quantile(0.5) == doctest::Approx(3).epsilon(0.02));
  CHECK(found->min == 0);
  ScopedTimer early(timer, Steady::now() + std::chrono::hours{1});
  CHECK(early.stop() < std::chrono::seconds{60});
}

TEST_CASE("options of a distribution that make no sense are refused by field and value") {
  MetricsCollector collector(manual());
  const auto message = [&](SeriesOptions options) -> std::string {
    try {
      (void)collector.histogram("values", {}, options);
    } catch (const std::invalid_argument& error) {
      return error.what();
    }
    return "";
  };
  for (const double wrong : {0.0, 9e-7, 0.6, -1.0, kNaN, kInfinity})
    CHECK(message({.relative_error = wrong}).find("relative_error") != std::string::npos);
  CHECK(message({.max_buckets = 7}).find("max_buckets is 7") != std::string::npos);
  CHECK(message({.max_buckets = 2'000'000}).find("max_buckets is 2") != std::string::npos);
  for (const double wrong : {-1.0, kNaN, kInfinity})
    CHECK(message({.expected_interval = wrong}).find("expected_interval") != std::string::npos);
}

TEST_CASE("a histogram draws itself in so many rows of so many characters") {
  MetricsCollector collector(manual());
  const Histogram histogram = collector.histogram("values");
  std::mt19937_64 random{9};
  for (int i = 0; i < 10'000; ++i) histogram.record(std::lognormal_distribution<double>{0, 3}(random));
  const auto found = series(*collector.flush(), "values");
  for (const std::size_t rows : {1u, 5u, 16u}) {
    const std::string text = found->histogram_text(rows, 60);
    CHECK(static_cast<std::size_t>(std::ranges::count(text, '\n')) <= rows);
    CHECK(!text.empty());
    std::size_t longest = 0, begin = 0;
    for (std::size_t end = 0; (end = text.find('\n', begin)) != std::string::npos; begin = end + 1)
      longest = std::max(longest, end - begin);
    CHECK(longest <= 60);
  }
  (void)collector.summary("none");
  CHECK(series(*collector.flush(), "none")->histogram_text().empty());
}
