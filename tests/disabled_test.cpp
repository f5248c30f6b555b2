// This file has the switch, disabled_beside.cpp has not: one program. Unoptimised, so that what clashes is not inlined away.
#define PEPPER_DISABLED
#include "contract.hpp"

#include "disabled_beside.hpp"

#include <chrono>
#include <functional>
#include <type_traits>

using namespace pepper;
using namespace std::chrono_literals;

namespace {

static_assert(std::is_empty_v<Counter> && std::is_empty_v<Gauge> && std::is_empty_v<Summary> && std::is_empty_v<Histogram>);
static_assert(std::is_empty_v<Timer> && std::is_empty_v<ScopedTimer> && std::is_empty_v<SignalCounter>);
static_assert(std::is_trivially_copyable_v<Counter> && std::is_trivially_copyable_v<Gauge> && std::is_trivially_copyable_v<Timer>);
static_assert(!std::is_copy_constructible_v<ScopedTimer> && std::is_nothrow_move_constructible_v<ScopedTimer>);

double never() {
  FAIL("a disabled handle has asked for a value");
  return 0;
}

}  // namespace

TEST_CASE("with PEPPER_DISABLED the whole API compiles, nothing is recorded, and no function is asked for a value") {
  MetricsCollector collector(contract::manual());
  const Counter counter = collector.counter("counter", {{"key", "value"}}, {.unit = "things"});
  counter.add();
  counter.add(2.5);
  counter.add(never);
  counter.record({1, 2});
  const Gauge gauge = collector.gauge("gauge");
  gauge.set(1);
  gauge.set(never);
  gauge.record({1, 2});
  const Summary summary = collector.summary("summary");
  summary.record(1);
  summary.record(never);
  const Histogram histogram = collector.histogram("histogram", {}, {.relative_error = 0.1, .check = ValueCheck::finite()});
  histogram.record(std::vector<double>{1, 2});
  histogram.record([] { return never(); });
  const Timer timer = collector.timer("timer");
  timer.record(5ms);
  timer.record(std::chrono::steady_clock::now());
  timer.record([] { return std::chrono::duration<double>(never()); });
  timer.record({0.5, 1});
  ScopedTimer timed(timer), both(timer, timer), since(timer, std::chrono::steady_clock::now()),
      all(timer, timer, std::chrono::steady_clock::now());
  ScopedTimer moved(std::move(timed));
  both = std::move(moved);
  CHECK(since.stop() == 0ns);
  CHECK(all.stop() == 0ns);
  both.cancel();
  collector.signal_counter("signals").add();
  pepper::counter<"static", "key", "value">().add();
  pepper::timer<"static_timer">().record(1s);
  const Subscription observed = collector.observe("observed", {}, never);
  CHECK(collector.record("dynamic", 1, {{"key", "value"}}));
  CHECK(collector.record(Metric{.name = "metric", .value = 1}));
  collector.attach_thread();

  int shown = 0;
  const Subscription shows = collector.on_snapshot([&](const Snapshot& snapshot) { shown += snapshot.size() == 0 ? 1 : 100; });
  const auto snapshot = collector.flush();
  CHECK(snapshot->size() == 0);
  CHECK(snapshot->stats().recorded == 0);
  CHECK(collector.stats().flushes == 1);
  CHECK(shown == 1);
  CHECK(collector.config().name == "pepper");
  CHECK(collector.shutdown());
}

TEST_CASE("files with the switch and without it share a program and a collector: each has its own handles") {
  MetricsCollector collector(contract::manual());
  for (int i = 0; i < 3; ++i) {
    beside::record_all(collector);
    collector.counter("counter").add(100);
    collector.gauge("gauge").set(100);
    collector.timer("timer").record(100s);
    collector.signal_counter("signals").add(100);
    collector.record("dynamic", 100);
    pepper::counter<"static">().add(100);
  }
  const auto snapshot = collector.flush();
  for (const std::string_view name : {"counter", "gauge", "timer", "signals", "dynamic"}) {
    CHECK(contract::series(*snapshot, name)->count == 3);
    CHECK(contract::series(*snapshot, name)->max < 100);
  }
  const auto of_default = default_collector().flush();
  CHECK(contract::series(*of_default, "static")->count == 3);
  CHECK(contract::series(*of_default, "static")->max == 1);
}
