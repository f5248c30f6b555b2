#include <pepper/pepper.hpp>

#include "forked.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <limits>
#include <memory>
#include <stdexcept>
#include <thread>
#include <vector>

namespace {

using contract::is_balanced;
using contract::manual;
using pepper::MetricsCollector;
using pepper::RateLimitedCollector;
using pepper::SamplingCollector;
using Steady = std::chrono::steady_clock;

std::uint64_t rate_limited(const pepper::CollectorStats& stats) {
  for (const pepper::Loss& loss : stats.losses) {
    if (loss.cause == pepper::Cause::rate_limited) return loss.count;
  }
  return 0;
}

double seconds_since(Steady::time_point begin) { return std::chrono::duration<double>(Steady::now() - begin).count(); }

TEST_CASE("a second's worth of calls passes at once, the others are counted per series and in the ledger") {
  MetricsCollector collector(manual());
  RateLimitedCollector limited{collector, 100.0};
  const auto a = limited.counter("a"), b = limited.counter("b", {{"k", "v"}});
  const auto begin = Steady::now();
  for (int i = 0; i < 10'000; ++i) a.add();
  for (int i = 0; i < 50; ++i) b.add();
  const double most = 100 + 100 * seconds_since(begin) + 1;
  const auto snapshot = limited.flush();
  const auto found = snapshot->find("a");
  CHECK(found->count >= 100);
  CHECK(static_cast<double>(found->count) <= most);
  CHECK(found->count + found->refused == 10'000);
  CHECK(snapshot->find("b", {{"k", "v"}})->count == 50);  // a budget of its own
  CHECK(snapshot->find("b", {{"k", "v"}})->refused == 0);
  CHECK(is_balanced(snapshot->stats()));
  CHECK(snapshot->stats().recorded == 10'050);
  CHECK(rate_limited(snapshot->stats()) == found->refused);
}

TEST_CASE("the budget fills up at its rate, with a flusher and without") {
  for (const auto mode : {pepper::FlushMode::manual, pepper::FlushMode::background}) {
    pepper::TelemetryConfig config;
    config.flush_mode = mode;
    MetricsCollector collector(config);
    constexpr double kRate = 2'000;
    RateLimitedCollector limited{collector, kRate};
    const auto counter = limited.counter("c");
    const auto begin = Steady::now();
    std::uint64_t calls = 0;
    // Until so many have passed as only time can have brought.
    while (collector.flush()->find("c")->count < 3'000 && seconds_since(begin) < 60) {
      for (int i = 0; i < 1'000; ++i, ++calls) counter.add();
    }
    const double seconds = seconds_since(begin);
    const auto found = collector.flush()->find("c");
    CHECK(found->count >= 3'000);
    CHECK(static_cast<double>(found->count) <= kRate + kRate * seconds + 3);
    CHECK(found->count + found->refused == calls);
  }
}

TEST_CASE("threads share the budget of a series, and all that they are refused is counted") {
  MetricsCollector collector(manual());
  RateLimitedCollector limited{collector, 50.0};
  const auto counter = limited.counter("c");
  const auto begin = Steady::now();
  std::vector<std::thread> threads;
  threads.reserve(4);
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([counter] {
      for (int i = 0; i < 100'000; ++i) counter.add();
    });
  }
  for (std::thread& thread : threads) thread.join();
  const double seconds = seconds_since(begin);
  const auto snapshot = collector.flush();
  const auto found = snapshot->find("c");
  CHECK(found->count >= 50);
  CHECK(static_cast<double>(found->count) <= 50 + 50 * seconds + 1);
  CHECK(found->count + found->refused == 400'000);
  CHECK(is_balanced(snapshot->stats()));
}

TEST_CASE("the ledger balances in every snapshot while calls are refused") {
  MetricsCollector collector(manual());
  RateLimitedCollector limited{collector, 1e6};
  const auto counter = limited.counter("c");
  std::atomic<bool> is_over{false};
  std::uint64_t calls = 0;
  std::thread recorder([&] {
    for (; !is_over.load(); calls += 100) {
      for (int i = 0; i < 100; ++i) counter.add();
    }
  });
  std::uint64_t before = 0;
  for (int i = 0; i < 300; ++i) {
    const auto snapshot = collector.flush();
    CHECK(is_balanced(snapshot->stats()));
    CHECK(snapshot->stats().recorded >= before);
    before = snapshot->stats().recorded;
  }
  is_over = true;
  recorder.join();
  CHECK(collector.flush()->stats().recorded == calls);
}

TEST_CASE("a series that is bound twice has one budget, one of each limited collector") {
  MetricsCollector collector(manual());
  RateLimitedCollector limited{collector, 1e-3}, other{collector, 1e-3};
  const auto first = limited.counter("c"), again = limited.counter("c"), third = other.counter("c");
  for (const auto& counter : {first, again, first, third, third}) counter.add();
  const auto found = collector.flush()->find("c");
  CHECK(found->count == 2);
  CHECK(found->refused == 3);
}

TEST_CASE("a limit of 0 refuses all, and what is no limit is refused") {
  MetricsCollector collector(manual());
  RateLimitedCollector none{collector, 0.0};
  none.summary("s").record(1);
  CHECK(collector.flush()->find("s")->count == 0);
  CHECK(collector.flush()->find("s")->refused == 1);
  for (const double rate : {-1.0, 1e-9, 1e13, std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity()}) {
    CAPTURE(rate);
    CHECK_THROWS_AS((RateLimitedCollector{collector, rate}), std::invalid_argument);
  }
}

TEST_CASE("the dynamic path has the budget of its series") {
  MetricsCollector collector(manual());
  RateLimitedCollector limited{collector, 1e-3};
  for (int i = 0; i < 5; ++i) {
    CHECK(limited.record("d", 1, {{"k", "v"}}));
    CHECK(limited.record("d", 1, {{"k", "w"}}));
  }
  const auto snapshot = collector.flush();
  CHECK(snapshot->find("d", {{"k", "v"}})->count == 1);
  CHECK(snapshot->find("d", {{"k", "w"}})->refused == 4);
  CHECK_FALSE(limited.record("", 1));
  CHECK(collector.stats().rejected == 1);
}

TEST_CASE("what a limited collector refused stays in the ledger when it is gone, and its handles record nothing then") {
  MetricsCollector collector(manual());
  auto limited = std::make_unique<RateLimitedCollector<MetricsCollector&>>(collector, 1e-3);
  const auto orphan = limited->counter("c");
  for (int i = 0; i < 10; ++i) orphan.add();
  limited.reset();
  CHECK(collector.flush()->find("c")->refused == 9);
  std::uint64_t refused = 9;
  for (int i = 0; i < 300; ++i) {
    RateLimitedCollector next{collector, 1e-3};
    const auto counter = next.counter("c");
    for (int j = 0; j < 3; ++j) counter.add();
    refused += 2;
    const auto snapshot = collector.flush();
    REQUIRE(snapshot->find("c")->refused == refused);
    REQUIRE(is_balanced(snapshot->stats()));
  }
  const std::uint64_t before = collector.flush()->find("c")->count;
  for (int i = 0; i < 10; ++i) orphan.add();
  CHECK(collector.flush()->find("c")->count == before);
}

TEST_CASE("calls that are refused after set_enabled(false) are nobody's") {
  MetricsCollector collector(manual());
  RateLimitedCollector limited{collector, 1e-3};
  const auto counter = limited.counter("c");
  for (int i = 0; i < 3; ++i) counter.add();
  collector.set_enabled(false);
  for (int i = 0; i < 100; ++i) counter.add();
  CHECK(collector.flush()->find("c")->refused == 2);
  collector.set_enabled(true);
  CHECK(collector.flush()->find("c")->refused == 2);
  counter.add();
  CHECK(collector.flush()->find("c")->refused == 3);
}

TEST_CASE("a limit over a sampler refuses calls, a sampler over a limit has what it keeps refused") {
  MetricsCollector collector(manual());
  RateLimitedCollector outside{SamplingCollector{collector, 0.5, 1}, 1e-3};
  SamplingCollector inside{RateLimitedCollector{collector, 1e-3}, 0.5, 1};
  const auto a = outside.counter("a");
  const auto b = inside.counter("b");
  for (int i = 0; i < 1'000; ++i) {
    a.add();
    b.add();
  }
  const auto snapshot = collector.flush();
  CHECK(snapshot->find("a")->refused == 999);
  CHECK(snapshot->find("a")->recorded <= 1);
  CHECK(snapshot->find("b")->recorded == 1);
  CHECK(snapshot->find("b")->count == 2);
  CHECK(snapshot->find("b")->refused > 400);
  CHECK(snapshot->find("b")->refused < 600);
  CHECK(is_balanced(snapshot->stats()));
}

TEST_CASE("a child's ledger has none of what its parent was refused") {
  MetricsCollector collector(manual());
  RateLimitedCollector limited{collector, 1e-3};
  const auto counter = limited.counter("c");
  for (int i = 0; i < 5; ++i) counter.add();
  CHECK(forked::holds_in_child([&] {
    for (int i = 0; i < 3; ++i) counter.add();
    const auto snapshot = collector.flush();
    return snapshot->find("c")->refused + snapshot->find("c")->count == 3 && is_balanced(snapshot->stats());
  }));
  CHECK(collector.flush()->find("c")->refused == 4);
}

TEST_CASE("after shutdown() a budget fills up all the same") {
  MetricsCollector collector;
  RateLimitedCollector limited{collector, 200.0};
  const auto counter = limited.counter("c");
  for (int i = 0; i < 1'000; ++i) counter.add();
  CHECK(collector.shutdown());
  const std::uint64_t before = collector.flush()->find("c")->count;
  const auto begin = Steady::now();
  while (collector.flush()->find("c")->count == before && seconds_since(begin) < 60) {
    for (int i = 0; i < 100; ++i) counter.add();
  }
  CHECK(collector.flush()->find("c")->count > before);
}

TEST_CASE("a limit's credit ends with it, however much a thread has taken") {
  MetricsCollector collector(manual());
  auto limited = std::make_unique<RateLimitedCollector<MetricsCollector&>>(collector, 1e9);
  const auto counter = limited->counter("c");
  counter.add();
  limited.reset();
  for (int i = 0; i < 1'000; ++i) counter.add();
  CHECK(collector.flush()->stats().recorded == 1);
}

TEST_CASE("a limited collector that is used by name alone has a flusher, and NaN is none of its refusals") {
  pepper::TelemetryConfig config = contract::background(std::chrono::milliseconds{1});
  MetricsCollector collector(config);
  RateLimitedCollector limited{collector, 1e-3};
  for (int i = 0; i < 5; ++i) CHECK_FALSE(limited.record("d", std::numeric_limits<double>::quiet_NaN()));
  for (int i = 0; i < 3; ++i) CHECK(limited.record("d", 1));
  const auto begin = Steady::now();
  while (collector.snapshot()->sequence() == 0 && seconds_since(begin) < 60) std::this_thread::yield();
  CHECK(collector.snapshot()->sequence() > 0);
  const auto snapshot = collector.flush();
  CHECK(snapshot->find("d")->refused == 2);
  CHECK(snapshot->stats().rejected == 5);
}

}  // namespace
