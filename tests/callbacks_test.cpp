#include "contract.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <future>
#include <limits>
#include <mutex>
#include <optional>
#include <stdexcept>

using namespace pepper;
using contract::background;
using contract::count;
using contract::manual;
using contract::series;

namespace {

/// A function that says it has begun and goes on when it is told to.
class Gate {
 public:
  ~Gate() { open(); }
  void enter() {
    std::call_once(entered_once_, [this] { entered_.set_value(); });
    opened_.wait();
  }
  void wait_until_entered() { entered_.get_future().wait(); }
  void open() {
    std::call_once(opened_once_, [this] { open_.set_value(); });
  }

 private:
  std::once_flag entered_once_, opened_once_;
  std::promise<void> entered_, open_;
  std::shared_future<void> opened_ = open_.get_future().share();
};

TelemetryConfig of(FlushMode mode) {
  TelemetryConfig config = background();
  config.flush_mode = mode;
  return config;
}

}  // namespace

TEST_CASE("a manual collector calls back inside flush(), with the snapshot that flush() returns") {
  MetricsCollector collector(manual());
  std::vector<const Snapshot*> seen;
  const std::thread::id me = std::this_thread::get_id();
  const Subscription callback = collector.on_snapshot([&](const Snapshot& snapshot) {
    CHECK(std::this_thread::get_id() == me);
    seen.push_back(&snapshot);
  });
  const auto first = collector.flush(), second = collector.flush();
  CHECK(seen == std::vector{first.get(), second.get()});
}

TEST_CASE("a background collector calls back on a thread of its own") {
  MetricsCollector collector(background());
  std::promise<std::thread::id> called;
  std::once_flag once;
  const Subscription callback =
      collector.on_snapshot([&](const Snapshot&) { std::call_once(once, [&] { called.set_value(std::this_thread::get_id()); }); });
  (void)collector.flush();
  CHECK(called.get_future().get() != std::this_thread::get_id());
}

TEST_CASE("every callback is called, one after another") {
  MetricsCollector collector(background(std::chrono::milliseconds{1}));
  std::atomic<int> running{0}, together{0}, calls[3]{};
  std::vector<Subscription> subscriptions;
  for (auto& called : calls) {
    subscriptions.push_back(collector.on_snapshot([&](const Snapshot&) {
      together += running++ != 0;
      ++called;
      std::this_thread::yield();
      --running;
    }));
  }
  CHECK(contract::comes_true([&] { return std::ranges::all_of(calls, [](const auto& called) { return called >= 5; }); }));
  CHECK(together == 0);
}

TEST_CASE("a callback sees snapshots in their order, whoever flushes") {
  for (const FlushMode mode : {FlushMode::manual, FlushMode::background}) {
    CAPTURE(static_cast<int>(mode));
    MetricsCollector collector(of(mode));
    std::atomic<std::uint64_t> latest{0}, backwards{0};
    const Subscription callback = collector.on_snapshot([&](const Snapshot& snapshot) {
      backwards += snapshot.sequence() <= latest;
      latest = snapshot.sequence();
    });
    contract::on_threads(4, [&](std::size_t) {
      for (int i = 0; i < 3000; ++i) (void)collector.flush();
    });
    CHECK(collector.shutdown());
    CHECK(backwards.load() == 0);
    CHECK(latest.load() == collector.snapshot()->sequence());
  }
}

TEST_CASE("a slow callback skips to the latest snapshot, and flush() does not wait for it") {
  MetricsCollector collector(background());
  Gate gate;
  std::vector<std::uint64_t> seen;
  Subscription callback = collector.on_snapshot([&](const Snapshot& snapshot) {
    seen.push_back(snapshot.sequence());
    gate.enter();
  });
  (void)collector.flush();
  gate.wait_until_entered();
  for (int i = 0; i < 100; ++i) (void)collector.flush();
  gate.open();
  CHECK(collector.shutdown());
  callback.reset();
  CHECK(seen.size() <= 3);  // the first, the latest of the hundred, shutdown()'s
  CHECK(seen.back() == collector.snapshot()->sequence());
}

TEST_CASE("what a callback throws is counted and reported, and stops no other callback") {
  for (const FlushMode mode : {FlushMode::manual, FlushMode::background}) {
    CAPTURE(static_cast<int>(mode));
    TelemetryConfig config = of(mode);
    std::mutex mutex;
    std::string errors;
    config.on_error = [&](std::string_view error) {
      const std::lock_guard lock(mutex);
      errors += error;
    };
    MetricsCollector collector(config);
    std::atomic<int> called{0};
    const Subscription bad = collector.on_snapshot([](const Snapshot&) { throw std::runtime_error("told so"); });
    const Subscription worse = collector.on_snapshot([](const Snapshot&) { throw 42; });
    const Subscription empty = collector.on_snapshot(nullptr);
    const Subscription good = collector.on_snapshot([&](const Snapshot&) { ++called; });
    (void)collector.flush();
    CHECK(contract::comes_true([&] { return called == 1; }));
    CHECK(collector.stats().callback_errors == 3);
    CHECK(collector.flush()->stats().callback_errors >= 3);
    CHECK(collector.shutdown());
    CHECK(errors.find("told so") != std::string::npos);
  }
}

TEST_CASE("after its subscription's end a callback is not running and never runs again") {
  MetricsCollector collector(background(std::chrono::milliseconds{1}));
  for (int round = 0; round < 100; ++round) {
    auto alive = std::make_unique<std::atomic<int>>(0);
    std::atomic<int>* const reached = alive.get();
    Subscription callback = collector.on_snapshot([reached](const Snapshot&) { ++*reached; });
    if (round % 10 == 0) CHECK(contract::comes_true([&] { return *reached > 0; }));
    (void)collector.flush();
    callback.reset();
    alive.reset();  // a sanitizer sees a call that comes too late
  }
}

TEST_CASE("ending a subscription waits for the call in progress") {
  MetricsCollector collector(background());
  Gate gate;
  std::atomic<bool> is_ending{false}, is_done{false};
  Subscription callback = collector.on_snapshot([&](const Snapshot&) {
    gate.enter();
    while (!is_ending) std::this_thread::yield();
    for (int i = 0; i < 1000; ++i) std::this_thread::yield();  // time to return too early in
    is_done = true;
  });
  (void)collector.flush();
  gate.wait_until_entered();
  gate.open();
  is_ending = true;
  callback.reset();
  CHECK(is_done);
}

TEST_CASE("a callback may end its own subscription, and is let go of") {
  for (const FlushMode mode : {FlushMode::manual, FlushMode::background}) {
    MetricsCollector collector(of(mode));
    const auto owned = std::make_shared<int>();
    std::atomic<int> called{0};
    std::optional<Subscription> callback;
    callback = collector.on_snapshot([&called, &callback, owned](const Snapshot&) {
      callback.reset();
      ++called;
    });
    (void)collector.flush();
    CHECK(contract::comes_true([&] { return called == 1 && owned.use_count() == 1; }));
    (void)collector.flush();
    CHECK(collector.shutdown());
    CHECK(called == 1);
  }
}

TEST_CASE("a callback may end another one's subscription and make new ones") {
  MetricsCollector collector(manual());
  Subscription first, second, third;
  int called_second = 0, called_third = 0;
  first = collector.on_snapshot([&](const Snapshot&) {
    second.reset();
    if (!third) third = collector.on_snapshot([&](const Snapshot&) { ++called_third; });
  });
  second = collector.on_snapshot([&](const Snapshot&) { ++called_second; });
  (void)collector.flush();
  CHECK(called_second == 0);
  (void)collector.flush();
  CHECK(called_third >= 1);
}

TEST_CASE("flush() inside a callback does not call back again inside it") {
  MetricsCollector collector(manual());
  int depth = 0, deepest = 0, called = 0;
  const Subscription callback = collector.on_snapshot([&](const Snapshot&) {
    deepest = std::max(deepest, ++depth);
    if (++called < 10) (void)collector.flush();
    --depth;
  });
  (void)collector.flush();
  CHECK(deepest == 1);
}

TEST_CASE("a subscription that was moved from holds nothing, one that is assigned to ends what it held") {
  MetricsCollector collector(manual());
  int first_called = 0, second_called = 0;
  Subscription first = collector.on_snapshot([&](const Snapshot&) { ++first_called; });
  CHECK(first);
  Subscription moved = std::move(first);
  CHECK_FALSE(first);
  first.reset();
  (void)collector.flush();
  CHECK(first_called == 1);
  moved = collector.on_snapshot([&](const Snapshot&) { ++second_called; });
  (void)collector.flush();
  CHECK(first_called == 1);
  CHECK(second_called == 1);
  Subscription& same = moved;
  moved = std::move(same);
  (void)collector.flush();
  CHECK(second_called == 2);
  Subscription none;
  CHECK_FALSE(none);
  none.reset();
}

TEST_CASE("a subscription may outlive its collector") {
  Subscription callback, observer;
  int called = 0;
  {
    MetricsCollector collector(manual());
    callback = collector.on_snapshot([&](const Snapshot&) { ++called; });
    observer = collector.observe("observed", {}, [] { return 1.0; });
    (void)collector.flush();
  }
  const int before = called;
  callback.reset();
  observer.reset();
  CHECK(called == before);
}

TEST_CASE("an observer's value is in the snapshot that asked for it") {
  for (const FlushMode mode : {FlushMode::manual, FlushMode::background}) {
    CAPTURE(static_cast<int>(mode));
    MetricsCollector collector(of(mode));
    std::atomic<double> value{0};
    Subscription observer = collector.observe("level", {{"k", "v"}}, [&] { return value.load(); });
    for (int i = 1; i <= 100; ++i) {
      value = i;
      const auto snapshot = collector.flush();
      CHECK(series(*snapshot, "level", {{"k", "v"}})->last == i);
      CHECK(series(*snapshot, "level", {{"k", "v"}})->kind == Kind::gauge);
    }
    observer.reset();
    value = -1;
    CHECK(series(*collector.flush(), "level", {{"k", "v"}})->last == 100);
  }
}

TEST_CASE("an observer that throws is counted and reported, and stops neither the flush nor the others") {
  for (const FlushMode mode : {FlushMode::manual, FlushMode::background}) {
    CAPTURE(static_cast<int>(mode));
    MetricsCollector collector(of(mode));
    const Subscription bad = collector.observe("bad", {}, []() -> double { throw std::runtime_error("no"); });
    const Subscription good = collector.observe("good", {}, [] { return 5.0; });
    const auto snapshot = collector.flush();
    CHECK(series(*snapshot, "bad")->count == 0);
    CHECK(series(*snapshot, "good")->last == 5);
    CHECK(snapshot->stats().callback_errors == 1);
  }
}

TEST_CASE("an observer that gives NaN is rejected") {
  MetricsCollector collector(manual());
  const Subscription bad = collector.observe("bad", {}, [] { return std::numeric_limits<double>::quiet_NaN(); });
  const auto snapshot = collector.flush();
  CHECK(series(*snapshot, "bad")->count == 0);
  CHECK(snapshot->stats().rejected == 1);
}

TEST_CASE("an observer that blocks stops no flush") {
  MetricsCollector collector(background());
  Gate gate;
  Subscription observer = collector.observe("level", {}, [&] { return gate.enter(), 1.0; });
  const Counter hits = collector.counter("hits");
  for (std::uint64_t i = 1; i <= 5; ++i) {
    hits.add();
    CHECK(count(*collector.flush(), "hits") == i);
  }
  CHECK(count(*collector.snapshot(), "level") == 0);
  gate.open();
  CHECK(contract::comes_true([&] { return count(*collector.flush(), "level") > 0; }));
}

TEST_CASE("an observer that blocks holds up one flush, and that for a tenth of a second") {
  MetricsCollector collector(background());
  Gate gate;
  const Subscription observer = collector.observe("level", {}, [&] { return gate.enter(), 1.0; });
  (void)collector.flush();
  const auto begin = std::chrono::steady_clock::now();
  for (int i = 0; i < 50; ++i) (void)collector.flush();
  CHECK(std::chrono::steady_clock::now() - begin < std::chrono::seconds{2});  // 50 tenths, if each waited
  gate.open();
}

TEST_CASE("a callback that flushes is not called by its own flush") {
  for (const FlushMode mode : {FlushMode::manual, FlushMode::background}) {
    MetricsCollector collector(of(mode)), other(manual());
    std::atomic<int> called{0};
    // By way of another collector, too.
    const Subscription others = other.on_snapshot([&](const Snapshot&) { (void)collector.flush(); });
    const Subscription callback = collector.on_snapshot([&](const Snapshot&) {
      ++called;
      (void)collector.flush();
      (void)other.flush();
    });
    (void)collector.flush();
    CHECK(contract::comes_true([&] { return called == 1; }));
    CHECK(collector.shutdown());
    CHECK(called <= 2);  // the last snapshot is a new one
    const int at_end = called;
    (void)collector.snapshot();
    CHECK(called == at_end);
  }
}

TEST_CASE("a callback that blocks holds up its own collector's callbacks and nobody else's") {
  MetricsCollector blocked(background()), other(background());
  Gate gate;
  Subscription blocking = blocked.on_snapshot([&](const Snapshot&) { gate.enter(); });
  std::atomic<int> called{0};
  const Subscription callback = other.on_snapshot([&](const Snapshot&) { ++called; });
  (void)blocked.flush();
  gate.wait_until_entered();
  (void)other.flush();
  CHECK(contract::comes_true([&] { return called == 1; }));
  CHECK(blocked.flush()->sequence() == 2);
  gate.open();
}
