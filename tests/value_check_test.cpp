#include "contract.hpp"

#include <cmath>
#include <limits>
#include <stdexcept>

using namespace pepper;

namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity(), kMax = std::numeric_limits<double>::max();
const double kNan = std::numeric_limits<double>::quiet_NaN();

std::shared_ptr<const SeriesSnapshot> read(MetricsCollector& collector, std::string_view name) {
  const auto snapshot = collector.flush();
  CHECK(contract::is_balanced(snapshot->stats()));
  return contract::series(*snapshot, name);
}

}  // namespace

TEST_CASE("a value outside its series' check is dropped as invalid, counted there, and in nothing else") {
  MetricsCollector collector(contract::manual());
  const Histogram checked = collector.histogram("checked", {}, {.check = ValueCheck::range(1, 100)});
  const Histogram other = collector.histogram("other");
  for (const double value : {50.0, 100.5, 1.0, 100.0, 0.0, -kInfinity, kInfinity, 99.9}) {
    checked.record(value);
    other.record(value);
  }
  const auto series = read(collector, "checked");
  CHECK(series->count == 4);
  CHECK(series->violations == 4);
  CHECK(series->min == 1);
  CHECK(series->max == 100);
  CHECK(series->sum == 250.9);
  CHECK(series->last == 99.9);
  CHECK(series->distribution.count() == 4);
  CHECK(series->distribution.undistributed() == 0);
  CHECK(series->distribution.count_above(100) == 0);  // 100.5 would be in the bucket of 100
  const CollectorStats stats = collector.stats();
  CHECK(contract::lost(stats, Cause::invalid) == 4);
  CHECK(stats.dropped == 4);
  CHECK(to_string(Cause::invalid) == "invalid");
  CHECK(read(collector, "other")->count == 8);
  CHECK(read(collector, "other")->violations == 0);
}

TEST_CASE("a value that is clamped counts as the nearest valid one, in its bucket as well, and as a violation") {
  MetricsCollector collector(contract::manual());
  const Histogram checked = collector.histogram("checked", {}, {.check = ValueCheck::range(1, 100).clamped()});
  checked.record({-5, 50, 1000, kInfinity});
  const auto series = read(collector, "checked");
  CHECK(series->count == 4);
  CHECK(series->violations == 3);
  CHECK(series->min == 1);
  CHECK(series->max == 100);
  CHECK(series->sum == 251);
  CHECK(series->last == 100);
  CHECK(series->distribution.count() == 4);
  for (const Bucket& bucket : series->distribution) {  // those of 1, 50 and 100
    CHECK(bucket.lower > 0.9);
    CHECK(bucket.upper < 110);
  }
  CHECK(collector.stats().dropped == 0);
}

TEST_CASE("finite refuses infinities of either sign, non_negative takes zero of either sign; NaN is rejected as ever, clamped or not") {
  MetricsCollector collector(contract::manual());
  const Summary finite = collector.summary("finite", {}, {.check = ValueCheck::finite()});
  const Summary clamped = collector.summary("clamped", {}, {.check = ValueCheck::finite().clamped()});
  const Summary positive = collector.summary("non_negative", {}, {.check = ValueCheck::non_negative()});
  for (const double value : {kInfinity, -kInfinity, kNan, kMax, -0.0, -1.0}) {
    finite.record(value);
    clamped.record(value);
    positive.record(value);
  }
  CHECK(read(collector, "finite")->violations == 2);
  CHECK(read(collector, "finite")->count == 3);
  CHECK(read(collector, "clamped")->violations == 2);
  CHECK(read(collector, "clamped")->min == -kMax);
  CHECK(read(collector, "clamped")->max == kMax);
  CHECK(read(collector, "non_negative")->violations == 2);
  CHECK(read(collector, "non_negative")->count == 3);
  CHECK(collector.stats().rejected == 3);
}

TEST_CASE("an infinity that is clamped may be the first value") {
  for (const double value : {kInfinity, -kInfinity}) {
    MetricsCollector collector(contract::manual());
    collector.summary("s", {}, {.check = ValueCheck::range(-1, 1).clamped()}).record(value);
    const auto series = read(collector, "s");
    CHECK(series->min == std::copysign(1, value));
    CHECK(series->max == series->min);
    CHECK(series->violations == 1);
  }
}

TEST_CASE("a series of invalid values alone has violations and no value") {
  MetricsCollector collector(contract::manual());
  const Gauge ratio = collector.gauge("ratio", {}, {.check = ValueCheck::range(0, 1)});
  ratio.set(2);
  auto series = read(collector, "ratio");
  CHECK(series->count == 0);
  CHECK(series->violations == 1);
  CHECK(std::isnan(series->min));
  CHECK(std::isnan(series->last));
  ratio.set(0.5);
  ratio.set(3);
  series = read(collector, "ratio");
  CHECK(series->last == 0.5);
  CHECK(series->violations == 2);
}

TEST_CASE("a counter's check comes before its own: what it clamps is not negative any more") {
  MetricsCollector collector(contract::manual());
  collector.counter("clamped", {}, {.check = ValueCheck::non_negative().clamped()}).record({-1, 2});
  collector.counter("refused", {}, {.check = ValueCheck::range(1, 2)}).record({-1, 2, 3});
  CHECK(read(collector, "clamped")->count == 2);
  CHECK(read(collector, "clamped")->sum == 2);
  CHECK(read(collector, "clamped")->violations == 1);
  CHECK(read(collector, "refused")->violations == 2);
  CHECK(contract::lost(collector.stats(), Cause::negative) == 0);
  CHECK(contract::lost(collector.stats(), Cause::invalid) == 2);
}

TEST_CASE("a timer's check is in seconds, for scoped timers as well") {
  MetricsCollector collector(contract::manual());
  const Timer timer = collector.timer("t", {}, {.check = ValueCheck::range(0, 3600)});
  timer.record(std::chrono::hours{2});
  { const ScopedTimer timed(timer); }
  const Timer none = collector.timer("none", {}, {.check = ValueCheck::range(3600, kInfinity)});
  { const ScopedTimer timed(none); }
  CHECK(read(collector, "t")->count == 1);
  CHECK(read(collector, "t")->violations == 1);
  CHECK(read(collector, "t")->distribution.count() == 1);
  CHECK(read(collector, "none")->violations == 1);
}

TEST_CASE("where threads fold their own records each violation is counted once, whenever somebody looks, and buckets have no others") {
  constexpr std::size_t kThreads = 3, kRounds = 40'000;
  constexpr double kMost = 64;
  MetricsCollector collector(contract::manual(1));  // one chunk: all fold themselves
  const Histogram refuses = collector.histogram("refuses", {}, {.check = ValueCheck::range(1, kMost)});
  const Histogram clamps = collector.histogram("clamps", {}, {.check = ValueCheck::range(1, kMost).clamped()});
  const Histogram takes = collector.histogram("takes");
  contract::on_threads(kThreads, [&](std::size_t thread) {
    for (std::size_t i = 0; i < kRounds; ++i) {
      const double value = i % 10 == 0 ? 1000 : static_cast<double>(i % 64 + 1);
      refuses.record(value);
      clamps.record(value);
      takes.record(value);
      if (i % 1000 == 0 && thread == 0) {
        const auto snapshot = collector.flush();
        CHECK(contract::is_balanced(snapshot->stats()));
        CHECK(contract::series(*snapshot, "refuses")->violations == contract::lost(snapshot->stats(), Cause::invalid));
      }
    }
  });
  const std::uint64_t all = kThreads * kRounds, odd = all / 10;
  CHECK(read(collector, "refuses")->violations == odd);
  CHECK(read(collector, "refuses")->count == all - odd);
  CHECK(read(collector, "refuses")->max == kMost);
  CHECK(read(collector, "refuses")->distribution.count() == all - odd);
  CHECK(read(collector, "clamps")->violations == odd);
  CHECK(read(collector, "clamps")->count == all);
  CHECK(read(collector, "clamps")->max == kMost);
  CHECK(read(collector, "clamps")->distribution.count() == all);
  CHECK(read(collector, "clamps")->distribution.count_above(kMost) == 0);
  CHECK(read(collector, "takes")->distribution.count() == all);
  CHECK(read(collector, "takes")->violations == 0);
  CHECK(collector.stats().spilled > all);
}

TEST_CASE("a series that record(name, ...) made takes the check of its first bind, for what comes then, whatever it took before") {
  MetricsCollector collector(contract::manual());
  REQUIRE(collector.record("s", -5));
  REQUIRE(collector.record("s", 500));
  CHECK(read(collector, "s")->count == 2);
  const Summary handle = collector.summary("s", {}, {.check = ValueCheck::range(0, 10)});
  handle.record({-3, 3, 50});
  CHECK(collector.record("s", -4));
  const auto series = read(collector, "s");
  CHECK(series->count == 3);
  CHECK(series->violations == 3);
  CHECK(series->min == -5);
  CHECK(series->max == 500);
  CHECK(series->sum == 498);
}

TEST_CASE("of two binds with different checks the first wins, and the second is a conflict; one that says nothing is none") {
  MetricsCollector collector(contract::manual());
  const Summary first = collector.summary("s", {}, {.check = ValueCheck::range(0, 10)});
  (void)collector.summary("s");
  (void)collector.summary("s", {}, {.check = ValueCheck::range(0, 10)});
  (void)collector.summary("s", {}, {.check = ValueCheck{}.clamped()});  // takes everything: says nothing
  CHECK(collector.stats().bind_conflicts == 0);
  const Summary second = collector.summary("s", {}, {.check = ValueCheck::range(0, 10).clamped()});
  CHECK(collector.stats().bind_conflicts == 1);
  (void)collector.summary("t");
  (void)collector.summary("t", {}, {.check = ValueCheck::finite()});
  CHECK(collector.stats().bind_conflicts == 2);
  first.record(11);
  second.record(12);
  CHECK(read(collector, "s")->violations == 2);
  CHECK(read(collector, "s")->count == 0);
}

TEST_CASE("what a signal counter adds is not checked, and lets nothing through that a counter adds") {
  MetricsCollector collector(contract::manual());
  const Counter counter = collector.counter("c", {}, {.check = ValueCheck::range(0, 10)});
  collector.signal_counter("c").add(1000);
  CHECK(read(collector, "c")->max == 1000);
  counter.add(500);
  counter.add(5);
  const auto series = read(collector, "c");
  CHECK(series->count == 2);
  CHECK(series->sum == 1005);
  CHECK(series->max == 1000);
  CHECK(series->violations == 1);
}

TEST_CASE("an overflow series has no check") {
  TelemetryConfig config = contract::manual();
  config.max_series = 1;
  MetricsCollector collector(config);
  (void)collector.summary("s", {{"a", "1"}}, {.check = ValueCheck::non_negative()});
  collector.summary("s", {{"a", "2"}}, {.check = ValueCheck::non_negative()}).record(-1);
  const auto snapshot = collector.flush();
  CHECK(contract::count(*snapshot, "s", {{"pepper.overflow", "true"}}) == 1);
}

TEST_CASE("a collector that takes the place of one with checks has none") {
  for (const bool has_checks : {true, false}) {
    MetricsCollector collector(contract::manual());
    collector.summary("s", {}, {.check = has_checks ? ValueCheck::non_negative() : ValueCheck{}}).record({-1, 1});
    CHECK(read(collector, "s")->count == (has_checks ? 1 : 2));
    CHECK(read(collector, "s")->violations == (has_checks ? 1 : 0));
  }
}

TEST_CASE("a snapshot keeps the violations of its moment") {
  MetricsCollector collector(contract::manual());
  const Summary summary = collector.summary("s", {}, {.check = ValueCheck::non_negative()});
  summary.record({-1, 1});
  const auto before = collector.flush();
  summary.record({-2, -3});
  CHECK(read(collector, "s")->violations == 3);
  CHECK(contract::series(*before, "s")->violations == 1);
}

TEST_CASE("a check that takes nothing, or that is none, is refused with its field and value") {
  MetricsCollector collector(contract::manual());
  const auto refusal = [&](const ValueCheck& check) -> std::string {
    try {
      (void)collector.summary("s", {}, {.check = check});
    } catch (const std::invalid_argument& error) {
      return error.what();
    }
    return "";
  };
  CHECK(refusal(ValueCheck::range(2, 1)) == "SeriesOptions::check.least is 2; it must be a number up to check.most, below inf");
  CHECK(refusal(ValueCheck::range(kNan, 1)) == "SeriesOptions::check.least is nan; it must be a number up to check.most, below inf");
  CHECK(refusal(ValueCheck::range(kInfinity, kInfinity)) ==
        "SeriesOptions::check.least is inf; it must be a number up to check.most, below inf");
  CHECK(refusal(ValueCheck::range(0, kNan)) == "SeriesOptions::check.most is nan; it must be a number above -inf");
  CHECK(refusal(ValueCheck::range(-kInfinity, -kInfinity)) == "SeriesOptions::check.most is -inf; it must be a number above -inf");
  CHECK(collector.flush()->size() == 0);
  CHECK(refusal(ValueCheck::range(1, 1)).empty());
}
