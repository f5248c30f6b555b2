#include <pepper/pepper.hpp>

#include "contract.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

namespace {

using contract::is_balanced;
using contract::manual;
using pepper::MetricsCollector;
using pepper::RateLimitedCollector;
using Limited = RateLimitedCollector<MetricsCollector&>;
using LimitedCounter = decltype(std::declval<Limited&>().counter("c"));

constexpr double kOnce = 1e-3;  // one call passes, and none for a quarter of an hour

TEST_CASE("ten thousand limited collectors, one after another, take the memory of one") {
  MetricsCollector collector(manual());
  std::size_t memory_bytes = 0;
  for (int i = 0; i < 10'000; ++i) {
    Limited limited{collector, 0};
    const auto counter = limited.counter("c");
    for (int j = 0; j < 3; ++j) counter.add();
    if (i == 0) memory_bytes = collector.stats().memory_bytes;
  }
  CHECK(collector.stats().memory_bytes == memory_bytes);
  CHECK(collector.flush()->find("c")->refused == 30'000);
}

TEST_CASE("handles whose limits are gone record nothing, and take nothing from the limits that came after") {
  MetricsCollector collector(manual());
  std::vector<LimitedCounter> gone;
  for (int i = 0; i < 1'000; ++i) {
    Limited limited{collector, kOnce};
    const auto counter = limited.counter("c");
    for (const LimitedCounter& late : gone) late.add();
    for (int j = 0; j < 3; ++j) counter.add();
    if (i % 50 == 0) gone.push_back(counter);
  }
  const auto snapshot = collector.flush();
  CHECK(snapshot->find("c")->count == 1'000);
  CHECK(snapshot->find("c")->refused == 2'000);
  CHECK(is_balanced(snapshot->stats()));
}

TEST_CASE("limits that live at once have budgets and counts of their own, whatever ended before, in all threads") {
  MetricsCollector collector(manual());
  std::vector<std::optional<Limited>> limited(300);
  const auto add_all = [&](std::size_t step) {
    std::vector<LimitedCounter> counters;
    for (std::size_t i = 0; i < limited.size(); i += step) {
      limited[i].emplace(collector, kOnce);  // ends the one before
      counters.push_back(limited[i]->counter("c"));
    }
    for (int t = 0; t < 3; ++t)
      std::thread([&] {
        for (const LimitedCounter& counter : counters) counter.add();
      }).join();
    return counters.size();
  };
  std::uint64_t limits = 0;
  for (const std::size_t step : {1, 2, 7, 1}) {
    limits += add_all(step);
    const auto found = collector.flush()->find("c");
    REQUIRE(found->count == limits);
    REQUIRE(found->refused == 2 * limits);
  }
}

TEST_CASE("a flush counts every call that was refused before it, once, while limits end and others begin") {
  MetricsCollector collector(manual());
  constexpr int kFlushes = 50'000;
  std::atomic<std::uint64_t> refused{0};
  std::atomic<bool> is_over{false};
  std::thread recorder([&] {
    while (!is_over) {
      Limited limited{collector, 0};
      const auto counter = limited.counter("c");
      for (int j = 0; j < 3; ++j) {
        counter.add();
        refused.fetch_add(1, std::memory_order_release);
      }
    }
  });
  std::uint64_t missing = 0, additional = 0;
  for (int i = 0; i < kFlushes; ++i) {
    const std::uint64_t before = refused.load(std::memory_order_acquire);
    const auto found = collector.flush()->find("c");
    const std::uint64_t seen = found == nullptr ? 0 : found->refused;
    missing += seen < before;
    additional += seen > refused.load(std::memory_order_acquire) + 1;  // one may be on its way
  }
  is_over = true;
  recorder.join();
  CHECK(missing == 0);
  CHECK(additional == 0);
  CHECK(collector.flush()->find("c")->refused == refused.load());
}

TEST_CASE("a limit that ends while a thread asks it for the first time lets nothing of that thread pass afterwards") {
  MetricsCollector collector(manual());
  constexpr int kRounds = 20'000;
  std::optional<Limited> limited;
  LimitedCounter counter;
  std::atomic<int> step{0};
  const auto wait_for = [&step](int wanted) {
    while (step.load() != wanted) std::this_thread::yield();
  };
  std::thread asker([&] {
    for (int round = 0; round < kRounds; ++round) {
      wait_for(5 * round + 1);
      step = 5 * round + 2;
      counter.add();  // may pass
      step = 5 * round + 3;
      wait_for(5 * round + 4);
      for (int i = 0; i < 5; ++i) counter.add();
      step = 5 * round + 5;
    }
  });
  std::uint64_t late = 0;
  for (int round = 0; round < kRounds; ++round) {
    limited.emplace(collector, 1e6);  // credit for a thousand calls at once
    counter = limited->counter("c");
    step = 5 * round + 1;
    while (step.load() == 5 * round + 1) std::this_thread::yield();
    for (int i = 0; i < round % 64; ++i) (void)step.load();
    limited.reset();
    wait_for(5 * round + 3);
    const std::uint64_t before = collector.flush()->stats().recorded;
    step = 5 * round + 4;
    wait_for(5 * round + 5);
    late += collector.flush()->stats().recorded - before;
  }
  asker.join();
  CHECK(late == 0);
}

}  // namespace
