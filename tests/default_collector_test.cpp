#include "child_process.hpp"
#include "contract.hpp"
#include "forked.hpp"

#include <unistd.h>

#include <array>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>

using namespace pepper;

// The default collector lives once in a process and ends with it: so each promise is a process of its own.

namespace {

/// Only process exit, or flush(), will publish anything.
TelemetryConfig seldom() {
  TelemetryConfig config;
  config.flush_interval = std::chrono::hours{1};
  return config;
}

void print_hits(const Snapshot& snapshot) {
  const auto found = snapshot.find("hits");
  std::printf("hits: %d\n", found == nullptr ? -1 : static_cast<int>(found->count));
  std::fflush(stdout);
}

/// Prints what is published, to the end of the process.
void print_snapshots() {
  static std::vector<Subscription> kept;  // made before the default collector, and so destroyed after it was shut down
  kept.push_back(default_collector().on_snapshot(print_hits));
}

}  // namespace

TEST_CASE("child: record and return" * doctest::skip()) {
  configure_default(seldom());
  print_snapshots();
  const Counter hits = default_collector().counter("hits");
  for (int i = 0; i < 1000; ++i) hits.add();
  std::thread([&] { hits.add(); }).join();
}

TEST_CASE("the default collector's last interval is drained and delivered at normal exit") {
  const child_process::Ended child = child_process::run("child: record and return");
  INFO(child.output);
  CHECK(child.status == 0);
  CHECK(child.printed("hits: 1001\n"));
}

TEST_CASE("child: exit while threads record" * doctest::skip()) {
  configure_default(seldom());
  print_snapshots();
  static std::atomic<int> begun{0};
  for (int i = 0; i < 3; ++i) {
    std::thread([hits = default_collector().counter("hits")] {
      for (++begun;;) hits.add();
    }).detach();
  }
  while (begun < 3) std::this_thread::yield();
  std::exit(0);
}

TEST_CASE("a process may exit while threads record into the default collector") {
  for (int i = 0; i < 5; ++i) {
    const child_process::Ended child = child_process::run("child: exit while threads record");
    INFO(child.output);
    CHECK(child.status == 0);
    CHECK(child.printed("hits: "));
  }
}

TEST_CASE("child: record as statics die" * doctest::skip()) {
  struct Recorder {
    ~Recorder() {
      for (int i = 0; i < 300; ++i) default_collector().counter("hits").add();
      if (prints) print_hits(*default_collector().flush());
    }
    bool prints;
  };
  static const Recorder dies_last{true};  // after the default collector was shut down
  configure_default(seldom());
  default_collector().counter("hits").add();
  static const Recorder dies_first{false};  // before that
}

TEST_CASE("static destructors may record into the default collector and flush it, before its end and after") {
  const child_process::Ended child = child_process::run("child: record as statics die");
  INFO(child.output);
  CHECK(child.status == 0);
  CHECK(child.printed("hits: 601\n"));
}

TEST_CASE("child: configure" * doctest::skip()) {
  TelemetryConfig config = seldom();
  config.max_series = 1;
  config.buffer_size = 0;
  CHECK_THROWS_AS(configure_default(config), std::invalid_argument);
  config.buffer_size = 1;
  configure_default(config);
  config.max_series = 2;
  configure_default(config);  // the last one counts
  MetricsCollector& collector = default_collector();
  CHECK_THROWS_AS(configure_default(config), std::logic_error);
  (void)collector.counter("a");
  (void)collector.counter("b");
  (void)collector.counter("c");
  CHECK(collector.flush()->find("b") != nullptr);
  CHECK(collector.flush()->find("c") == nullptr);
}

TEST_CASE("configure_default() says how the default collector is made, and is an error once it is") {
  const child_process::Ended child = child_process::run("child: configure");
  INFO(child.output);
  CHECK(child.status == 0);
}

TEST_CASE("child: first use by many" * doctest::skip()) {
  std::array<MetricsCollector*, 8> seen{};
  contract::on_threads(seen.size(), [&](std::size_t i) {
    seen[i] = &default_collector();
    seen[i]->counter("hits").add();
  });
  for (const MetricsCollector* const one : seen) CHECK(one == &default_collector());
  CHECK(contract::count(*default_collector().flush(), "hits") == seen.size());
}

TEST_CASE("threads that use the default collector first at once use the same one") {
  const child_process::Ended child = child_process::run("child: first use by many");
  INFO(child.output);
  CHECK(child.status == 0);
}

TEST_CASE("child: publish" * doctest::skip()) {
  TelemetryConfig config;
  config.flush_interval = std::chrono::milliseconds{5};
  configure_default(config);
  default_collector().counter("hits").add();
  CHECK(contract::comes_true([] { return contract::count(*default_collector().snapshot(), "hits") == 1; }));
}

TEST_CASE("the default collector starts on its first use and publishes by itself") {
  const child_process::Ended child = child_process::run("child: publish");
  INFO(child.output);
  CHECK(child.status == 0);
}

TEST_CASE("child: fork" * doctest::skip()) {
  configure_default(seldom());
  print_snapshots();
  const Counter hits = default_collector().counter("hits");
  for (int i = 0; i < 1000; ++i) hits.add();
  for (const int added : {7, 0}) {
    const pid_t child = forked::fork_clean();
    if (child == 0) {
      alarm(30);
      for (int i = 0; i < added; ++i) hits.add();
      std::exit(0);
    }
    CHECK(forked::status_of(child) == 0);
  }
}

TEST_CASE("a forked child that ends normally drains and delivers its own records from the default collector, not its parent's") {
  const child_process::Ended child = child_process::run("child: fork");
  INFO(child.output);
  CHECK(child.status == 0);
  if (child.printed("forgiven")) return;
  CHECK(child.output.find("hits: 7\n") < child.output.find("hits: 0\n"));
  CHECK(child.output.find("hits: 0\n") < child.output.find("hits: 1000\n"));
  CHECK(child.output.find("hits: 1000\n") == child.output.rfind("hits: 1000\n"));
  CHECK(child.printed("hits: 1000\n"));
}
