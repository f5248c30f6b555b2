#include "contract.hpp"

#include <pepper/pepper.hpp>

#include <doctest/doctest.h>

#include <chrono>
#include <cmath>
#include <limits>

namespace {

using namespace std::chrono_literals;
using contract::manual;
using pepper::Aggregate;
using pepper::AggregatingCollector;
using pepper::MetricsCollector;
using pepper::RateLimitedCollector;
using pepper::SamplingCollector;

TEST_CASE("a request's own numbers are there at once, and the originals go on") {
  MetricsCollector collector(manual());
  collector.summary("rows").record(1'000);
  AggregatingCollector request{collector};
  const auto rows = request.summary("rows");
  rows.record(7);
  rows.record({5, 3});
  const Aggregate mine = request.find("rows");
  CHECK(mine.count == 3);
  CHECK(mine.sum() == 15);
  CHECK(mine.mean() == 5);
  CHECK(mine.min == 3);
  CHECK(mine.max == 7);
  CHECK(mine.last == 3);
  CHECK(request.flush()->find("rows")->count == 4);
}

TEST_CASE("every kind of handle and the dynamic path are aggregated by name and tags") {
  MetricsCollector collector(manual());
  AggregatingCollector request{collector};
  request.counter("calls", {{"to", "db"}}).add(2);
  request.counter("calls", {{"to", "db"}}).add();
  request.counter("calls", {{"to", "cache"}}).add();
  request.gauge("depth").set(4);
  request.histogram("bytes").record(512);
  request.timer("wait").record(250ms);
  CHECK(request.record("rows", 9, {{"b", "2"}, {"a", "1"}}));
  CHECK(request.record("rows", 1, {{"a", "1"}, {"b", "2"}}));
  CHECK(request.find("calls", {{"to", "db"}}).sum() == 3);
  CHECK(request.find("calls", {{"to", "cache"}}).count == 1);
  CHECK(request.find("depth").last == 4);
  CHECK(request.find("bytes").max == 512);
  CHECK(request.find("wait").sum() == 0.25);
  CHECK(request.find("rows", {{"a", "1"}, {"b", "2"}}).count == 2);
  CHECK(request.find("nothing").count == 0);
  CHECK(std::isnan(request.find("nothing").min));
  CHECK(request.aggregates().size() == 6);
  request.clear();
  CHECK(request.find("rows", {{"a", "1"}, {"b", "2"}}).count == 0);
  CHECK(collector.flush()->stats().recorded == 8);
}

TEST_CASE("what the collector refuses is in no aggregate") {
  MetricsCollector collector(manual());
  AggregatingCollector request{collector};
  request.counter("c").add(-1);
  request.counter("c").record({-1, 2});
  request.summary("s").record(std::numeric_limits<double>::quiet_NaN());
  CHECK_FALSE(request.record("", 1));
  CHECK(request.find("c").count == 1);
  CHECK(request.find("s").count == 0);
  const auto snapshot = collector.flush();
  CHECK(snapshot->find("c")->count == 1);
  CHECK(snapshot->find("s")->count == 0);
}

TEST_CASE("a sum of many values keeps its last digits") {
  Aggregate aggregate;
  aggregate.add(1e16);
  for (int i = 0; i < 1'000; ++i) aggregate.add(1);
  aggregate.add(-1e16);
  CHECK(aggregate.sum() == 1'000);
  aggregate.add(std::numeric_limits<double>::infinity());
  CHECK(aggregate.sum() == std::numeric_limits<double>::infinity());
}

TEST_CASE("over a sampler and a limit it has every call, under them what they let through") {
  MetricsCollector collector(manual());
  AggregatingCollector over{SamplingCollector{RateLimitedCollector{collector, 1e12}, 0.5, 1}};
  SamplingCollector sampling_over{AggregatingCollector{collector}, 0.5, 2};
  RateLimitedCollector limit_over{AggregatingCollector{collector}, 1e-3};
  const auto a = over.counter("a");
  const auto b = sampling_over.counter("b");
  const auto c = limit_over.counter("c");
  for (int i = 0; i < 1'000; ++i) {
    a.add();
    b.add();
    c.add();
  }
  const auto snapshot = collector.flush();
  CHECK(over.find("a").count == 1'000);
  CHECK(snapshot->find("a")->recorded < 600);
  CHECK(sampling_over.inner().find("b").count == snapshot->find("b")->recorded);
  CHECK(limit_over.inner().find("c").count == 1);
}

}  // namespace
