#include "contract.hpp"
#include "forked.hpp"

#include <stdexcept>

using namespace pepper;
using namespace std::chrono_literals;
using contract::manual;
using contract::series;
using Time = std::chrono::system_clock::time_point;

namespace {

const SeriesOptions kTimed{.timestamps = true};

struct Heard {
  explicit Heard(MetricsCollector& collector)
      : subscription(collector.on_records([this](const RecordBatch& batch) {
          for (const RawRecord& record : batch) {
            values.push_back(record.value);
            times.push_back(record.time);
          }
        })) {}
  /// Of those whose time is known, all of them lie between `begin` and now. A tick of the kernel is 10 ms at most.
  [[nodiscard]] std::size_t timed_since(Time begin) const {
    std::size_t timed = 0;
    for (const Time time : times) {
      if (time == Time{}) continue;
      ++timed;
      CHECK(time > begin - 20ms);
      CHECK(time <= std::chrono::system_clock::now());
    }
    return timed;
  }

  std::vector<double> values;
  std::vector<Time> times;
  Subscription subscription;
};

}  // namespace

TEST_CASE("records of a series with timestamps say when they were captured, however they were made") {
  MetricsCollector collector(manual());
  const Time begin = std::chrono::system_clock::now();
  Heard heard(collector);
  const Counter hits = collector.counter("hits", {}, kTimed);
  const Timer took = collector.timer("took", {}, kTimed);
  hits.add(2);
  hits.record({3, 4});
  collector.summary("sizes", {}, kTimed).record(-5);
  collector.histogram("spread", {}, kTimed).record({6, 7});
  took.record(8s);
  { const ScopedTimer timed(took); }
  collector.record("hits", 9);
  collector.counter("plain").add(10);
  const auto snapshot = collector.flush();
  REQUIRE(heard.values.size() == 10);
  CHECK(heard.values[7] > 0);
  CHECK(heard.values[7] < 8);
  heard.values.erase(heard.values.begin() + 7);
  CHECK(heard.values == std::vector<double>{2, 3, 4, -5, 6, 7, 8, 9, 10});
  CHECK(heard.timed_since(begin) == 9);
  CHECK(series(*snapshot, "hits")->sum == 18);
  CHECK(series(*snapshot, "hits")->last == 9);
  CHECK(series(*snapshot, "took")->count == 2);
  CHECK(series(*snapshot, "took")->distribution.count() == 2);
  CHECK(series(*snapshot, "spread")->quantile(1) == doctest::Approx(7).epsilon(0.01));
}

TEST_CASE("times are told apart") {
  MetricsCollector collector(manual());
  Heard heard(collector);
  const Counter hits = collector.counter("hits", {}, kTimed);
  std::vector<Time> made;
  for (int i = 0; i < 3; ++i) {
    hits.add();
    made.push_back(std::chrono::system_clock::now());
    while (std::chrono::system_clock::now() < made.back() + 30ms) std::this_thread::yield();
  }
  (void)collector.flush();
  REQUIRE(heard.times.size() == 3);
  for (std::size_t i = 0; i < 3; ++i) {
    CHECK(heard.times[i] <= made[i]);
    CHECK(heard.times[i] > made[i] - 25ms);
    if (i > 0) CHECK(heard.times[i] > heard.times[i - 1]);
  }
}

TEST_CASE("a metric's own time is its record's, to the millisecond, unless it is more than 12 days from now") {
  MetricsCollector collector(manual());
  Heard heard(collector);
  (void)collector.counter("hits", {}, kTimed);
  const Time now = std::chrono::floor<std::chrono::milliseconds>(std::chrono::system_clock::now());
  for (const auto ago : {1h, 24h * 11, -24h * 11, 24h * 13, -24h * 13})
    collector.record(Metric{.name = "hits", .value = 1, .timestamp = now - ago});
  (void)collector.flush();
  CHECK(heard.times == std::vector<Time>{now - 1h, now - 24h * 11, now + 24h * 11, Time{}, Time{}});
}

TEST_CASE("series with timestamps aggregate as others do, under overload too") {
  for (const OverflowPolicy policy : {OverflowPolicy::spill, OverflowPolicy::drop}) {
    TelemetryConfig config = manual(1);
    config.on_overflow = policy;
    MetricsCollector collector(config);
    const Counter timed = collector.counter("timed", {}, kTimed), plain = collector.counter("plain");
    const Histogram spread = collector.histogram("spread", {}, kTimed);
    for (int i = 0; i < 5000; ++i) {
      timed.add(i);
      plain.add(i);
      spread.record(1 + i % 100);
    }
    const auto snapshot = collector.flush();
    CHECK(contract::is_balanced(snapshot->stats()));
    CHECK(snapshot->stats().recorded == 15'000);
    if (policy == OverflowPolicy::drop) {
      CHECK(snapshot->stats().dropped > 0);
      continue;
    }
    CHECK(snapshot->stats().spilled > 0);
    CHECK(series(*snapshot, "timed")->sum == series(*snapshot, "plain")->sum);
    CHECK(series(*snapshot, "timed")->last == 4999);
    CHECK(series(*snapshot, "spread")->distribution.count() == 5000);
    CHECK(series(*snapshot, "spread")->quantile(0.5) == doctest::Approx(50).epsilon(0.011));
  }
}

TEST_CASE("what a disabled collector or one that is gone gets through a handle with timestamps is nobody's") {
  Counter hits;
  {
    MetricsCollector collector(manual());
    hits = collector.counter("hits", {}, kTimed);
    hits.add();
    collector.set_enabled(false);
    hits.add();
    hits.record({1, 2});
    collector.set_enabled(true);
    hits.add();
    const auto snapshot = collector.flush();
    CHECK(contract::count(*snapshot, "hits") == 2);
    CHECK(snapshot->stats().recorded == 2);
  }
  hits.add();
  hits.record({1, 2});
  MetricsCollector next(manual());
  (void)next.counter("hits");
  hits.add();
  CHECK(contract::count(*next.flush(), "hits") == 0);
}

TEST_CASE("a gauge cannot have timestamps") {
  MetricsCollector collector(manual());
  CHECK_THROWS_WITH_AS((void)collector.gauge("level", {}, kTimed), doctest::Contains("SeriesOptions::timestamps is true"),
                       std::invalid_argument);
  CHECK(collector.flush()->size() == 0);
}

TEST_CASE("whether a series has timestamps is what its first bind said") {
  MetricsCollector collector(manual());
  const Time begin = std::chrono::system_clock::now();
  Heard heard(collector);
  (void)collector.counter("timed", {}, kTimed);
  collector.counter("timed").add(1);
  (void)collector.counter("plain");
  collector.counter("plain", {}, kTimed).add(2);
  collector.record("made", 3);  // no bind
  collector.summary("made", {}, kTimed).record(4);
  (void)collector.flush();
  CHECK(heard.values == std::vector<double>{1, 2, 3, 4});
  CHECK(heard.timed_since(begin) == 2);
}

TEST_CASE("a gauge's handle on a series with timestamps leaves no times that are none") {
  MetricsCollector collector(manual());
  Heard heard(collector);
  const Counter hits = collector.counter("hits", {}, kTimed);
  collector.gauge("hits").set(1);
  hits.add(2);
  const auto snapshot = collector.flush();
  CHECK(heard.values == std::vector<double>{1, 2});
  CHECK(heard.times == std::vector<Time>{Time{}, Time{}});
  CHECK(series(*snapshot, "hits")->kind == Kind::counter);
  CHECK(series(*snapshot, "hits")->sum == 3);
}

TEST_CASE("a child's records have their times") {
  MetricsCollector collector(manual());
  const Counter hits = collector.counter("hits", {}, kTimed);
  Heard heard(collector);
  hits.add();
  const Time begin = std::chrono::system_clock::now();
  CHECK(forked::holds_in_child([&] {
    hits.add(2);
    return contract::count(*collector.flush(), "hits") == 1 && heard.values == std::vector<double>{2} && heard.timed_since(begin) == 1;
  }));
  (void)collector.flush();
  CHECK(heard.values == std::vector<double>{1});
}
