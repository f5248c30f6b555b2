#include "contract.hpp"

#include <unistd.h>

#include <array>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>

using namespace pepper;

// The default collector lives once in a process and ends with it: so each promise is a process of its own. Its half is a test case that is
// skipped but where it is asked for by name; what that prints, and how it exits, is looked at from outside.

namespace {

struct Ended {
  std::string output;
  int status = -1;
};

Ended run_in_a_process(const std::string& test_case) {
  std::array<char, 4096> path{};
  REQUIRE(readlink("/proc/self/exe", path.data(), path.size() - 1) > 0);
  const std::string command = "'" + std::string(path.data()) + "' --no-skip --minimal --test-case='" + test_case + "' 2>&1";
  FILE* const child = popen(command.c_str(), "r");
  REQUIRE(child != nullptr);
  Ended ended;
  std::array<char, 256> line{};
  while (std::fgets(line.data(), line.size(), child) != nullptr) ended.output += line.data();
  ended.status = pclose(child);
  return ended;
}

bool contains(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

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
  const Ended child = run_in_a_process("child: record and return");
  INFO(child.output);
  CHECK(child.status == 0);
  CHECK(contains(child.output, "hits: 1001\n"));
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
    const Ended child = run_in_a_process("child: exit while threads record");
    INFO(child.output);
    CHECK(child.status == 0);
    CHECK(contains(child.output, "hits: "));
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
  const Ended child = run_in_a_process("child: record as statics die");
  INFO(child.output);
  CHECK(child.status == 0);
  CHECK(contains(child.output, "hits: 601\n"));
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
  const Ended child = run_in_a_process("child: configure");
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
  const Ended child = run_in_a_process("child: first use by many");
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
  const Ended child = run_in_a_process("child: publish");
  INFO(child.output);
  CHECK(child.status == 0);
}
