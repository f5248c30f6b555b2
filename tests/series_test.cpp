#include "contract.hpp"

#include <algorithm>
#include <array>
#include <mutex>

using namespace pepper;
using contract::manual;
using contract::series;

namespace {

std::string text(std::span<const Tag> tags) {
  std::string text;
  for (const Tag& tag : tags) text.append(tag.key).append("=").append(tag.value).append(";");
  return text;
}

}  // namespace

TEST_CASE("the same name and tags are the same series") {
  MetricsCollector collector(manual());
  collector.counter("hits", {{"path", "/"}}).add();
  collector.counter("hits", {{"path", "/"}}).add();
  const auto snapshot = collector.flush();
  CHECK(snapshot->size() == 1);
  CHECK(series(*snapshot, "hits", {{"path", "/"}})->count == 2);
}

TEST_CASE("the order of tags never matters") {
  MetricsCollector collector(manual());
  std::vector<Tag> tags{{"a", "1"}, {"b", "2"}, {"c", "3"}, {"d", "4"}};
  std::uint64_t orders = 0;
  do {
    collector.counter("hits", tags).add();
    ++orders;
  } while (std::ranges::next_permutation(tags, {}, &Tag::key).found);
  const auto snapshot = collector.flush();
  CHECK(orders == 24);
  CHECK(snapshot->size() == 1);
  CHECK(series(*snapshot, "hits", {{"d", "4"}, {"b", "2"}, {"a", "1"}, {"c", "3"}})->count == orders);
  CHECK(text(snapshot->begin()->tags) == "a=1;b=2;c=3;d=4;");
}

TEST_CASE("of equal keys the last wins, wherever tags are passed") {
  MetricsCollector collector(manual());
  collector.counter("hits", {{"k", "old"}, {"a", "1"}, {"k", "new"}}).add();
  CHECK(collector.record("hits", 1, {{"k", "older"}, {"k", "old"}, {"k", "new"}, {"a", "1"}}));
  const auto snapshot = collector.flush();
  CHECK(snapshot->size() == 1);
  CHECK(series(*snapshot, "hits", {{"a", "1"}, {"k", "new"}})->count == 2);
  CHECK(series(*snapshot, "hits", {{"k", "x"}, {"a", "0"}, {"a", "1"}, {"k", "new"}})->count == 2);
}

TEST_CASE("tags are the same whatever they are passed as") {
  MetricsCollector collector(manual());
  const Tags owning{{"b", "2"}, {"a", "1"}};
  const std::vector<Tag> vector{{"b", "2"}, {"a", "1"}};
  const std::array<Tag, 2> array{Tag{"a", "1"}, {"b", "2"}};
  collector.counter("hits", owning).add();
  collector.counter("hits", vector).add();
  collector.counter("hits", array).add();
  collector.counter("hits", {{"a", "1"}, {"b", "2"}}).add();
  const auto snapshot = collector.flush();
  CHECK(snapshot->size() == 1);
  CHECK(series(*snapshot, "hits", owning)->count == 4);
}

TEST_CASE("series that differ anywhere are never merged") {
  MetricsCollector collector(manual());
  const std::vector<std::pair<std::string, Tags>> keys{{"ab", {}},
                                                       {"a", {}},
                                                       {"a", {{"b", ""}}},
                                                       {"a", {{"b", "c"}}},
                                                       {"a", {{"bc", ""}}},
                                                       {"ab", {{"c", ""}}},
                                                       {"a", {{"c", "b"}}},
                                                       {"a", {{"b", "c;d=e"}}},
                                                       {"a", {{"b", "c"}, {"d", "e"}}},
                                                       {"A", {}},
                                                       {"a ", {}},
                                                       {"a", {{"b", " "}}},
                                                       {"a", {{"b", std::string_view("\0", 1)}}},
                                                       {"a{b=c}", {}}};
  for (std::size_t i = 0; i < keys.size(); ++i) collector.counter(keys[i].first, keys[i].second).add(static_cast<double>(i + 1));
  const auto snapshot = collector.flush();
  CHECK(snapshot->size() == keys.size());
  for (std::size_t i = 0; i < keys.size(); ++i) {
    CAPTURE(i);
    CHECK(series(*snapshot, keys[i].first, keys[i].second)->count == 1);
    CHECK(series(*snapshot, keys[i].first, keys[i].second)->sum == static_cast<double>(i + 1));
  }
}

TEST_CASE("a bound series keeps its own copy of name, tags, unit and help") {
  MetricsCollector collector(manual());
  std::string name = "name", key = "key", value = "value", unit = "unit", help = "help";
  const Counter hits = collector.counter(name, {{key, value}}, {.unit = unit, .help = help});
  name = key = value = unit = help = "----";
  hits.add();
  const auto found = series(*collector.flush(), "name", {{"key", "value"}});
  CHECK(found->name == "name");
  CHECK(text(found->tags) == "key=value;");
  CHECK(found->unit == "unit");
  CHECK(found->help == "help");
}

TEST_CASE("what is said of a series when it is bound is in its snapshot") {
  MetricsCollector collector(manual());
  (void)collector.histogram("size", {}, {.unit = "bytes", .help = "of a request"});
  (void)collector.timer("load");
  (void)collector.timer("load", {{"k", "v"}}, {.unit = "s"});
  const auto snapshot = collector.flush();
  CHECK(series(*snapshot, "size")->unit == "bytes");
  CHECK(series(*snapshot, "size")->help == "of a request");
  CHECK(series(*snapshot, "load")->unit == "seconds");
  CHECK(series(*snapshot, "load", {{"k", "v"}})->unit == "s");
}

TEST_CASE("two binds that agree are no conflict, and who says nothing agrees") {
  MetricsCollector collector(manual());
  (void)collector.counter("hits", {}, {.unit = "1", .help = "help"});
  (void)collector.counter("hits", {}, {.unit = "1", .help = "help"});
  (void)collector.counter("hits");
  CHECK(collector.flush()->stats().bind_conflicts == 0);
}

TEST_CASE("a second bind that wants another expected_interval or max_buckets is a conflict; one that says nothing of it is none") {
  MetricsCollector collector(manual());
  const auto conflicts = [&collector] { return collector.stats().bind_conflicts; };
  (void)collector.timer("both", {}, {.max_buckets = 64, .expected_interval = 0.01});
  (void)collector.timer("both", {}, {.max_buckets = 64, .expected_interval = 0.01});
  (void)collector.timer("both", {}, {.max_buckets = 64});
  (void)collector.timer("both", {}, {.expected_interval = 0.01});
  (void)collector.timer("both");
  (void)collector.summary("plain");
  (void)collector.summary("plain", {}, {.expected_interval = 0.01});  // a summary has no buckets to fill back
  CHECK(collector.record("by_name", 1));
  (void)collector.histogram("by_name", {}, {.max_buckets = 64});  // is its first bind
  CHECK(conflicts() == 0);
  (void)collector.timer("both", {}, {.expected_interval = 0.02});
  CHECK(conflicts() == 1);
  (void)collector.timer("both", {}, {.max_buckets = 128});
  CHECK(conflicts() == 2);
  (void)collector.histogram("by_name", {}, {.max_buckets = 128});
  CHECK(conflicts() == 3);
  (void)collector.histogram("sizes");
  collector.histogram("sizes", {}, {.expected_interval = 1}).record(10);
  CHECK(conflicts() == 4);
  CHECK(series(*collector.flush(), "sizes")->distribution.backfilled() == 0);  // the first stays
}

TEST_CASE("the first bind wins, the conflict is counted and on_error told") {
  TelemetryConfig config = manual();
  std::vector<std::string> errors;
  config.on_error = [&](std::string_view error) { errors.emplace_back(error); };
  MetricsCollector collector(config);
  collector.counter("hits", {}, {.unit = "1", .help = "help"}).add(1);
  std::uint64_t conflicts = 0;
  SUBCASE("another kind") {
    collector.summary("hits").record(2);
    conflicts = 1;
  }
  SUBCASE("another unit") {
    collector.counter("hits", {}, {.unit = "bytes"}).add(2);
    conflicts = 1;
  }
  SUBCASE("another help") {
    collector.counter("hits", {}, {.help = "other"}).add(2);
    conflicts = 1;
  }
  SUBCASE("again and again") {
    collector.gauge("hits").set(2);
    (void)collector.timer("hits");
    (void)collector.histogram("hits");
    conflicts = 3;
  }
  const auto snapshot = collector.flush();
  CHECK(series(*snapshot, "hits")->kind == Kind::counter);
  CHECK(series(*snapshot, "hits")->unit == "1");
  CHECK(series(*snapshot, "hits")->help == "help");
  CHECK(series(*snapshot, "hits")->count == 2);
  CHECK(series(*snapshot, "hits")->sum == 3);
  CHECK(snapshot->stats().bind_conflicts == conflicts);
  REQUIRE(errors.size() == conflicts);
  CHECK(errors.front().find("hits") != std::string::npos);
}

TEST_CASE("a handle of the kind that lost still records, as the kind that won") {
  MetricsCollector collector(manual());
  (void)collector.counter("first");
  const Gauge late = collector.gauge("first");
  late.set(4);
  late.set(-1);
  const auto snapshot = collector.flush();
  CHECK(series(*snapshot, "first")->sum == 4);
  CHECK(series(*snapshot, "first")->last == 4);
  CHECK(contract::lost(snapshot->stats(), Cause::negative) == 1);
}

TEST_CASE("on_error may bind, record and flush") {
  TelemetryConfig config = manual();
  MetricsCollector* reached = nullptr;
  config.on_error = [&](std::string_view) {
    reached->counter("errors").add();
    CHECK(reached->record("dynamic", 1));
    (void)reached->flush();
  };
  MetricsCollector collector(config);
  reached = &collector;
  (void)collector.counter("hits");
  (void)collector.gauge("hits");
  CHECK(contract::count(*collector.flush(), "errors") == 1);
}

TEST_CASE("on_error may flush when it is told of a loss") {
  TelemetryConfig config = manual(1);
  config.on_overflow = OverflowPolicy::drop;
  MetricsCollector* reached = nullptr;
  int told = 0;
  config.on_error = [&](std::string_view) {
    (void)reached->flush();
    ++told;
  };
  MetricsCollector collector(config);
  reached = &collector;
  const Counter hits = collector.counter("hits");
  for (int i = 0; i < 10'000; ++i) hits.add();
  (void)collector.flush();
  CHECK(told == 1);
}

TEST_CASE("an on_error that throws is counted and goes no further") {
  TelemetryConfig config = manual();
  config.on_error = [](std::string_view) { throw 1; };
  MetricsCollector collector(config);
  (void)collector.counter("hits");
  CHECK_NOTHROW((void)collector.gauge("hits"));
  CHECK(collector.flush()->stats().callback_errors == 1);
}

TEST_CASE("the first bind gives kind, unit and help to a series that record() made") {
  MetricsCollector collector(manual());
  CHECK(collector.record("hits", 2, {{"k", "v"}}));
  CHECK(series(*collector.flush(), "hits", {{"k", "v"}})->kind == Kind::summary);
  collector.counter("hits", {{"k", "v"}}, {.unit = "1", .help = "help"}).add(3);
  CHECK(collector.record("hits", 4, {{"k", "v"}}));
  const auto snapshot = collector.flush();
  const auto found = series(*snapshot, "hits", {{"k", "v"}});
  CHECK(snapshot->size() == 1);
  CHECK(found->kind == Kind::counter);
  CHECK(found->unit == "1");
  CHECK(found->help == "help");
  CHECK(found->count == 3);
  CHECK(found->sum == 9);
  CHECK(snapshot->stats().bind_conflicts == 0);
  (void)collector.gauge("hits", {{"k", "v"}});  // the second bind is one too many
  CHECK(collector.flush()->stats().bind_conflicts == 1);
}

TEST_CASE("record() goes by the kind that a bind gave the series") {
  MetricsCollector collector(manual());
  CHECK(collector.record("level", 1));
  const Gauge level = collector.gauge("level");
  CHECK(collector.record("level", 2));
  std::thread([&] { level.set(3); }).join();
  CHECK(collector.record("level", 4));
  CHECK(series(*collector.flush(), "level")->last == 4);
  std::thread([&] { CHECK(collector.record("level", 5)); }).join();
  level.set(6);
  CHECK(series(*collector.flush(), "level")->last == 6);
}

TEST_CASE("record() on a bound series is no conflict") {
  MetricsCollector collector(manual());
  collector.counter("hits", {}, {.unit = "1"}).add();
  CHECK(collector.record("hits", 1));
  const auto snapshot = collector.flush();
  CHECK(series(*snapshot, "hits")->count == 2);
  CHECK(snapshot->stats().bind_conflicts == 0);
}

TEST_CASE("threads that bind the same series at once get the same series") {
  constexpr std::size_t kThreads = 4, kSeries = 500;
  MetricsCollector collector(manual());
  contract::on_threads(kThreads, [&](std::size_t) {
    for (std::size_t i = 0; i < kSeries; ++i) collector.counter("hits", {{"i", std::to_string(i)}}).add();
  });
  const auto snapshot = collector.flush();
  CHECK(snapshot->size() == kSeries);
  for (const SeriesSnapshot& one : *snapshot) CHECK(one.count == kThreads);
}
