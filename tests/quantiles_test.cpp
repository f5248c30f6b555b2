#include "contract.hpp"
#include "sanitizers.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <random>
#include <sstream>
#include <tuple>

using namespace pepper;
using contract::manual;
using contract::series;

namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity(), kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr std::size_t kMany = sanitizers::kIsAsan || sanitizers::kIsTsan ? 50'000 : 1'000'000;

/// The value at rank ceil(q n), from 1 on.
double exact_quantile(const std::vector<double>& sorted, double q) {
  const double rank = std::ceil(q * static_cast<double>(sorted.size()));
  return sorted[static_cast<std::size_t>(std::clamp(rank, 1.0, static_cast<double>(sorted.size()))) - 1];
}

bool is_within(double value, double exact, double relative_error) {
  return value == exact || std::abs(value - exact) <= std::abs(exact) * relative_error + std::abs(exact) * 1e-12;
}

std::size_t wrong_quantiles(const SeriesSnapshot& of, std::vector<double> values) {
  std::ranges::sort(values);
  std::size_t wrong = 0;
  double before = -kInfinity;
  for (int step = 0; step <= 2000; ++step) {
    // Dense at both ends, where ranks are few.
    const double x = step / 2000.0, q = step % 3 == 0 ? x : step % 3 == 1 ? std::pow(x, 8) / 2 : 1 - std::pow(1 - x, 8);
    const double value = of.quantile(q), exact = exact_quantile(values, q);
    wrong += !is_within(value, exact, of.distribution.relative_error());
    wrong += !(value >= of.min && value <= of.max);
  }
  for (int step = 0; step <= 5000; ++step) {
    const double value = of.quantile(step / 5000.0);
    wrong += !(value >= before);
    before = value;
  }
  return wrong;
}

std::shared_ptr<const SeriesSnapshot> recorded(MetricsCollector& collector, const std::vector<double>& values, SeriesOptions options) {
  collector.histogram("values", {}, options).record(values);
  return series(*collector.flush(), "values");
}

using Counts = std::vector<std::tuple<double, double, std::uint64_t>>;

Counts counts_of(const Distribution& of) {
  Counts counts;
  for (const Bucket& bucket : of) counts.emplace_back(bucket.lower, bucket.upper, bucket.count);
  return counts;
}

std::vector<std::string> lines(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

}  // namespace

TEST_CASE("quantiles keep their error and their order at every q, for the finest error and the coarsest") {
  std::mt19937_64 random{11};
  std::lognormal_distribution<double> log_normal{0, 2};
  std::normal_distribution<double> normal{0, 1e-3};
  std::vector<double> positive(kMany), mixed(kMany), few(101);
  for (double& value : positive) value = log_normal(random);
  for (double& value : mixed) value = std::pow(normal(random), 3);
  for (std::size_t i = 0; i < mixed.size(); i += 7) mixed[i] = i % 2 == 0 ? 0.0 : -0.0;
  for (std::size_t i = 1; i < mixed.size(); i += 1001) mixed[i] = i % 2 == 0 ? kInfinity : -kInfinity;
  for (double& value : few) value = -log_normal(random);
  for (const double relative_error : {0.001, 0.01, 0.2, 0.5}) {
    for (const auto* const values : {&positive, &mixed, &few}) {
      CAPTURE(relative_error);
      MetricsCollector collector(manual());
      const auto found = recorded(collector, *values, {.relative_error = relative_error, .max_buckets = 1u << 20});
      CHECK(found->distribution.relative_error() <= relative_error);
      CHECK(found->distribution.count() == values->size());
      CHECK(found->distribution.undistributed() == 0);
      CHECK(wrong_quantiles(*found, *values) == 0);
    }
  }
}

TEST_CASE("quantiles keep the error they state while the range goes on growing, each flush on its way") {
  MetricsCollector collector(manual());
  const Histogram histogram = collector.histogram("values", {}, {.max_buckets = 64});
  std::vector<double> values;
  double stated = 0;
  for (int turn = 0; turn < 60; ++turn) {
    for (int i = 0; i < 50; ++i) {
      const double value = std::pow(10, turn / 2.0) * (1 + i / 25.0);
      values.insert(values.end(), {value, 1 / value, -value});
      histogram.record({value, 1 / value, -value});
    }
    const auto found = series(*collector.flush(), "values");
    CHECK(found->distribution.relative_error() >= stated);
    stated = found->distribution.relative_error();
    CHECK(wrong_quantiles(*found, values) == 0);
  }
  CHECK(stated > 0.01);
}

TEST_CASE("eight buckets hold every finite double, of both signs, and the error they state is kept") {
  std::vector<double> values{5e-324, -5e-324, 1e-320, 1e308, -1e308, 1.7976931348623157e308};
  std::vector<double> normal;
  for (int exponent = -307; exponent <= 308; ++exponent) {
    for (const double value : {1.0, -3.0}) normal.push_back(std::clamp(value * std::pow(10, exponent), -1e308, 1e308));
  }
  MetricsCollector collector(manual());
  const auto of_normal = recorded(collector, normal, {.max_buckets = 8});
  CHECK(of_normal->distribution.relative_error() > 0.5);
  CHECK(wrong_quantiles(*of_normal, normal) == 0);
  collector.histogram("values").record(values);
  const auto found = series(*collector.flush(), "values");
  CHECK(found->distribution.count() == normal.size() + values.size());
  CHECK(counts_of(found->distribution).size() <= 8);
  CHECK(found->quantile(0) == -1e308);
  CHECK(found->quantile(1) == 1.7976931348623157e308);
}

TEST_CASE("cdf() and count_above() are exact at every border of every bucket") {
  std::mt19937_64 random{13};
  std::vector<double> values(10'000);
  for (double& value : values) value = std::normal_distribution<double>{0, 10}(random);
  for (std::size_t i = 0; i < 300; ++i) values[i] = 0;
  values.insert(values.end(), {kInfinity, kInfinity, -kInfinity});
  MetricsCollector collector(manual());
  const auto found = recorded(collector, values, {});
  std::ranges::sort(values);
  const auto n = static_cast<double>(values.size());
  double before = 0;
  for (const Bucket& bucket : found->distribution) {
    for (const double border : {bucket.lower, bucket.upper}) {
      CAPTURE(border);
      const auto up_to = std::ranges::upper_bound(values, border) - values.begin();
      CHECK(found->distribution.cdf(border) == doctest::Approx(static_cast<double>(up_to) / n).epsilon(1e-12));
      CHECK(found->distribution.count_above(border) == values.size() - static_cast<std::size_t>(up_to));
      CHECK(found->distribution.cdf(border) >= before);
      before = found->distribution.cdf(border);
    }
  }
  CHECK(found->distribution.cdf(kInfinity) == 1);
  CHECK(found->distribution.cdf(-kInfinity) == doctest::Approx(1 / n));
  CHECK(std::isnan(found->distribution.cdf(kNaN)));
  CHECK(found->distribution.count_above(kNaN) == 0);
}

TEST_CASE("cdf() rises from one value to the next, between borders as well") {
  std::mt19937_64 random{17};
  std::vector<double> values(2'000), asked(20'000);
  for (double& value : values) value = std::normal_distribution<double>{0, 1}(random);
  for (double& x : asked) x = std::normal_distribution<double>{0, 2}(random);
  MetricsCollector collector(manual());
  const Distribution distribution = recorded(collector, values, {.relative_error = 0.3})->distribution;
  std::ranges::sort(asked);
  double before = 0;
  std::size_t wrong = 0;
  for (const double x : asked) {
    const double cdf = distribution.cdf(x), above = static_cast<double>(distribution.count_above(x));
    wrong += !(cdf >= before && cdf <= 1);
    wrong += !(std::abs(above - (1 - cdf) * 2000) <= 0.5 + 1e-9);
    before = cdf;
  }
  CHECK(wrong == 0);
}

TEST_CASE("cdf() and count_above() are linear in a bucket that ends at an infinity as in any other") {
  std::vector<double> values(1'000), mirrored(1'000);
  for (std::size_t i = 0; i < values.size(); ++i) {
    values[i] = 8.99e307 * (1 + static_cast<double>(i) / 1001);
    mirrored[i] = -values[i];
  }
  MetricsCollector collector(manual()), other(manual());
  const Distribution up = recorded(collector, values, {.relative_error = 0.5})->distribution,
                     down = recorded(other, mirrored, {.relative_error = 0.5})->distribution;
  REQUIRE(std::isinf((*up.begin()).upper));
  REQUIRE(std::isinf((*down.begin()).lower));
  for (const double x : {9e307, 1e308, 1.2e308, 1.5e308, 1.79e308}) {
    CAPTURE(x);
    const auto at_most = static_cast<double>(std::ranges::count_if(values, [x](double value) { return value <= x; }));
    CHECK(std::abs(up.cdf(x) - at_most / 1000) < 2e-3);
    CHECK(std::abs(static_cast<double>(up.count_above(x)) - (1000 - at_most)) <= 2);
    CHECK(std::abs(down.cdf(-x) - (1 - at_most / 1000)) < 2e-3);
    CHECK(std::abs(static_cast<double>(down.count_above(-x)) - at_most) <= 2);
  }
}

TEST_CASE("a bucket holds the values between its borders, those of denormals too") {
  for (const double value : {5e-324, 1e-323, 1.5e-323, 2e-323, 3.5e-323, 1e-321, 1e-315, 2.2250738585072009e-308, 2.2250738585072014e-308,
                             0.1, 1.0, 1e300, 1.7976931348623157e308}) {
    for (const double sign : {1.0, -1.0}) {
      CAPTURE(value * sign);
      MetricsCollector collector(manual());
      const Distribution distribution = recorded(collector, {value * sign}, {})->distribution;
      const Bucket bucket = *distribution.begin();
      CHECK(bucket.count == 1);
      CHECK((sign > 0 ? bucket.lower < value && value <= bucket.upper : bucket.lower <= -value && -value < bucket.upper));
    }
  }
}

TEST_CASE("buckets are ascending, disjoint, and add up, of denormals, zeros, both signs and infinities") {
  std::mt19937_64 random{19};
  std::vector<double> values{0, -0.0, kInfinity, -kInfinity, 1.7976931348623157e308, -1.7976931348623157e308};
  for (int i = 0; i < 3'000; ++i) {
    const double any = std::ldexp(1 + static_cast<double>(random() % 1000) / 1000, static_cast<int>(random() % 200) - 1074);
    values.insert(values.end(), {any, -any});
  }
  MetricsCollector collector(manual());
  const Distribution distribution = recorded(collector, values, {.max_buckets = 1u << 20})->distribution;
  CHECK(distribution.undistributed() == 0);
  std::uint64_t sum = 0;
  double end = -kInfinity;
  std::size_t wrong = 0;
  for (const Bucket& bucket : distribution) {
    wrong += !(bucket.lower >= end && bucket.upper >= bucket.lower && bucket.count != 0);
    end = bucket.upper;
    sum += bucket.count;
  }
  CHECK(wrong == 0);
  CHECK(sum == values.size());
}

TEST_CASE("quantiles of what was filled back lie below what was recorded") {
  MetricsCollector collector(manual());
  const auto found = recorded(collector, {100}, {.expected_interval = 10});
  const Distribution& distribution = found->distribution;
  REQUIRE(distribution.count() == 10);  // 100, and 90, 80, ... 10 that nobody recorded
  CHECK(found->min == 100);             // what was recorded
  CHECK(distribution.quantile(0.5) == doctest::Approx(50).epsilon(0.02));
  CHECK(distribution.quantile(0.1) == doctest::Approx(10).epsilon(0.06));  // counted down from 100 as its bucket has it
  CHECK(distribution.quantile(1) == 100);
  CHECK(distribution.cdf(55) == doctest::Approx(0.5).epsilon(0.02));
  CHECK(distribution.count_above(55) == 5);
}

TEST_CASE("where values were filled back, quantile(0) is the least of them and of what was recorded, and no quantile is below") {
  struct Filled {
    std::vector<double> values;
    SeriesOptions options;
    double least;
  };
  const Filled all[] = {
      {{7.99, 100}, {.relative_error = 0.4, .expected_interval = 10}, 7.99},
      {{-5, 100}, {.relative_error = 0.4, .expected_interval = 1}, -5},
      {{0, 100}, {.expected_interval = 10}, 0},
      {{5, 10, 100}, {.expected_interval = 10}, 5},
      {{1000, 2000}, {.relative_error = 0.5, .max_buckets = 8, .expected_interval = 700}, 700},
      {{100}, {.expected_interval = 10}, 10},
  };
  for (const Filled& filled : all) {
    CAPTURE(filled.least);
    MetricsCollector collector(manual());
    const auto found = recorded(collector, filled.values, filled.options);
    const Distribution& distribution = found->distribution;
    const double least = distribution.quantile(0), error = distribution.relative_error();
    if (filled.least == found->min) {
      CHECK(least == filled.least);
    } else {  // counted down from what stands for a bucket, and never to below the interval
      CHECK(least >= filled.least);
      CHECK(least <= std::min(found->min, 2 * filled.options.expected_interval));
    }
    CHECK(is_within(distribution.quantile(1e-9), least, error));
    CHECK(distribution.cdf(std::nextafter(least, -kInfinity)) == 0);
    CHECK(distribution.count_above(std::nextafter(least, -kInfinity)) == distribution.count());
    double before = least;
    for (int step = -100; step <= 1100; ++step) {
      const double value = distribution.quantile(step / 1000.0);
      CHECK(value >= before);
      before = value;
    }
    CHECK(before == found->max);
  }
}

TEST_CASE("snapshots that are kept stay as they were while more is recorded, at lower scales and by other ways as well") {
  MetricsCollector collector(manual());
  const Histogram histogram = collector.histogram("values", {}, {.max_buckets = 40});
  std::vector<std::tuple<std::shared_ptr<const SeriesSnapshot>, Counts, double>> kept;
  double value = 1;
  for (int turn = 0; turn < 100; ++turn) {
    histogram.record({value, -value, 0});
    CHECK(collector.record("values", 1));
    const auto found = series(*collector.flush(), "values");
    kept.emplace_back(found, counts_of(found->distribution), found->quantile(0.7));
    value *= 1.3;
  }
  std::uint64_t records = 0;
  for (const auto& [found, counts, quantile] : kept) {
    CHECK(found->distribution.count() == (records += 4));
    CHECK(counts_of(found->distribution) == counts);
    CHECK(found->quantile(0.7) == quantile);
  }
}

TEST_CASE("a distribution lives on in its snapshot when its collector is gone and another has come") {
  std::shared_ptr<const SeriesSnapshot> found;
  Counts counts;
  {
    MetricsCollector collector(manual());
    found = recorded(collector, {1, 2, 3, 1000}, {});
    counts = counts_of(found->distribution);
  }
  MetricsCollector next(manual());
  const std::size_t before = next.stats().memory_bytes;
  (void)recorded(next, {5, 6, 7}, {});
  CHECK(counts_of(found->distribution) == counts);
  found.reset();
  CHECK(next.flush()->stats().memory_bytes >= before);
}

TEST_CASE("only histograms and timers have a distribution") {
  MetricsCollector collector(manual());
  collector.counter("counter").add(1);
  collector.gauge("gauge").set(1);
  collector.summary("summary").record(1);
  collector.histogram("histogram").record(1);
  collector.timer("timer").record(std::chrono::seconds{1});
  CHECK(collector.record("dynamic", 1));
  const auto snapshot = collector.flush();
  for (const SeriesSnapshot& one : *snapshot) {
    CAPTURE(std::string(one.name));
    const bool has_distribution = one.kind == Kind::histogram || one.kind == Kind::timer;
    CHECK(one.distribution.count() == (has_distribution ? 1 : 0));
    CHECK(one.distribution.undistributed() == 0);
    CHECK(std::isnan(one.quantile(0.5)) != has_distribution);
    CHECK(std::isnan(one.distribution.cdf(1)) != has_distribution);
    CHECK(one.distribution.count_above(0) == (has_distribution ? 1 : 0));
    CHECK((one.distribution.begin() == one.distribution.end()) != has_distribution);
    CHECK(one.histogram_text().empty() != has_distribution);
  }
}

TEST_CASE("a distribution of no record says nothing") {
  const Distribution distribution;
  CHECK(distribution.count() == 0);
  CHECK(distribution.backfilled() == 0);
  CHECK(distribution.undistributed() == 0);
  CHECK(std::isnan(distribution.quantile(0.5)));
  CHECK(distribution.begin() == distribution.end());
}

TEST_CASE("the error that is asked for is at least kept, whatever it is") {
  for (double asked = 1e-6; asked <= 0.5; asked *= 1.7) {
    CAPTURE(asked);
    MetricsCollector collector(manual());
    const auto found = recorded(collector, {1.0, 1.0001, 1.0002}, {.relative_error = asked, .max_buckets = 1u << 20});
    CHECK(found->distribution.relative_error() <= asked);
    CHECK(is_within(found->quantile(0.5), 1.0001, found->distribution.relative_error()));
  }
}

TEST_CASE("a histogram of both signs and zeros keeps to its rows and its width") {
  MetricsCollector collector(manual());
  std::vector<double> values{0, kInfinity, -kInfinity};
  std::mt19937_64 random{23};
  for (int i = 0; i < 10'000; ++i) values.push_back(std::pow(std::normal_distribution<double>{0, 1}(random), 7) * 1.2345678e-100);
  const auto found = recorded(collector, values, {});
  for (const std::size_t rows : {5u, 6u, 16u, 100u}) {
    CAPTURE(rows);
    const std::vector<std::string> drawn = lines(found->histogram_text(rows, 60));
    CHECK(!drawn.empty());
    CHECK(drawn.size() <= rows);
    for (const std::string& line : drawn) CHECK(line.size() <= 60);
  }
}
