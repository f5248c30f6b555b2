#include "child_process.hpp"
#include "contract.hpp"

#include <atomic>
#include <cstdio>
#include <cstdlib>

using namespace pepper;

// A program of its own, as it records before its tests begin and after they have ended.

/// Threads that nobody joins as the process ends are what is looked at here.
extern "C" const char* __tsan_default_options() { return "report_thread_leaks=0"; }

namespace {

constexpr int kAtOnce = 300;  // past the end of a chunk

/// Nothing that main() or a static constructor has made: bound to nothing until then.
constinit Counter early;

void record(std::string_view name) {
  const Counter counter = default_collector().counter(name);
  for (int i = 0; i < kAtOnce; ++i) counter.add();
}

constinit bool says_last_word = false;

/// The last that the process hears of: handlers run in reverse, and nobody registers one before this.
void say_last_word() {
  if (!says_last_word) return;
  record("exit");
  const auto snapshot = default_collector().flush();
  std::printf("exit: %llu, %s\n", static_cast<unsigned long long>(contract::count(*snapshot, "exit")),
              contract::is_balanced(snapshot->stats()) ? "balanced" : "NOT BALANCED");
  std::fflush(stdout);
}

struct RecordsAsItIsMade {
  RecordsAsItIsMade() {
    std::atexit(say_last_word);
    std::at_quick_exit(say_last_word);
    early.add();
    early = default_collector().counter("early");
    for (int i = 0; i < kAtOnce; ++i) early.add();
    std::thread([] { early.add(); }).join();
    recorded_by_name = default_collector().record("early by name", 1);
    found = contract::count(*default_collector().flush(), "early");
  }
  bool recorded_by_name = false;
  std::uint64_t found = 0;
};
/// The first of the program's, before those of the standard library that come with it.
[[gnu::init_priority(101)]] const RecordsAsItIsMade first_of_all;

}  // namespace

TEST_CASE("what static constructors record, before anything else of the program, is there") {
  CHECK(first_of_all.recorded_by_name);
  CHECK(first_of_all.found == kAtOnce + 1);
  const auto snapshot = default_collector().flush();
  CHECK(contract::count(*snapshot, "early") == kAtOnce + 1);
  CHECK(contract::count(*snapshot, "early by name") == 1);
  CHECK(contract::is_balanced(snapshot->stats()));
}

TEST_CASE("child: record on every way out" * doctest::skip()) {
  struct RecordsAsItDies {
    ~RecordsAsItDies() { record("exit"); }
  };
  says_last_word = true;
  std::atexit([] { record("exit"); });
  static const RecordsAsItDies a_static;
  static thread_local const RecordsAsItDies made_before_a_record;
  (void)made_before_a_record;
  record("exit");
  static thread_local const RecordsAsItDies made_after_a_record;
  (void)made_after_a_record;
}

TEST_CASE("atexit handlers, and what is destroyed with the main thread and with the process, may record: all of it is in the ledger") {
  const child_process::Ended child = child_process::run("child: record on every way out");
  INFO(child.output);
  CHECK(child.status == 0);
  CHECK(child.printed("exit: 1800, balanced\n"));
}

TEST_CASE("child: quick_exit" * doctest::skip()) {
  says_last_word = true;
  std::at_quick_exit([] { record("exit"); });
  record("exit");
  std::quick_exit(0);
}

TEST_CASE("at_quick_exit handlers may record and flush: all of it is in the ledger") {
  const child_process::Ended child = child_process::run("child: quick_exit");
  INFO(child.output);
  CHECK(child.status == 0);
  CHECK(child.printed("exit: 900, balanced\n"));
}

TEST_CASE("child: return while threads record" * doctest::skip()) {
  says_last_word = true;
  TelemetryConfig config = contract::background(std::chrono::milliseconds{1});
  config.buffer_size = 1;
  static MetricsCollector dies(config);
  static std::atomic<int> begun{0};
  const auto forever = [](auto&& work) {
    std::thread([work] {
      for (work(), ++begun;;) work();
    }).detach();
  };
  const Counter mine = default_collector().counter("mine"), of_the_dead = dies.counter("theirs");
  const Timer timer = dies.timer("timer");
  const Gauge level = dies.gauge("level");
  forever([=] { mine.add(); });
  forever([=] {
    of_the_dead.add();
    level.set(1);
    const ScopedTimer scope(timer);
  });
  forever([] { (void)default_collector().record("by name", 1); });
  forever([=] {
    std::thread([=] {
      mine.add();
      of_the_dead.add();
    }).join();
  });
  while (begun < 4) std::this_thread::yield();
}

TEST_CASE("detached threads may record while main returns and collectors die with the process") {
  for (int i = 0; i < 10; ++i) {
    const child_process::Ended child = child_process::run("child: return while threads record");
    INFO(child.output);
    CHECK(child.status == 0);
    CHECK(child.printed("exit: 300, balanced\n"));
  }
}

TEST_CASE("records made while their collector shuts down, and after, are in the next flush to the last one") {
  for (int round = 0; round < 20; ++round) {
    MetricsCollector collector(contract::background());
    const Counter hits = collector.counter("hits");
    std::atomic<std::uint64_t> recorded{0}, by_name{0};
    {
      std::vector<std::jthread> threads;
      for (int i = 0; i < 2; ++i) {
        threads.emplace_back([&](const std::stop_token& stop) {
          for (; !stop.stop_requested(); ++recorded) {
            hits.add();
            by_name += collector.record("by name", 1);
          }
        });
      }
      CHECK(contract::comes_true([&] { return recorded > 1000; }));
      const std::uint64_t before = recorded;
      CHECK(collector.shutdown());
      CHECK(contract::count(*collector.snapshot(), "hits") >= before);
      const std::uint64_t after = recorded;
      CHECK(contract::comes_true([&] { return recorded > after + 1000; }));
    }
    const auto snapshot = collector.flush();
    CHECK(contract::count(*snapshot, "hits") == recorded);
    CHECK(contract::count(*snapshot, "by name") == by_name);
    CHECK(snapshot->stats().recorded == recorded + by_name);
    CHECK(snapshot->stats().aggregated == recorded + by_name);
  }
}
