#include "contract.hpp"

#include <algorithm>
#include <atomic>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <string_view>
#include <thread>

using namespace pepper;
using contract::background;
using contract::count;
using contract::manual;
using namespace std::chrono_literals;
using Steady = std::chrono::steady_clock;

TEST_CASE("shutdown() drains and delivers what was recorded before it") {
  for (const FlushMode mode : {FlushMode::manual, FlushMode::background}) {
    TelemetryConfig config = background();
    config.flush_mode = mode;
    MetricsCollector collector(config);
    std::atomic<std::uint64_t> delivered{0};
    const Subscription callback = collector.on_snapshot([&](const Snapshot& snapshot) { delivered = count(snapshot, "hits"); });
    const Counter hits = collector.counter("hits");
    for (int i = 0; i < 1000; ++i) hits.add();
    std::thread([&] { hits.add(); }).join();
    CHECK(collector.shutdown());
    CHECK(delivered == 1001);
    CHECK(count(*collector.snapshot(), "hits") == 1001);
  }
}

TEST_CASE("shutdown() again is true and publishes nothing") {
  MetricsCollector collector(background());
  collector.counter("hits").add();
  CHECK(collector.shutdown());
  const std::uint64_t published = collector.snapshot()->sequence();
  CHECK(collector.shutdown());
  CHECK(collector.shutdown(0ns));
  CHECK(collector.snapshot()->sequence() == published);
}

TEST_CASE("shutdown() again drains what was recorded since") {
  for (const FlushMode mode : {FlushMode::manual, FlushMode::background}) {
    TelemetryConfig config = background();
    config.flush_mode = mode;
    MetricsCollector collector(config);
    const Counter hits = collector.counter("hits");
    for (std::uint64_t i = 1; i <= 3; ++i) {
      hits.add();
      CHECK(collector.shutdown());
      CHECK(count(*collector.snapshot(), "hits") == i);
    }
  }
}

TEST_CASE("shutdown() of a collector that nobody used is true") {
  MetricsCollector never(background()), manual_one(manual());
  CHECK(never.shutdown());
  CHECK(manual_one.shutdown(0ns));
}

TEST_CASE("threads may shut down at once") {
  for (int round = 0; round < 50; ++round) {
    MetricsCollector collector(background(1ms));
    const Subscription callback = collector.on_snapshot([](const Snapshot&) {});
    collector.counter("hits").add();
    std::atomic<int> done{0};
    contract::on_threads(4, [&](std::size_t) { done += collector.shutdown(); });
    CHECK(done == 4);
    CHECK(count(*collector.snapshot(), "hits") == 1);
  }
}

TEST_CASE("shutdown() is true no sooner than the other thread's has drained") {
  MetricsCollector collector(background());
  std::promise<void> entered, opened;
  const Subscription slow = collector.observe("level", {}, [&, once = std::make_shared<std::once_flag>()] {
    std::call_once(*once, [&] {
      entered.set_value();
      (void)opened.get_future().wait_for(50ms);  // less than a flush waits for observers
    });
    return 1.0;
  });
  collector.counter("hits").add();
  std::jthread first([&] { CHECK(collector.shutdown()); });
  entered.get_future().wait();
  CHECK(collector.shutdown());
  CHECK(count(*collector.snapshot(), "hits") == 1);
}

TEST_CASE("after shutdown() records and flush() work as with FlushMode::manual") {
  MetricsCollector collector(background());
  const Counter hits = collector.counter("hits");
  hits.add();
  CHECK(collector.shutdown());
  for (int i = 0; i < 100'000; ++i) hits.add();
  std::thread([&] { collector.counter("late").add(); }).join();
  CHECK(collector.record("dynamic", 1));
  int called = 0;
  const std::thread::id me = std::this_thread::get_id();
  const Subscription callback = collector.on_snapshot([&](const Snapshot&) { called += std::this_thread::get_id() == me; });
  const Subscription observer = collector.observe("observed", {}, [] { return 7.0; });
  const auto snapshot = collector.flush();
  CHECK(called == 1);
  CHECK(count(*snapshot, "hits") == 100'001);
  CHECK(count(*snapshot, "late") == 1);
  CHECK(count(*snapshot, "dynamic") == 1);
  CHECK(contract::series(*snapshot, "observed")->last == 7);
  CHECK(contract::is_balanced(snapshot->stats()));
}

TEST_CASE("after shutdown() nothing is published by itself") {
  MetricsCollector collector(background(1ms));
  collector.counter("hits").add();
  CHECK(contract::comes_true([&] { return collector.snapshot()->sequence() >= 2; }));
  CHECK(collector.shutdown());
  const std::uint64_t published = collector.snapshot()->sequence();
  collector.counter("hits").add();
  MetricsCollector clock(background(1ms));  // that of ten intervals of another collector
  clock.counter("ticks").add();
  CHECK(contract::comes_true([&] { return clock.snapshot()->sequence() >= 10; }));
  CHECK(collector.snapshot()->sequence() == published);
}

TEST_CASE("shutdown() from inside a callback returns, and the collector ends later") {
  MetricsCollector collector(background());
  std::promise<void> called;
  std::once_flag once;
  const Subscription callback = collector.on_snapshot([&](const Snapshot&) {
    (void)collector.shutdown(100ms);
    std::call_once(once, [&] { called.set_value(); });
  });
  collector.counter("hits").add();
  (void)collector.flush();
  called.get_future().wait();
  CHECK(collector.shutdown());
  CHECK(count(*collector.flush(), "hits") == 1);
}

TEST_CASE("shutdown() from inside an observer, on_error or on_flusher_start returns") {
  MetricsCollector* reached = nullptr;
  std::atomic<int> returned{0};
  const auto shut_down = [&] {
    (void)reached->shutdown(100ms);
    ++returned;
  };
  SUBCASE("observer") {
    MetricsCollector collector(background());
    reached = &collector;
    const Subscription observer = collector.observe("observed", {}, [&] { return shut_down(), 1.0; });
    (void)collector.flush();
    CHECK(contract::comes_true([&] { return returned > 0; }));
  }
  SUBCASE("on_error") {
    TelemetryConfig config = background();
    config.on_error = [&](std::string_view) { shut_down(); };
    MetricsCollector collector(config);
    reached = &collector;
    (void)collector.counter("hits");
    (void)collector.gauge("hits");
    CHECK(returned == 1);
  }
  SUBCASE("on_flusher_start") {
    TelemetryConfig config = background();
    std::promise<void> begin;
    config.on_flusher_start = [&, may_begin = begin.get_future().share()] {
      may_begin.wait();
      shut_down();
    };
    MetricsCollector collector(config);
    reached = &collector;
    begin.set_value();
    (void)collector.counter("hits");
    CHECK(contract::comes_true([&] { return returned == 1; }));
  }
}

TEST_CASE("a user's function that blocks holds shutdown() up to its timeout and no longer") {
  std::promise<void> blocked, go_on;
  const std::shared_future<void> may_go_on = go_on.get_future().share();
  std::once_flag once;
  const auto block = [&, may_go_on] {
    std::call_once(once, [&] { blocked.set_value(); });
    may_go_on.wait();
  };
  TelemetryConfig config = background();
  std::function<void(MetricsCollector&)> make_it_block = [](MetricsCollector& collector) { (void)collector.counter("hits"); };
  std::function<Subscription(MetricsCollector&)> subscribe = [](MetricsCollector&) { return Subscription(); };
  SUBCASE("callback") {
    subscribe = [&](MetricsCollector& collector) { return collector.on_snapshot([&](const Snapshot&) { block(); }); };
    make_it_block = [](MetricsCollector& collector) { (void)collector.flush(); };
  }
  SUBCASE("observer") {
    subscribe = [&](MetricsCollector& collector) { return collector.observe("observed", {}, [&] { return block(), 1.0; }); };
    make_it_block = [](MetricsCollector& collector) { (void)collector.flush(); };
  }
  SUBCASE("on_flusher_start") { config.on_flusher_start = block; }
  MetricsCollector collector(config);
  Subscription subscription = subscribe(collector);
  make_it_block(collector);
  blocked.get_future().wait();
  const Counter hits = collector.counter("other");
  hits.add();
  for (const std::chrono::milliseconds timeout : {100ms, 10ms, 0ms}) {
    // The best of some tries: what a busy machine adds to one of them is not pepper's, what it adds to all of them is.
    std::chrono::nanoseconds best = 1h;
    for (int tries = 0; tries < 20 && best > timeout + 50ms; ++tries) {
      const auto begin = Steady::now();
      CHECK_FALSE(collector.shutdown(timeout));
      best = std::min<std::chrono::nanoseconds>(best, Steady::now() - begin);
    }
    CHECK(best >= timeout);
    CHECK(best <= timeout + 50ms);
  }
  hits.add();
  CHECK(count(*collector.flush(), "other") == 2);
  go_on.set_value();
  subscription.reset();
  CHECK(collector.shutdown());
}

TEST_CASE("an on_error that blocks at what the last flush tells it holds shutdown() up to its timeout and no longer") {
  std::chrono::nanoseconds best = 1h;
  for (int tries = 0; tries < 20 && best > 150ms; ++tries) {
    std::promise<void> go_on;
    std::atomic<int> told{0};
    TelemetryConfig config = background(1h);
    config.on_error = [&told, may_go_on = go_on.get_future().share()](std::string_view) {
      ++told;
      may_go_on.wait();
    };
    MetricsCollector collector(config);
    collector.counter("hits").add(-1);
    const auto begin = Steady::now();
    CHECK_FALSE(collector.shutdown(100ms));
    best = std::min<std::chrono::nanoseconds>(best, Steady::now() - begin);
    CHECK(contract::comes_true([&] { return told == 1; }));
    go_on.set_value();
    CHECK(collector.shutdown());
  }
  CHECK(best >= 100ms);
  CHECK(best <= 150ms);
}

TEST_CASE("shutdown() of a manual collector, inside which users' functions run, says so where one of them was late") {
  const auto sleep = [] { std::this_thread::sleep_for(100ms); };
  TelemetryConfig config = manual();
  std::function<Subscription(MetricsCollector&)> subscribe = [](MetricsCollector&) { return Subscription(); };
  SUBCASE("callback") {
    subscribe = [&](MetricsCollector& collector) { return collector.on_snapshot([&](const Snapshot&) { sleep(); }); };
  }
  SUBCASE("observer") {
    subscribe = [&](MetricsCollector& collector) { return collector.observe("observed", {}, [&] { return sleep(), 1.0; }); };
  }
  SUBCASE("on_error") {
    config.on_error = [&](std::string_view) { sleep(); };
  }
  MetricsCollector collector(config);
  const Subscription subscription = subscribe(collector);
  collector.counter("hits").add(-1);
  CHECK_FALSE(collector.shutdown(10ms));
  CHECK(contract::lost(collector.snapshot()->stats(), Cause::negative) == 1);
  CHECK(collector.shutdown());
}

TEST_CASE(
    "threads that shut down at once, twice each, while a callback that has shut down sleeps and others record, are all back in time") {
  constexpr std::chrono::nanoseconds kTimeout = 100ms;
  std::chrono::nanoseconds best = 1h;  // round's longest: see above
  for (int tries = 0; tries < 20 && best > kTimeout + 50ms; ++tries) {
    std::promise<void> blocked, go_on;
    MetricsCollector collector(background());
    std::atomic<bool> is_first{true};
    const Subscription callback = collector.on_snapshot([&](const Snapshot&) {
      CHECK_FALSE(collector.shutdown(1ms));
      if (!is_first.exchange(false)) return;
      blocked.set_value();
      go_on.get_future().wait();
    });
    const Counter hits = collector.counter("hits");
    std::atomic<std::uint64_t> recorded{0};
    std::atomic<std::chrono::nanoseconds> longest{0ns};
    {
      const std::jthread recording([&](const std::stop_token& stop) {
        for (; !stop.stop_requested(); ++recorded) hits.add();
      });
      (void)collector.flush();
      blocked.get_future().wait();
      contract::on_threads(3, [&](std::size_t) {
        for (int i = 0; i < 2; ++i) {
          const auto begin = Steady::now();
          CHECK_FALSE(collector.shutdown(kTimeout));
          const std::chrono::nanoseconds took = Steady::now() - begin;
          for (std::chrono::nanoseconds known = longest; known < took && !longest.compare_exchange_weak(known, took);) continue;
        }
      });
    }
    best = std::min(best, longest.load());
    CHECK(count(*collector.flush(), "hits") == recorded);
    go_on.set_value();
    CHECK(collector.shutdown());
  }
  CHECK(best <= kTimeout + 50ms);
}

TEST_CASE("shutdown() with a timeout that is no time, or less, still drains") {
  for (const std::chrono::nanoseconds timeout :
       {std::chrono::nanoseconds{0}, std::chrono::nanoseconds{-1}, std::chrono::nanoseconds::min()}) {
    MetricsCollector collector(background());
    collector.counter("hits").add();
    (void)collector.shutdown(timeout);
    CHECK(count(*collector.snapshot(), "hits") == 1);
  }
}

TEST_CASE("shutdown() with all the time there is returns as it is done") {
  MetricsCollector collector(background());
  collector.counter("hits").add();
  CHECK(collector.shutdown(std::chrono::nanoseconds::max()));
}

TEST_CASE("shutdown() ends the wait of threads that wait for a free chunk, and says what that cost") {
  TelemetryConfig config = background();
  config.on_overflow = OverflowPolicy::block;
  config.buffer_size = 1;
  MetricsCollector collector(config);
  const Counter hits = collector.counter("hits");
  std::atomic<std::uint64_t> recorded{0};
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 3; ++i) {
      threads.emplace_back([&](const std::stop_token& stop) {
        for (; !stop.stop_requested(); ++recorded) hits.add();
      });
    }
    CHECK(contract::comes_true([&] { return recorded > 20'000; }));
    CHECK(collector.shutdown());
    const std::uint64_t at_shutdown = recorded;
    CHECK(contract::comes_true([&] { return recorded > at_shutdown + 20'000; }));
  }
  const CollectorStats stats = collector.flush()->stats();
  CHECK(stats.recorded == recorded);
  CHECK(stats.aggregated + stats.dropped == recorded);
  CHECK(contract::lost(stats, Cause::after_shutdown) == stats.dropped);
  CHECK(stats.dropped > 0);
}
