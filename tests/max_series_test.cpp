#include "contract.hpp"

#include <atomic>

using namespace pepper;
using contract::count;
using contract::series;

namespace {

TelemetryConfig at_most(std::size_t max_series) {
  TelemetryConfig config = contract::manual();
  config.max_series = max_series;
  return config;
}

/// Of all series together: what overflows must not be lost on the way.
std::uint64_t total(const Snapshot& snapshot) {
  std::uint64_t total = 0;
  for (const SeriesSnapshot& one : snapshot) total += one.count;
  return total;
}

constexpr Tag kOverflow{"pepper.overflow", "true"};

}  // namespace

TEST_CASE("max_series series have a series each") {
  MetricsCollector collector(at_most(100));
  for (int i = 0; i < 100; ++i) collector.counter("hits", {{"i", std::to_string(i)}}).add(i);
  const auto snapshot = collector.flush();
  CHECK(snapshot->size() == 100);
  CHECK(snapshot->stats().series == 100);
  for (int i = 0; i < 100; ++i) CHECK(series(*snapshot, "hits", {{"i", std::to_string(i)}})->sum == i);
  CHECK(snapshot->find("hits", {kOverflow}) == nullptr);
  CHECK(snapshot->find("pepper.overflow") == nullptr);
}

TEST_CASE("past max_series, new tags of a known name go to that name's overflow series") {
  MetricsCollector collector(at_most(2));
  collector.counter("hits", {{"i", "0"}}).add(1);
  collector.counter("calls").add(2);
  collector.counter("hits", {{"i", "1"}}).add(4);
  collector.counter("hits").add(8);
  collector.counter("calls", {{"i", "1"}}).add(16);
  const auto snapshot = collector.flush();
  CHECK(series(*snapshot, "hits", {{"i", "0"}})->sum == 1);
  CHECK(series(*snapshot, "calls")->sum == 2);
  CHECK(snapshot->find("hits") == nullptr);
  CHECK(series(*snapshot, "hits", {kOverflow})->sum == 12);
  CHECK(series(*snapshot, "calls", {kOverflow})->sum == 16);
  CHECK(snapshot->find("pepper.overflow") == nullptr);
  CHECK(snapshot->size() == 4);
  CHECK(snapshot->stats().series == 4);
}

TEST_CASE("past max_series, new names go to pepper.overflow") {
  MetricsCollector collector(at_most(1));
  collector.counter("hits").add(1);
  collector.counter("calls").add(2);
  collector.counter("calls", {{"i", "1"}}).add(4);
  collector.counter("bytes", {{"i", "1"}}).add(8);
  const auto snapshot = collector.flush();
  CHECK(series(*snapshot, "pepper.overflow")->sum == 14);
  CHECK(series(*snapshot, "hits")->sum == 1);
  CHECK(snapshot->size() == 2);
}

TEST_CASE("past max_series, known series are still found") {
  MetricsCollector collector(at_most(1));
  collector.counter("hits").add();
  collector.counter("calls").add();
  collector.counter("hits").add();
  CHECK(collector.record("hits", 1));
  CHECK(count(*collector.flush(), "hits") == 3);
}

TEST_CASE("record() overflows as bind does, and accepts what overflows") {
  MetricsCollector collector(at_most(2));
  for (int round = 0; round < 3; ++round) {
    for (int i = 0; i < 50; ++i) CHECK(collector.record("hits", 1, {{"i", std::to_string(i)}}));
    for (int i = 0; i < 50; ++i) CHECK(collector.record("name" + std::to_string(i), 1));
  }
  const auto snapshot = collector.flush();
  CHECK(count(*snapshot, "hits", {{"i", "0"}}) == 3);
  CHECK(count(*snapshot, "hits", {{"i", "1"}}) == 3);
  CHECK(count(*snapshot, "hits", {kOverflow}) == 48 * 3);
  CHECK(count(*snapshot, "pepper.overflow") == 50 * 3);
  CHECK(snapshot->size() == 4);
  CHECK(total(*snapshot) == snapshot->stats().recorded);
  CHECK(snapshot->stats().rejected == 0);
}

TEST_CASE("handles of series that overflowed lose nothing") {
  constexpr int kBound = 300, kRecords = 100;
  MetricsCollector collector(at_most(10));
  std::vector<Counter> handles;
  for (int i = 0; i < kBound; ++i) handles.push_back(collector.counter("hits", {{"i", std::to_string(i)}}));
  for (int r = 0; r < kRecords; ++r) {
    for (const Counter& handle : handles) handle.add();
  }
  const auto snapshot = collector.flush();
  CHECK(snapshot->size() == 11);
  CHECK(count(*snapshot, "hits", {kOverflow}) == (kBound - 10) * kRecords);
  CHECK(total(*snapshot) == kBound * kRecords);
}

TEST_CASE("max_series is exact when threads race for the last series") {
  constexpr std::size_t kThreads = 4, kLimit = 100, kTried = 200;
  for (int round = 0; round < 20; ++round) {
    MetricsCollector collector(at_most(kLimit));
    contract::on_threads(kThreads, [&](std::size_t me) {
      for (std::size_t i = 0; i < kTried; ++i) {
        // Half of them everybody wants, half of them are this thread's own.
        const std::string value = i % 2 == 0 ? std::to_string(i) : std::to_string(i) + "/" + std::to_string(me);
        if (i % 3 == 0) {
          (void)collector.record("hits", 1, {{"i", value}});
        } else {
          collector.counter("hits", {{"i", value}}).add();
        }
      }
    });
    const auto snapshot = collector.flush();
    CHECK(snapshot->size() == kLimit + 1);
    CHECK(snapshot->find("hits", {kOverflow}) != nullptr);
    CHECK(total(*snapshot) == kThreads * kTried);
  }
}

TEST_CASE("kinds, units and helps that meet in an overflow series are no conflict of anybody's") {
  MetricsCollector collector(at_most(1));
  (void)collector.counter("hits");
  (void)collector.counter("calls", {}, {.unit = "1"});
  (void)collector.gauge("level", {}, {.unit = "m", .help = "of water"});
  (void)collector.timer("load");
  CHECK(collector.flush()->stats().bind_conflicts == 0);
}

TEST_CASE("an overflowing gauge may be negative, though a counter overflowed before it") {
  MetricsCollector collector(at_most(1));
  collector.counter("hits").add();
  collector.counter("calls").add();
  collector.gauge("level").set(-5);
  collector.summary("sizes").record(-6);
  const auto snapshot = collector.flush();
  CHECK(total(*snapshot) == 4);
  CHECK(snapshot->stats().dropped == 0);
}
