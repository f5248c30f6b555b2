#include "forked.hpp"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

using namespace forked;

namespace {

/// What a callback was told, in its order: name{key=value}kind.
struct Told {
  std::vector<std::string> series;

  void operator()(const SeriesSnapshot& of) {
    std::string text(of.name);
    for (const Tag& tag : of.tags) text.append("{").append(tag.key).append("=").append(tag.value).append("}");
    series.push_back(text.append(" ").append(to_string(of.kind)));
  }
  [[nodiscard]] std::vector<std::string> taken() { return std::exchange(series, {}); }
};

using Lines = std::vector<std::string>;

}  // namespace

TEST_CASE("on_series() tells of the series there are, then of each new one before its bind or first record returns") {
  for (const bool is_manual : {false, true}) {
    MetricsCollector collector(is_manual ? manual() : background());
    const Counter first = collector.counter("first", {{"k", "v"}});
    first.add();
    Told told;
    const Subscription watch = collector.on_series(std::ref(told));
    CHECK(told.taken() == Lines{"first{k=v} counter"});
    (void)collector.counter("first", {{"k", "v"}});
    CHECK(told.taken().empty());
    (void)collector.timer("second");
    CHECK(told.taken() == Lines{"second timer"});
    (void)collector.signal_counter("third");
    CHECK(told.taken() == Lines{"third counter"});
    const Subscription observed = collector.observe("fourth", {}, [] { return 1.0; });
    CHECK(told.taken() == Lines{"fourth gauge"});
    (void)collector.record("fifth", 1, {{"a", "b"}});
    (void)collector.record("fifth", 1, {{"a", "b"}});
    CHECK(told.taken() == Lines{"fifth{a=b} summary"});
  }
}

TEST_CASE("a watcher that ends, and one that comes, in a callback of on_series() take nothing from the others") {
  MetricsCollector collector(manual());
  Told second, late;
  Subscription first, other, added;
  bool has_ended = false;
  first = collector.on_series([&](const SeriesSnapshot&) {
    if (std::exchange(has_ended, true)) return;
    first.reset();
    added = collector.on_series(std::ref(late));
  });
  other = collector.on_series(std::ref(second));
  (void)collector.counter("one");
  CHECK(second.taken() == Lines{"one counter"});
  CHECK(late.taken() == Lines{"one counter"});
  (void)collector.counter("two");
  CHECK(second.taken() == Lines{"two counter"});
  CHECK(late.taken() == Lines{"two counter"});
}

TEST_CASE("a bind that says nothing new of a series is not told") {
  MetricsCollector collector(manual());
  Told told;
  const Subscription watch = collector.on_series(std::ref(told));
  (void)collector.record("by_name", 1);
  CHECK(told.taken() == Lines{"by_name summary"});
  (void)collector.summary("by_name");
  CHECK(told.taken().empty());
  (void)collector.record("other", 1);
  (void)collector.histogram("other");
  CHECK(told.taken() == Lines{"other summary", "other histogram"});
}

TEST_CASE("on_series() shows a series as a snapshot does before its first record") {
  MetricsCollector collector(manual());
  const Subscription watch = collector.on_series([&](const SeriesSnapshot& series) {
    CHECK(series.name == "size");
    CHECK(series.tags.size() == 1);
    CHECK(series.unit == "bytes");
    CHECK(series.help == "Of answers");
    CHECK(series.count == 0);
    CHECK(series.sum == 0);
    CHECK(std::isnan(series.min));
    CHECK(std::isnan(series.max));
    CHECK(std::isnan(series.last));
    CHECK(std::isnan(series.quantile(0.5)));
  });
  (void)collector.histogram("size", {{"k", "v"}}, {.unit = "bytes", .help = "Of answers"});
}

TEST_CASE("a series that becomes another kind, or is described by its first bind, is told of again") {
  MetricsCollector collector(manual());
  (void)collector.record("before", 1);
  Told told;
  const Subscription watch = collector.on_series(std::ref(told));
  (void)collector.record("after", 1);
  CHECK(told.taken() == Lines{"before summary", "after summary"});
  (void)collector.counter("before");
  CHECK(told.taken() == Lines{"before counter"});
  (void)collector.timer("after");
  CHECK(told.taken() == Lines{"after timer"});
  (void)collector.gauge("after");  // a conflict: it stays what it is
  CHECK(told.taken().empty());
}

TEST_CASE("overflow series are told of, the parts that sampling needs are not") {
  TelemetryConfig config = manual();
  config.max_series = 1;
  MetricsCollector collector(config);
  Told told;
  const Subscription watch = collector.on_series(std::ref(told));
  (void)collector.counter("a", {{"k", "1"}});
  (void)collector.counter("a", {{"k", "2"}});
  (void)collector.counter("b");
  CHECK(told.taken() == Lines{"a{k=1} counter", "a{pepper.overflow=true} counter", "pepper.overflow summary"});
  MetricsCollector whole(manual());
  const Subscription other = whole.on_series(std::ref(told));
  SamplingCollector sampled{whole, 0.5, 1};
  (void)sampled.histogram("h");
  (void)sampled.counter("c");
  CHECK(told.taken() == Lines{"h histogram", "c counter"});
}

TEST_CASE("an on_series() callback may bind, flush, watch, end itself and destroy its collector") {
  auto collector = std::make_unique<MetricsCollector>(manual());
  Told told, inner;
  std::optional<Subscription> self, other;
  bool is_last = false;
  self = collector->on_series([&](const SeriesSnapshot& series) {
    told(series);
    if (series.name == "one") {
      (void)collector->counter("two");
      CHECK(told.series == Lines{"one counter"});  // that comes after this
    } else if (series.name == "two") {
      (void)collector->flush();
      other = collector->on_series(std::ref(inner));
    } else if (is_last) {
      self.reset();
      collector.reset();
    }
  });
  (void)collector->counter("one");
  CHECK(told.taken() == Lines{"one counter", "two counter"});
  CHECK(inner.taken() == Lines{"one counter", "two counter"});
  is_last = true;
  (void)collector->counter("three");
  CHECK(collector == nullptr);
  CHECK(told.taken() == Lines{"three counter"});
}

TEST_CASE("an on_series() callback that throws is counted and named, and is called again; one that has ended is not") {
  std::vector<std::string> errors;
  TelemetryConfig config = manual();
  config.on_error = [&](std::string_view what) { errors.emplace_back(what); };
  MetricsCollector collector(config);
  int calls = 0;
  Subscription watch = collector.on_series([&](const SeriesSnapshot&) {
    if (++calls == 1) throw std::runtime_error("not this one");
    throw 1;
  });
  (void)collector.counter("a");
  (void)collector.counter("b");
  CHECK(calls == 2);
  CHECK(collector.stats().callback_errors == 2);
  REQUIRE(errors.size() == 2);
  CHECK(errors[0].find("on_series callback threw: not this one") != std::string::npos);
  watch.reset();
  (void)collector.counter("c");
  CHECK(calls == 2);
}

TEST_CASE("threads that bind at once have each series told of exactly once, one after another") {
  constexpr std::size_t kThreads = 4;
  constexpr int kSeries = 500;
  MetricsCollector collector(background());
  std::map<std::string, int> told;
  std::atomic<int> inside{0};
  std::atomic<bool> is_alone{true};
  const auto watch = [&](const SeriesSnapshot& series) {
    if (++inside != 1) is_alone = false;
    ++told[std::string(series.name)];
    --inside;
  };
  std::optional<Subscription> subscription;
  contract::on_threads(kThreads + 1, [&](std::size_t thread) {
    if (thread == kThreads) {
      subscription = collector.on_series(watch);
      return;
    }
    for (int i = 0; i < kSeries; ++i) {
      (void)collector.counter("shared." + std::to_string(i));
      (void)collector.record("own." + std::to_string(thread) + "." + std::to_string(i), 1);
    }
  });
  CHECK(is_alone);
  CHECK(told.size() == kSeries * (kThreads + 1));
  CHECK(std::ranges::all_of(told, [](const auto& one) { return one.second == 1; }));
}

TEST_CASE("a child is told of its own series, whatever its parent was told of meanwhile") {
  MetricsCollector collector(manual());
  std::function<void()> fork_now = [] {};
  Told told;
  const Subscription watch = collector.on_series([&](const SeriesSnapshot& series) {
    told(series);
    fork_now();
  });
  const Forks forks = fork_meanwhile(
      [&](const auto& fork_here) {
        fork_now = fork_here;
        (void)collector.counter("parent");
        fork_now = [] {};
      },
      [&] {
        fork_now = [] {};
        (void)told.taken();
        (void)collector.counter("child");
        return told.taken() == Lines{"child counter"};
      });
  CHECK(forks.made == 1);
  CHECK(forks.wrong == 0);
}
