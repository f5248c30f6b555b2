#include "prometheus_shown.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <map>

using namespace shown;

namespace {

std::uint64_t at_most(std::vector<double> values, double border) {
  return static_cast<std::uint64_t>(std::ranges::count_if(values, [&](double value) { return value <= border; }));
}

}  // namespace

TEST_CASE("a histogram's chosen borders are the next borders of buckets, and their counts are exact") {
  const std::vector<double> chosen{-7.5, -2, 0, 0.001, 0.01, 0.0625, 1, 2.5, 1000};
  Shown shown(with_buckets(chosen));
  const Histogram histogram = shown.collector.histogram("latency");
  std::vector<double> values{-8, -7.5, -2, -1, 0, 0, 0.0625, 1, 2.5, 5000};
  for (int i = 1; i < 3000; ++i) values.push_back(std::sin(i) * std::exp(i % 17 - 9));
  histogram.record(values);
  const Page page = shown.page();
  const auto buckets = page.samples("latency_bucket");
  REQUIRE(buckets.size() == chosen.size() + 1);
  for (std::size_t i = 0; i < chosen.size(); ++i) {
    const double border = std::strtod(buckets[i].labels.at("le").c_str(), nullptr);
    CAPTURE(chosen[i]);
    CHECK(border >= chosen[i]);
    CHECK(border <= chosen[i] + std::abs(chosen[i]) * 0.045);
    CHECK(buckets[i].value == at_most(values, border));
  }
  CHECK(buckets.back().labels.at("le") == "+Inf");
  CHECK(buckets.back().value == values.size());
  CHECK(page.value("latency_count") == values.size());
}

TEST_CASE("where no borders are chosen they are powers of two as far as values reach, 24 at most, with exact counts") {
  for (const double factor : {2.0, 1.01, 7.0, 1e6}) {
    CAPTURE(factor);
    Shown shown;
    std::vector<double> values;
    for (double value = 1e-6; values.size() < 40 && value < 1e200; value *= factor) values.push_back(value);
    values.push_back(4);
    shown.collector.histogram("h").record(values);
    const auto buckets = shown.page().samples("h_bucket");
    CHECK(buckets.size() <= 25);
    for (const auto& bucket : buckets) {
      const double border = std::strtod(bucket.labels.at("le").c_str(), nullptr);
      CHECK(bucket.value == at_most(values, border));
      if (border < kInfinity) CHECK(std::abs(std::remainder(std::log2(border), 1)) < 1e-12);
    }
    CHECK(buckets.front().value == 0);
    CHECK(buckets[buckets.size() - 2].value == values.size());
  }
}

TEST_CASE("an infinite value moves no border but the last") {
  Shown shown;
  shown.collector.histogram("with").record({1, 1000, kInfinity});
  shown.collector.histogram("without").record({1, 1000});
  shown.collector.histogram("alone").record(kInfinity);
  const Page page = shown.page();
  CHECK(page.samples("with_bucket").size() == 13);  // 0.5 to 1024, infinity
  CHECK(page.samples("without_bucket").size() == 13);
  CHECK(page.value("with_bucket", {{"le", "1024"}}) == 2);
  CHECK(page.value("with_bucket", {{"le", "+Inf"}}) == 3);
  CHECK(page.samples("alone_bucket").size() == 1);
}

TEST_CASE("all histograms of a name have the same borders, whatever their scale, and those without a record zeros") {
  for (const bool are_chosen : {false, true}) {
    Shown shown(with_buckets(are_chosen ? std::vector{0.02, 0.3, 7.0, 100.0} : std::vector<double>{}));
    const std::vector<double> values{0.02, 0.29, 0.3, 1, 6.9, 7, 30, 99, 101};
    shown.collector.histogram("h", {{"error", "small"}}, {.relative_error = 0.001}).record(values);
    shown.collector.histogram("h", {{"error", "large"}}, {.relative_error = 0.2}).record(values);
    (void)shown.collector.histogram("h", {{"error", "none"}});
    std::map<std::string, std::vector<std::string>> borders;
    for (const auto& bucket : shown.page().samples("h_bucket")) {
      const std::string& le = bucket.labels.at("le");
      borders[bucket.labels.at("error")].push_back(le);
      CHECK(bucket.value == (bucket.labels.at("error") == "none" ? 0 : at_most(values, std::strtod(le.c_str(), nullptr))));
    }
    CHECK(borders["small"].size() > 4);
    CHECK(borders["small"] == borders["large"]);
    CHECK(borders["small"] == borders["none"]);
  }
}

TEST_CASE("a timer shown as a summary has its quantiles") {
  PrometheusOptions options;
  options.shapes["request_duration"] = {.type = PrometheusType::summary, .quantiles = {0, 0.5, 0.99, 1}};
  Shown shown(options);
  const Timer timer = shown.collector.timer("request_duration");
  for (int i = 1; i <= 1000; ++i) timer.record(std::chrono::milliseconds{i});
  Page page = shown.page();
  CHECK(page.families["request_duration"].type == "summary");
  CHECK(page.value("request_duration", {{"quantile", "0"}}) == 0.001);
  CHECK(page.value("request_duration", {{"quantile", "0.5"}}) == doctest::Approx(0.5).epsilon(0.01));
  CHECK(page.value("request_duration", {{"quantile", "0.99"}}) == doctest::Approx(0.99).epsilon(0.01));
  CHECK(page.value("request_duration", {{"quantile", "1"}}) == 1);
  CHECK(page.value("request_duration_count") == 1000);
  CHECK(page.value("request_duration_sum") == doctest::Approx(500.5));
}

TEST_CASE("records that a distribution has no buckets for are counted above all borders") {
  Shown shown;
  REQUIRE(shown.collector.record("h", 1.0));
  REQUIRE(shown.collector.record("h", 2.0, {{"k", "dynamic"}}));
  (void)shown.collector.flush();
  shown.collector.histogram("h").record(8);
  const Page page = shown.page();
  CHECK(page.value("h_bucket", {{"le", "8"}}) == 1);
  CHECK(page.value("h_bucket", {{"le", "+Inf"}}) == 2);
  CHECK(page.value("h_count") == 2);
  CHECK(page.value("h_bucket", {{"k", "dynamic"}, {"le", "+Inf"}}) == 1);
  CHECK(page.samples("h_bucket").back().labels.at("le") == "+Inf");
}

TEST_CASE("a sampled histogram's buckets stand for all calls, as its count does") {
  Shown shown(with_buckets({1, 4}));
  SamplingCollector sampled{shown.collector, 0.1, 1};
  const auto histogram = sampled.histogram("h");
  for (int i = 0; i < 10'000; ++i) histogram.record(i % 2 == 0 ? 1 : 3);
  const Page page = shown.page();
  const double all = page.value("h_count");
  CHECK(std::abs(all - 10'000) < 1'500);
  CHECK(std::abs(page.value("h_bucket", {{"le", "1"}}) / all - 0.5) < 0.1);
  CHECK(page.value("h_bucket", {{"le", "4"}}) == all);
  CHECK(page.value("h_bucket", {{"le", "+Inf"}}) == all);
  CHECK(std::abs(page.value("h_sum") / all - 2) < 0.2);
}

TEST_CASE("no bucket of a series that is recorded at several sample rates, and without one, goes down from scrape to scrape") {
  Shown shown(with_buckets({1, 4, 16, 64}));
  SamplingCollector tenth{shown.collector, 0.1, 1}, third{shown.collector, 1.0 / 3, 2};
  const Histogram plain = shown.collector.histogram("h", {}, {.expected_interval = 10});
  const auto in_tenth = tenth.histogram("h"), in_third = third.histogram("h");
  std::map<std::string, double> before;
  int backfilled = 0;
  for (int scrape = 0; scrape < 60; ++scrape) {
    CAPTURE(scrape);
    // Now one, now another has the most, each with values of its own.
    for (int i = 0; i < 1 << (scrape * 5 % 11); ++i) in_tenth.record(scrape % 3 == 0 ? 2 : 8);
    for (int i = 0; i < 1 << (scrape * 7 % 11); ++i) in_third.record(i % 2 == 0 ? 1 : 40);
    for (int i = 0; i < 1 << (scrape * 3 % 11); ++i) plain.record(scrape % 2 == 0 ? 3 : 55);
    const Page page = shown.page();
    const auto buckets = page.samples("h_bucket");
    REQUIRE(buckets.size() == 5);
    double below = 0;
    for (const auto& bucket : buckets) {
      const std::string& le = bucket.labels.at("le");
      CAPTURE(le);
      CHECK(bucket.value >= before[le]);
      CHECK(bucket.value >= below);
      below = before[le] = bucket.value;
    }
    CHECK(buckets.back().labels.at("le") == "+Inf");
    CHECK(buckets.back().value == page.value("h_count"));
    CHECK(buckets[3].value == page.value("h_count"));  // all are below 64
    const auto found = shown.collector.snapshot()->find("h");
    CHECK(page.value("h_count") == static_cast<double>(found->count + found->distribution.backfilled()));
    backfilled += found->distribution.backfilled() != 0;
  }
  CHECK(backfilled > 50);
}
