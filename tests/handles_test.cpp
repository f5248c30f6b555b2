#include "contract.hpp"

#include <atomic>
#include <cmath>
#include <limits>
#include <numeric>
#include <span>
#include <type_traits>

using namespace pepper;
using contract::manual;
using contract::series;

namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

template <class Handle>
constexpr bool is_cheap_to_keep = std::is_trivially_copyable_v<Handle>&& std::is_nothrow_default_constructible_v<Handle>;
static_assert(is_cheap_to_keep<Counter> && is_cheap_to_keep<Gauge> && is_cheap_to_keep<Summary> && is_cheap_to_keep<Histogram> &&
              is_cheap_to_keep<Timer>);
static_assert(noexcept(std::declval<const Counter&>().add()) && noexcept(std::declval<const Gauge&>().set(1)) && noexcept(
    std::declval<const Summary&>().record(
        1)) && noexcept(std::declval<const Histogram&>()
                            .record(1)) && noexcept(std::declval<const Timer&>()
                                                        .record(
                                                            std::declval<std::chrono::hours>())) && noexcept(std::declval<const Timer&>()
                                                                                                                 .record(std::span<
                                                                                                                         const double>{})));

}  // namespace

TEST_CASE("a counter counts what was added, 1 where nothing is said") {
  MetricsCollector collector(manual());
  const Counter hits = collector.counter("hits");
  hits.add();
  hits.add(2.5);
  hits.add(0);
  const auto found = series(*collector.flush(), "hits");
  CHECK(found->kind == Kind::counter);
  CHECK(found->count == 3);
  CHECK(found->sum == 3.5);
  CHECK(found->min == 0);
  CHECK(found->max == 2.5);
}

TEST_CASE("a gauge keeps what was set last, and the extremes") {
  MetricsCollector collector(manual());
  const Gauge depth = collector.gauge("depth");
  depth.set(5);
  depth.set(-7);
  depth.set(3);
  const auto found = series(*collector.flush(), "depth");
  CHECK(found->kind == Kind::gauge);
  CHECK(found->last == 3);
  CHECK(found->min == -7);
  CHECK(found->max == 5);
  CHECK(found->count == 3);
}

TEST_CASE("a summary has count, sum, min, max, last and mean") {
  MetricsCollector collector(manual());
  const Summary sizes = collector.summary("sizes");
  sizes.record(4);
  sizes.record(-1);
  sizes.record(9);
  const auto found = series(*collector.flush(), "sizes");
  CHECK(found->kind == Kind::summary);
  CHECK(found->count == 3);
  CHECK(found->sum == 12);
  CHECK(found->min == -1);
  CHECK(found->max == 9);
  CHECK(found->last == 9);
  CHECK(found->mean() == 4);
}

TEST_CASE("a histogram has at least what a summary has") {
  MetricsCollector collector(manual());
  const Histogram sizes = collector.histogram("sizes");
  sizes.record(4);
  sizes.record(2);
  const auto found = series(*collector.flush(), "sizes");
  CHECK(found->kind == Kind::histogram);
  CHECK(found->count == 2);
  CHECK(found->sum == 6);
  CHECK(found->last == 2);
}

TEST_CASE("a timer records durations of any unit in seconds") {
  MetricsCollector collector(manual());
  const Timer load = collector.timer("load");
  load.record(std::chrono::milliseconds{1500});
  load.record(std::chrono::nanoseconds{250'000'000});
  load.record(std::chrono::hours{1});
  load.record(std::chrono::duration<double>{0.25});
  const auto found = series(*collector.flush(), "load");
  CHECK(found->kind == Kind::timer);
  CHECK(found->unit == "seconds");
  CHECK(found->count == 4);
  CHECK(found->sum == 3602);
  CHECK(found->min == 0.25);
  CHECK(found->max == 3600);
}

TEST_CASE("a span is recorded whole and in order, whatever its length and the chunks it crosses") {
  for (const std::size_t length : {0, 1, 7, 8, 254, 255, 256, 1000, 5000}) {
    CAPTURE(length);
    MetricsCollector collector(manual(1024));
    std::vector<double> values(length);
    std::iota(values.begin(), values.end(), 1);
    collector.counter("counter").record(values);
    collector.gauge("gauge").record(values);
    collector.summary("summary").record(values);
    collector.histogram("histogram").record(values);
    collector.timer("timer").record(std::span<const double>(values));
    const auto snapshot = collector.flush();
    for (const char* const name : {"counter", "gauge", "summary", "histogram", "timer"}) {
      CAPTURE(name);
      const auto found = series(*snapshot, name);
      CHECK(found->count == length);
      CHECK(found->sum == std::accumulate(values.begin(), values.end(), 0.0));
      if (length == 0) continue;
      CHECK(found->min == 1);
      CHECK(found->max == static_cast<double>(length));
      CHECK(found->last == static_cast<double>(length));
    }
  }
}

TEST_CASE("every kind records an initializer list, timers in seconds") {
  MetricsCollector collector(manual());
  collector.counter("counter").record({1, 2, 3});
  collector.gauge("gauge").record({1, 2, 3});
  collector.summary("summary").record({1, 2, 3});
  collector.histogram("histogram").record({1, 2, 3});
  collector.timer("timer").record({1, 2, 3});
  const auto snapshot = collector.flush();
  for (const char* const name : {"counter", "gauge", "summary", "histogram", "timer"}) {
    CAPTURE(name);
    CHECK(series(*snapshot, name)->sum == 6);
    CHECK(series(*snapshot, name)->last == 3);
  }
}

TEST_CASE("an unbound handle records nothing") {
  MetricsCollector collector(manual());
  const double values[] = {1, 2};
  Counter{}.add();
  Counter{}.record(values);
  Gauge{}.set(1);
  Gauge{}.record({1, 2});
  Summary{}.record(1);
  Summary{}.record(values);
  Histogram{}.record(1);
  Timer{}.record(std::chrono::seconds{1});
  Timer{}.record({1, 2});
  const CollectorStats stats = collector.flush()->stats();
  CHECK(stats.recorded == 0);
  CHECK(stats.rejected == 0);
  CHECK(stats.series == 0);
}

TEST_CASE("a copy of a handle records into the same series") {
  MetricsCollector collector(manual());
  const Counter original = collector.counter("hits");
  Counter copy;
  copy = original;
  original.add();
  copy.add();
  CHECK(contract::count(*collector.flush(), "hits") == 2);
}

TEST_CASE("a negative amount given to a counter is dropped with its cause") {
  MetricsCollector collector(manual());
  const Counter hits = collector.counter("hits");
  hits.add(-1);
  hits.add(2);
  hits.add(-kInfinity);
  std::vector<double> run(100, 1.0);  // long enough to be folded as a run
  run[50] = -3;
  hits.record(run);
  const auto snapshot = collector.flush();
  CHECK(series(*snapshot, "hits")->count == 100);
  CHECK(series(*snapshot, "hits")->sum == 101);
  CHECK(series(*snapshot, "hits")->min == 1);
  CHECK(snapshot->stats().recorded == 103);
  CHECK(snapshot->stats().dropped == 3);
  CHECK(contract::lost(snapshot->stats(), Cause::negative) == 3);
  CHECK(contract::is_balanced(snapshot->stats()));
}

TEST_CASE("other kinds than counters take negative values") {
  MetricsCollector collector(manual());
  collector.summary("summary").record(-1);
  collector.histogram("histogram").record(-1);
  collector.gauge("gauge").set(-1);
  collector.timer("timer").record(std::chrono::seconds{-1});
  const auto snapshot = collector.flush();
  for (const char* const name : {"summary", "histogram", "gauge", "timer"}) CHECK(series(*snapshot, name)->sum == -1);
  CHECK(snapshot->stats().dropped == 0);
}

TEST_CASE("NaN is rejected at the fold and leaves recorded") {
  MetricsCollector collector(manual());
  collector.counter("counter").add(kNan);
  collector.gauge("gauge").set(kNan);
  collector.timer("timer").record(std::chrono::duration<double>{kNan});
  collector.histogram("histogram").record(-kNan);
  const Summary sizes = collector.summary("sizes");
  std::vector<double> run(100, 2.0);  // long enough to be folded as a run
  run[0] = run[99] = kNan;
  sizes.record(run);
  sizes.record(std::numeric_limits<double>::signaling_NaN());
  const auto snapshot = collector.flush();
  CHECK(series(*snapshot, "sizes")->count == 98);
  CHECK(series(*snapshot, "sizes")->sum == 196);
  CHECK(series(*snapshot, "sizes")->last == 2);
  CHECK(snapshot->stats().rejected == 7);
  CHECK(snapshot->stats().recorded == 98);
  CHECK(snapshot->stats().aggregated == 98);
  CHECK(snapshot->stats().pending == 0);
  CHECK(snapshot->stats().dropped == 0);
}

TEST_CASE("a series that was given nothing but NaN is empty") {
  MetricsCollector collector(manual());
  collector.summary("sizes").record(kNan);
  const auto found = series(*collector.flush(), "sizes");
  CHECK(found->count == 0);
  CHECK(found->sum == 0);
  CHECK(std::isnan(found->min));
  CHECK(std::isnan(found->max));
  CHECK(std::isnan(found->last));
}

TEST_CASE("infinities count in min and max and turn the sum infinite") {
  MetricsCollector collector(manual());
  const Summary up = collector.summary("up"), down = collector.summary("down");
  up.record({1, kInfinity, 2});
  down.record({1, -kInfinity, 2});
  (void)collector.flush();
  up.record(-5);  // nothing brings the sum back
  const auto snapshot = collector.flush();
  CHECK(series(*snapshot, "up")->count == 4);
  CHECK(series(*snapshot, "up")->sum == kInfinity);
  CHECK(series(*snapshot, "up")->min == -5);
  CHECK(series(*snapshot, "up")->max == kInfinity);
  CHECK(series(*snapshot, "down")->sum == -kInfinity);
  CHECK(series(*snapshot, "down")->min == -kInfinity);
  CHECK(series(*snapshot, "down")->max == 2);
}

TEST_CASE("an infinity alone is min, max, last and sum") {
  for (const double value : {kInfinity, -kInfinity}) {
    CAPTURE(value);
    for (const std::size_t times : {1, 100}) {
      MetricsCollector collector(manual());
      collector.summary("sizes").record(std::vector<double>(times, value));
      const auto found = series(*collector.flush(), "sizes");
      CHECK(found->count == times);
      CHECK(found->min == value);
      CHECK(found->max == value);
      CHECK(found->last == value);
      CHECK(found->sum == value);
    }
  }
}

TEST_CASE("infinities of both signs make the sum NaN, count and extremes stay right") {
  MetricsCollector collector(manual());
  const Summary mixed = collector.summary("mixed");
  std::vector<double> run(64, 1.0);
  run[3] = kInfinity;
  run[40] = -kInfinity;
  mixed.record(run);
  const auto snapshot = collector.flush();
  CHECK(series(*snapshot, "mixed")->count == 64);
  CHECK(std::isnan(series(*snapshot, "mixed")->sum));
  CHECK(series(*snapshot, "mixed")->min == -kInfinity);
  CHECK(series(*snapshot, "mixed")->max == kInfinity);
  CHECK(series(*snapshot, "mixed")->last == 1);
  CHECK(snapshot->stats().rejected == 0);
}

TEST_CASE("negative zero is no negative amount") {
  MetricsCollector collector(manual());
  const Counter hits = collector.counter("hits");
  hits.add(-0.0);
  hits.record(std::vector<double>(100, -0.0));
  const auto snapshot = collector.flush();
  CHECK(series(*snapshot, "hits")->count == 101);
  CHECK(series(*snapshot, "hits")->sum == 0);
  CHECK(series(*snapshot, "hits")->min == 0);
  CHECK(series(*snapshot, "hits")->max == 0);
  CHECK(snapshot->stats().dropped == 0);
}

TEST_CASE("denormals are not flushed to zero") {
  constexpr double kLeast = std::numeric_limits<double>::denorm_min();
  MetricsCollector collector(manual());
  const Summary tiny = collector.summary("tiny");
  tiny.record(std::vector<double>(1000, kLeast));
  tiny.record(-kLeast);
  const auto found = series(*collector.flush(), "tiny");
  CHECK(found->count == 1001);
  CHECK(found->sum == 999 * kLeast);
  CHECK(found->min == -kLeast);
  CHECK(found->max == kLeast);
}

TEST_CASE("min and max are exact at the ends of the range") {
  constexpr double kMost = std::numeric_limits<double>::max();
  MetricsCollector collector(manual());
  collector.summary("wide").record({kMost, -kMost, 1});
  const auto found = series(*collector.flush(), "wide");
  CHECK(found->min == -kMost);
  CHECK(found->max == kMost);
  CHECK(found->sum == 1);
}

TEST_CASE("the last of a gauge is the set() that happened last, whichever threads set it") {
  constexpr int kThreads = 3, kTurns = 6000;
  // Full chunks on their way, threads that fold for themselves, and both.
  for (const std::size_t buffer_size : {1, 2000, 65'536}) {
    CAPTURE(buffer_size);
    MetricsCollector collector(manual(buffer_size));
    const Gauge level = collector.gauge("level");
    const Summary noise = collector.summary("noise");
    std::atomic<int> turn{0};
    std::atomic<int> wrong{0};
    contract::on_threads(kThreads, [&](std::size_t me) {
      for (int mine = static_cast<int>(me); mine < kTurns; mine += kThreads) {
        for (int now = turn.load(); now != mine; now = turn.load()) turn.wait(now);
        for (int i = 0; i < static_cast<int>(me) * 20; ++i) noise.record(i);  // chunks fill at different times
        level.set(mine);
        if (mine % 50 == 0 && collector.flush()->find("level")->last != mine) ++wrong;
        turn = mine + 1;
        turn.notify_all();
      }
    });
    CHECK(wrong == 0);
    CHECK(series(*collector.flush(), "level")->last == kTurns - 1);
    CHECK(series(*collector.flush(), "level")->count == kTurns);
  }
}

TEST_CASE("the last of a gauge does not depend on the order in which threads are drained") {
  MetricsCollector collector(manual());
  const Gauge level = collector.gauge("level");
  level.set(1);
  std::thread([&] { level.set(2); }).join();
  CHECK(series(*collector.flush(), "level")->last == 2);
  std::thread([&] { level.set(3); }).join();
  level.set(4);
  CHECK(series(*collector.flush(), "level")->last == 4);
}

TEST_CASE("handles record from many threads at once and lose nothing") {
  constexpr std::size_t kThreads = 4, kRecords = 100'000;
  MetricsCollector collector(manual(4096));
  const Counter hits = collector.counter("hits");
  const Summary sizes = collector.summary("sizes");
  contract::on_threads(kThreads, [&](std::size_t) {
    for (std::size_t i = 0; i < kRecords; ++i) {
      hits.add();
      sizes.record(static_cast<double>(i));
    }
  });
  const auto snapshot = collector.flush();
  CHECK(series(*snapshot, "hits")->count == kThreads * kRecords);
  CHECK(series(*snapshot, "hits")->sum == kThreads * kRecords);
  CHECK(series(*snapshot, "sizes")->sum == kThreads * (kRecords * (kRecords - 1.0) / 2));
  CHECK(series(*snapshot, "sizes")->max == kRecords - 1);
}
