/// A program of its own: each allocation that a call makes is made to fail once, in a child process, as what is wrong there ends it.
#include "contract.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <new>
#include <utility>

using namespace pepper;
using contract::background;
using contract::manual;

namespace {

/// How many allocations of this thread still succeed before one fails; -1: all of them.
constinit thread_local long succeed = -1;

}  // namespace

void* operator new(std::size_t size) {
  if (succeed >= 0 && succeed-- == 0) throw std::bad_alloc{};
  if (void* const at = std::malloc(size)) return at;
  throw std::bad_alloc{};
}
void operator delete(void* at) noexcept { std::free(at); }
void operator delete(void* at, std::size_t) noexcept { std::free(at); }

namespace {

/// Calls `use` with its n-th allocation failing, for each n there is. It may throw std::bad_alloc; `after` then finds all as it should be.
template <class Prepare, class Use, class After>
void fail_each(const TelemetryConfig& config, Prepare prepare, Use use, After after) {
  enum : int { kAllFailed, kGood, kBad };
  int outcome = kGood;
  int n = 0;
  for (; outcome == kGood && n < 500; ++n) {
    CAPTURE(n);
    const pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0) {
      std::signal(SIGABRT, SIG_DFL);
      std::signal(SIGSEGV, SIG_DFL);
      alarm(60);
      MetricsCollector collector(config);
      auto prepared = prepare(collector);
      succeed = n;
      try {
        use(collector);
      } catch (const std::bad_alloc&) {
      }
      const bool is_over = std::exchange(succeed, -1) >= 0;
      _exit(!after(collector, prepared) ? kBad : is_over ? kAllFailed : kGood);
    }
    int status = 0;
    waitpid(child, &status, 0);
    REQUIRE(WIFEXITED(status));
    outcome = WEXITSTATUS(status);
    CHECK(outcome != kBad);
  }
  CHECK(outcome == kAllFailed);
  CHECK(n > 1);  // it does allocate
}

/// Nothing is lost over it: the next flush() has every record.
bool has_both(MetricsCollector& collector, Counter) {
  const auto snapshot = collector.flush();
  return contract::count(*snapshot, "hits") == 2 && contract::is_balanced(snapshot->stats());
}

Counter two_hits(MetricsCollector& collector) {
  const Counter hits = collector.counter("hits");
  hits.record({1, 1});
  return hits;
}

}  // namespace

TEST_CASE("no memory: binding throws, and the collector goes on") {
  for (const TelemetryConfig& config : {manual(), background()}) {
    fail_each(
        config, two_hits,
        [](MetricsCollector& collector) {
          collector.timer("latency", {{"path", "/"}}, {.unit = "seconds", .help = "Of a request, all of it."});
        },
        has_both);
    fail_each(
        config, two_hits, [](MetricsCollector& collector) { collector.gauge("hits"); }, has_both);
    fail_each(
        config, two_hits, [](MetricsCollector& collector) { collector.record("a name that no short string holds", 1); }, has_both);
  }
}

TEST_CASE("no memory: a record through a handle is in the ledger") {
  fail_each(
      manual(), [](MetricsCollector& collector) { return collector.counter("hits"); },
      [](MetricsCollector& collector) {
        const Counter hits = collector.counter("hits");
        for (int i = 0; i < 1000; ++i) hits.add();
      },
      [](MetricsCollector& collector, Counter) {
        const auto snapshot = collector.flush();
        const CollectorStats& stats = snapshot->stats();
        return contract::is_balanced(stats) && stats.aggregated + contract::lost(stats, Cause::threads) == stats.recorded;
      });
}

TEST_CASE("no memory: flush(), set_enabled() and shutdown() throw at most, and the next flush() has it all") {
  for (const TelemetryConfig& config : {manual(), background()}) {
    const auto with_callbacks = [](MetricsCollector& collector) {
      const Counter hits = two_hits(collector);
      hits.add(-1);
      return std::array{collector.on_snapshot([](const Snapshot&) { throw 1; }), collector.observe("level", {}, [] { return 1.0; })};
    };
    const auto has_all = [](MetricsCollector& collector, const auto&) { return has_both(collector, {}); };
    fail_each(
        config, with_callbacks, [](MetricsCollector& collector) { (void)collector.flush(); }, has_all);
    fail_each(
        config, with_callbacks, [](MetricsCollector& collector) { collector.set_enabled(false); }, has_all);
    fail_each(
        config, with_callbacks, [](MetricsCollector& collector) { (void)collector.shutdown(); }, has_all);
  }
}

TEST_CASE("no memory: a subscription that was not made is not called") {
  static std::atomic<int> called{0};
  for (const TelemetryConfig& config : {manual(), background()}) {
    fail_each(
        config, two_hits,
        [](MetricsCollector& collector) {
          const std::array<char, 64> large{};
          bool is_made = false;
          try {
            const Subscription subscription = collector.on_snapshot([large](const Snapshot&) { called += 1 + large[0]; });
            is_made = true;
          } catch (const std::bad_alloc&) {
          }
          if (is_made) called = 0;
        },
        [](MetricsCollector& collector, Counter) { return (void)collector.flush(), collector.shutdown() && called == 0; });
  }
}
