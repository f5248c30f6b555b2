#include "contract.hpp"

#include <atomic>

using namespace pepper;
using contract::count;
using contract::manual;

TEST_CASE("records that happen after set_enabled(false) are nobody's") {
  MetricsCollector collector(manual());
  const Counter hits = collector.counter("hits");
  hits.add();
  collector.set_enabled(false);
  for (int i = 0; i < 1000; ++i) hits.add();
  (void)collector.record("hits", 1);
  const auto snapshot = collector.flush();
  CHECK(count(*snapshot, "hits") == 1);
  CHECK(snapshot->stats().recorded == 1);
  CHECK(snapshot->stats().dropped == 0);
  CHECK(snapshot->stats().pending == 0);
}

TEST_CASE("records that happened before set_enabled(false) are kept") {
  MetricsCollector collector(manual(1));
  const Counter hits = collector.counter("hits");
  contract::on_threads(3, [&](std::size_t) {
    for (int i = 0; i < 1000; ++i) hits.add();
  });
  collector.set_enabled(false);
  CHECK(count(*collector.flush(), "hits") == 3000);
}

TEST_CASE("records that happen after set_enabled(true) are kept again, wherever their thread was") {
  MetricsCollector collector(manual(1000));
  const Counter hits = collector.counter("hits");
  std::uint64_t kept = 0;
  // What is recorded while disabled leaves the thread's chunk empty, half full, just full, and beyond that.
  for (const int unheard : {0, 1, 100, 254, 255, 256, 509, 510, 511, 5000}) {
    CAPTURE(unheard);
    for (const int heard : {1, 154, 255, 300}) {
      collector.set_enabled(false);
      for (int i = 0; i < unheard; ++i) hits.add(100);
      collector.set_enabled(true);
      for (int i = 0; i < heard; ++i) hits.add();
      kept += static_cast<std::uint64_t>(heard);
      const auto snapshot = collector.flush();
      CHECK(count(*snapshot, "hits") == kept);
      CHECK(contract::series(*snapshot, "hits")->max == 1);
      CHECK(snapshot->stats().recorded == kept);
      CHECK(contract::is_balanced(snapshot->stats()));
    }
  }
}

TEST_CASE("a collector may begin disabled") {
  TelemetryConfig config = manual();
  config.enabled = false;
  MetricsCollector collector(config);
  const Counter hits = collector.counter("hits");
  for (int i = 0; i < 600; ++i) hits.add();
  std::thread([&] { hits.add(); }).join();
  collector.attach_thread();
  hits.add();
  CHECK(collector.flush()->stats().recorded == 0);
  collector.set_enabled(true);
  hits.add();
  std::thread([&] { hits.add(); }).join();
  CHECK(count(*collector.flush(), "hits") == 2);
  CHECK(collector.flush()->stats().recorded == 2);
}

TEST_CASE("saying twice what is so already changes nothing") {
  MetricsCollector collector(manual());
  const Counter hits = collector.counter("hits");
  collector.set_enabled(true);
  hits.add();
  collector.set_enabled(true);
  hits.add();
  collector.set_enabled(false);
  hits.add();
  collector.set_enabled(false);
  hits.add();
  collector.set_enabled(true);
  hits.add();
  CHECK(count(*collector.flush(), "hits") == 3);
}

TEST_CASE("set_enabled() publishes nothing by itself") {
  MetricsCollector collector(manual());
  collector.set_enabled(false);
  collector.set_enabled(true);
  CHECK(collector.snapshot()->sequence() == 0);
}

TEST_CASE("a disabled collector still binds, flushes and shuts down") {
  TelemetryConfig config = contract::background();
  config.enabled = false;
  MetricsCollector collector(config);
  const Counter hits = collector.counter("hits");
  hits.add();
  CHECK(collector.flush()->find("hits") != nullptr);
  CHECK(collector.shutdown());
}

TEST_CASE("threads that record while it is disabled and enabled keep the ledger right") {
  constexpr std::size_t kThreads = 3;
  for (const std::size_t buffer_size : {1, 2000}) {
    CAPTURE(buffer_size);
    MetricsCollector collector(manual(buffer_size));
    const Counter hits = collector.counter("hits");
    std::atomic<std::uint64_t> recorded{0};
    std::uint64_t unbalanced = 0;
    {
      std::vector<std::jthread> threads;
      for (std::size_t i = 0; i < kThreads; ++i) {
        threads.emplace_back([&](const std::stop_token& stop) {
          std::uint64_t mine = 0;
          for (; !stop.stop_requested(); ++mine) hits.add();
          recorded += mine;
        });
      }
      std::uint64_t last = 0;
      for (int round = 0; round < 300 || last < 200'000; ++round) {
        collector.set_enabled(round % 2 != 0);
        const auto snapshot = collector.flush();
        unbalanced += !contract::is_balanced(snapshot->stats());
        unbalanced += snapshot->stats().aggregated != count(*snapshot, "hits");
        unbalanced += count(*snapshot, "hits") < last;
        if (round % 2 == 0) unbalanced += snapshot->stats().pending > kThreads * 255;
        last = count(*snapshot, "hits");
      }
    }
    CHECK(unbalanced == 0);
    collector.set_enabled(true);
    const std::uint64_t before = count(*collector.flush(), "hits");
    CHECK(before <= recorded);
    for (int i = 0; i < 1000; ++i) hits.add();
    std::thread([&] {
      for (int i = 0; i < 1000; ++i) hits.add();
    }).join();
    const auto snapshot = collector.flush();
    CHECK(count(*snapshot, "hits") == before + 2000);
    CHECK(snapshot->stats().recorded == before + 2000);
    CHECK(contract::is_balanced(snapshot->stats()));
  }
}

TEST_CASE("what another thread recorded before set_enabled(false) is kept, what it recorded after it is not") {
  constexpr int kRounds = 500;
  MetricsCollector collector(manual());
  const Counter hits = collector.counter("hits");
  std::atomic<int> step{0};
  const auto wait_for = [&](int wanted) {
    for (int now = step.load(); now != wanted; now = step.load()) step.wait(now);
  };
  const auto go_to = [&](int next) {
    step = next;
    step.notify_all();
  };
  {
    const std::jthread other([&] {
      for (int round = 0; round < kRounds; ++round) {
        wait_for(4 * round);
        hits.add(1);
        go_to(4 * round + 1);
        wait_for(4 * round + 2);
        for (int i = 0; i < round; ++i) hits.add(100);
        go_to(4 * round + 3);
      }
    });
    for (int round = 0; round < kRounds; ++round) {
      wait_for(4 * round + 1);
      collector.set_enabled(false);
      go_to(4 * round + 2);
      wait_for(4 * round + 3);
      collector.set_enabled(true);
      go_to(4 * round + 4);
    }
  }
  const auto snapshot = collector.flush();
  CHECK(count(*snapshot, "hits") == kRounds);
  CHECK(contract::series(*snapshot, "hits")->max == 1);
  CHECK(snapshot->stats().recorded == kRounds);
}
