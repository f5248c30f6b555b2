#include "forked.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

using namespace forked;
using contract::comes_true;

namespace {

using Clock = std::chrono::steady_clock;

void nap() { std::this_thread::sleep_for(std::chrono::milliseconds{1}); }

/// What stats() says of an exporter; all zero where it is not there.
ExporterStats stats_of(const MetricsCollector& collector, std::string_view name) {
  for (ExporterStats& stats : collector.stats().exporters) {
    if (stats.name == name) return std::move(stats);
  }
  return {};
}

/// Stays inside until it may leave.
struct Stuck {
  std::atomic<bool> is_inside{false}, may_leave{false};
  std::atomic<std::uint64_t> last_sequence{0};
  void operator()(const Snapshot& snapshot, Clock::time_point) {
    is_inside = true;
    while (!may_leave) nap();
    last_sequence = snapshot.sequence();
  }
};

int threads_named(const std::string& wanted) {
  int found = 0;
  for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
    std::string name;
    std::getline(std::ifstream(task.path() / "comm"), name);
    found += name == wanted;
  }
  return found;
}

}  // namespace

TEST_CASE("an exporter gets each snapshot and its deadline, on a thread of its own") {
  MetricsCollector collector(background());
  const Counter hits = collector.counter("hits");
  std::atomic<std::uint64_t> seen{0}, sequence{0};
  std::atomic<bool> is_in_time{true};
  std::atomic<std::thread::id> thread{}, other_thread{};
  const auto is_right = [](Clock::time_point deadline, std::chrono::seconds timeout) {
    const auto left = deadline - Clock::now();
    return left > std::chrono::seconds{0} && left <= timeout;
  };
  const Subscription first =
      collector.add_exporter({.name = "first", .timeout = std::chrono::seconds{30}}, [&](const Snapshot& of, auto deadline) {
        if (!is_right(deadline, std::chrono::seconds{30})) is_in_time = false;
        thread = std::this_thread::get_id();
        seen = count(of, "hits");
        sequence = of.sequence();
      });
  const Subscription second = collector.add_exporter({}, [&](const Snapshot&, auto) { other_thread = std::this_thread::get_id(); });
  for (std::uint64_t i = 1; i <= 5; ++i) {
    hits.add();
    const auto flushed = collector.flush();
    REQUIRE(comes_true([&] { return sequence == flushed->sequence() && stats_of(collector, "exporter").exported == i; }));
    CHECK(seen == i);
  }
  CHECK(is_in_time);
  CHECK(thread.load() != std::this_thread::get_id());
  CHECK(thread.load() != other_thread.load());
  REQUIRE(comes_true([&] { return stats_of(collector, "first").exported == 5; }));
  CHECK(collector.flush()->stats().exporters.size() == 2);
}

TEST_CASE("an exporter that hangs holds up neither flush, callbacks nor its siblings, and is late; it goes on with the latest snapshot") {
  MetricsCollector collector(background());
  const Counter hits = collector.counter("hits");
  Stuck stuck;
  std::atomic<std::uint64_t> sibling{0}, callback{0};
  const Subscription hangs = collector.add_exporter({.name = "hangs", .timeout = std::chrono::milliseconds{1}}, std::ref(stuck));
  const Subscription works = collector.add_exporter({.name = "works"}, [&](const Snapshot& of, auto) { sibling = of.sequence(); });
  const Subscription called = collector.on_snapshot([&](const Snapshot& of) { callback = of.sequence(); });
  const std::uint64_t first = collector.flush()->sequence();
  REQUIRE(comes_true([&] { return stuck.is_inside.load() && sibling == first; }));
  std::uint64_t last = 0;
  for (int i = 0; i < 10; ++i) {
    hits.add();
    const auto snapshot = collector.flush();
    last = snapshot->sequence();
    CHECK(count(*snapshot, "hits") == static_cast<std::uint64_t>(i + 1));
    REQUIRE(comes_true([&] { return sibling == last && callback == last; }));
  }
  REQUIRE(comes_true([&] { return stats_of(collector, "hangs").late == 1; }));  // and has not come back
  const ExporterStats while_stuck = stats_of(collector, "hangs");
  CHECK(while_stuck.exported == 0);
  CHECK(while_stuck.skipped == 9);  // the tenth waits
  CHECK(stats_of(collector, "works").skipped == 0);
  CHECK(stats_of(collector, "works").late == 0);
  stuck.may_leave = true;
  REQUIRE(comes_true([&] { return stuck.last_sequence == last; }));
  REQUIRE(comes_true([&] { return stats_of(collector, "hangs").exported == 2; }));
  CHECK(stats_of(collector, "hangs").skipped == 9);
  CHECK(stats_of(collector, "hangs").failed == 0);
}

TEST_CASE("a callback that hangs does not hold up an exporter") {
  MetricsCollector collector(background());
  std::atomic<bool> may_leave{false};
  std::atomic<std::uint64_t> seen{0};
  const Subscription callback = collector.on_snapshot([&](const Snapshot&) {
    while (!may_leave) nap();
  });
  const Subscription exporter = collector.add_exporter({}, [&](const Snapshot& of, auto) { seen = of.sequence(); });
  for (int i = 0; i < 3; ++i) {
    const auto snapshot = collector.flush();
    REQUIRE(comes_true([&] { return seen == snapshot->sequence(); }));
  }
  may_leave = true;
}

TEST_CASE("an exporter that throws is counted and named, and is called again") {
  for (const bool is_manual : {false, true}) {
    std::atomic<int> named{0};
    TelemetryConfig config = is_manual ? manual() : background();
    config.on_error = [&](std::string_view what) {
      if (what.find("exporter broken") != std::string_view::npos && what.find("no disk") != std::string_view::npos) ++named;
    };
    MetricsCollector collector(config);
    std::atomic<std::uint64_t> sibling{0};
    const Subscription broken =
        collector.add_exporter({.name = "broken"}, [](const Snapshot&, auto) { throw std::runtime_error("no disk"); });
    const Subscription odd = collector.add_exporter({.name = "odd"}, [](const Snapshot&, auto) { throw 1; });
    const Subscription works = collector.add_exporter({.name = "works"}, [&](const Snapshot&, auto) { ++sibling; });
    for (std::uint64_t i = 1; i <= 3; ++i) {
      (void)collector.flush();
      REQUIRE(
          comes_true([&] { return stats_of(collector, "broken").failed == i && stats_of(collector, "odd").failed == i && sibling == i; }));
    }
    CHECK(comes_true([&] { return named == 3; }));
    CHECK(stats_of(collector, "broken").exported == 0);
    CHECK(comes_true([&] { return collector.stats().callback_errors == 6; }));
  }
}

TEST_CASE("without threads, exporters run inside flush()") {
  MetricsCollector collector(manual());
  std::vector<std::uint64_t> seen;
  const Subscription exporter = collector.add_exporter({}, [&](const Snapshot& of, auto) { seen.push_back(of.sequence()); });
  const auto first = collector.flush(), second = collector.flush();
  CHECK(seen == std::vector{first->sequence(), second->sequence()});
  CHECK(stats_of(collector, "exporter").exported == 2);
}

TEST_CASE("shutdown() exports what was recorded before it, by a deadline that is its own") {
  MetricsCollector collector(background());
  const Counter hits = collector.counter("hits");
  std::atomic<std::uint64_t> seen{0};
  std::atomic<bool> is_in_time{false};
  const Subscription exporter = collector.add_exporter({.timeout = std::chrono::hours{1}}, [&](const Snapshot& of, auto deadline) {
    is_in_time = deadline <= Clock::now() + std::chrono::seconds{20};
    seen = count(of, "hits");
  });
  add_times(hits, kManyRecords);
  CHECK(collector.shutdown(std::chrono::seconds{20}));
  CHECK(seen == kManyRecords);
  CHECK(is_in_time);
  hits.add();
  (void)collector.flush();
  CHECK(seen == kManyRecords + 1);
}

TEST_CASE("shutdown() comes back in time from an exporter that hangs, and says so; the others have the last snapshot") {
  Stuck stuck;
  std::atomic<std::uint64_t> seen{0};
  std::optional<Subscription> hangs;
  {
    MetricsCollector collector(background());
    const Counter hits = collector.counter("hits");
    hangs = collector.add_exporter({.name = "hangs"}, std::ref(stuck));
    const Subscription works = collector.add_exporter({.name = "works"}, [&](const Snapshot& of, auto) { seen = count(of, "hits"); });
    (void)collector.flush();
    REQUIRE(comes_true([&] { return stuck.is_inside.load(); }));
    hits.add();
    const auto begin = Clock::now();
    CHECK_FALSE(collector.shutdown(std::chrono::milliseconds{200}));
    CHECK(Clock::now() - begin < std::chrono::seconds{5});
    CHECK(comes_true([&] { return seen == 1; }));
    stuck.may_leave = true;
  }
  hangs.reset();
  CHECK(comes_true([] { return threads_named("pepper-export") == 0; }));
}

TEST_CASE("an exporter whose subscription ends is called no more, is in no stats, and its thread ends") {
  MetricsCollector collector(background());
  std::atomic<int> calls{0};
  auto exporter = std::make_optional(collector.add_exporter({.name = "ends"}, [&](const Snapshot&, auto) { ++calls; }));
  (void)collector.flush();
  REQUIRE(comes_true([&] { return calls == 1; }));
  exporter.reset();
  CHECK(collector.stats().exporters.empty());
  (void)collector.flush();
  CHECK(comes_true([] { return threads_named("pepper-export") == 0; }));
  CHECK(calls == 1);
}

TEST_CASE("an exporter may flush, add exporters, end itself and destroy its collector") {
  auto collector = std::make_unique<MetricsCollector>(background());
  const Counter hits = collector->counter("hits");
  hits.add();
  std::optional<Subscription> self, other;
  std::atomic<bool> is_done{false};
  std::atomic<std::uint64_t> seen{0};
  self = collector->add_exporter({}, [&](const Snapshot&, auto) {
    seen = count(*collector->flush(), "hits");
    other = collector->add_exporter({.name = "other"}, [](const Snapshot&, auto) {});
    self.reset();
    collector.reset();
    is_done = true;
  });
  (void)collector->flush();
  CHECK(comes_true([&] { return is_done.load(); }));
  CHECK(seen == 1);
}

TEST_CASE("a child's exporters go on in it, with its own records and from zero") {
  if (!kChildrenHaveThreads) return;
  MetricsCollector collector(background());
  const Counter hits = collector.counter("hits");
  std::atomic<std::uint64_t> seen{0};
  const Subscription exporter = collector.add_exporter({.name = "e"}, [&](const Snapshot& of, auto) { seen = count(of, "hits"); });
  add_times(hits, 10);
  (void)collector.flush();
  REQUIRE(comes_true([&] { return stats_of(collector, "e").exported == 1 && seen == 10; }));
  CHECK(holds_in_child([&] {
    hits.add();
    (void)collector.flush();
    return comes_true([&] { return stats_of(collector, "e").exported == 1 && seen == 1; });
  }));
}

TEST_CASE("what is wrong with an exporter is said by field and value") {
  MetricsCollector collector(manual());
  const auto refusal = [&](ExporterOptions options, Exporter exporter) -> std::string {
    try {
      (void)collector.add_exporter(std::move(options), std::move(exporter));
    } catch (const std::invalid_argument& error) {
      return error.what();
    }
    return "";
  };
  const Exporter good = [](const Snapshot&, auto) {};
  CHECK(refusal({.name = ""}, good) == "ExporterOptions::name: 0 bytes: must be 1 to 255");
  CHECK(refusal({.name = std::string(256, 'x')}, good) == "ExporterOptions::name: 256 bytes: must be 1 to 255");
  CHECK(refusal({.timeout = std::chrono::nanoseconds{1}}, good) == "ExporterOptions::timeout: 1 ns: must be 1 ms to 1 day");
  CHECK(refusal({.name = "x"}, nullptr).find("\"x\"") != std::string::npos);
  CHECK(refusal({}, good).empty());
}

TEST_CASE("a reader gives what was recorded before it, and nothing once the collector is gone") {
  std::optional<MetricsCollector> collector(background());
  const auto read = collector->reader();
  collector->counter("hits").add();
  CHECK(count(*read(), "hits") == 1);
  collector.reset();
  CHECK(read() == nullptr);

  MetricsCollector unthreaded(manual());
  const auto read_latest = unthreaded.reader();
  unthreaded.counter("hits").add();
  CHECK(count(*read_latest(), "hits") == 0);
  (void)unthreaded.flush();
  CHECK(count(*read_latest(), "hits") == 1);
}
