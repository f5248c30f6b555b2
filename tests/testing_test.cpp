#include "contract.hpp"

#include <pepper/testing.hpp>

#include <atomic>
#include <optional>
#include <stdexcept>
#include <utility>

using namespace pepper;
using contract::count;
using contract::manual;
using contract::series;
using testing::Delta;
using testing::Faults;
using testing::Gate;
using testing::ManualClock;
using testing::ScopedDefaultCollector;
using namespace std::chrono_literals;

namespace {

/// Exact where the processor counts two ticks in a nanosecond, as most do.
bool is_measured(std::chrono::nanoseconds found, std::chrono::nanoseconds wanted) {
  static const bool is_fine = detail::to_nanoseconds(2'000'000) <= 1ms;
  return is_fine ? found == wanted : std::chrono::abs(found - wanted) <= 1ns;
}

bool is_measured(double found_seconds, std::chrono::nanoseconds wanted) {
  const auto found = std::chrono::round<std::chrono::nanoseconds>(std::chrono::duration<double>(found_seconds));
  return is_measured(found, wanted) && found_seconds == static_cast<double>(found.count()) / 1e9;
}

TEST_CASE("a rate limit's budget fills up by the clock that a test sets") {
  ManualClock clock;
  MetricsCollector collector(manual());
  RateLimitedCollector limited{collector, 10.0};
  const auto counter = limited.counter("c");
  for (int i = 0; i < 15; ++i) counter.add();
  CHECK(collector.flush()->find("c")->count == 10);
  clock.advance(std::chrono::milliseconds{250});
  for (int i = 0; i < 15; ++i) counter.add();
  CHECK(collector.flush()->find("c")->count == 12);
  CHECK(collector.flush()->find("c")->refused == 18);
}

}  // namespace

TEST_CASE("a scope is as long as the manual clock was advanced in it, to the nanosecond, in what it returns and in its series") {
  MetricsCollector collector(manual());
  const Timer work = collector.timer("work");
  ManualClock clock;
  for (const std::chrono::nanoseconds by : {0ns, 1ns, 999ns, 10'000'000ns, 250'000'001ns, 3'600'000'000'000ns}) {
    clock.advance(7ns);
    ScopedTimer timer(work);
    clock.advance(by);
    CHECK(is_measured(timer.stop(), by));
    CHECK(is_measured(series(*collector.flush(), "work")->last, by));
  }
  CHECK(series(*collector.flush(), "work")->quantile(0.5) <= 1.01e-6);
}

TEST_CASE("what the manual clock is advanced by in many steps does not lose what each is rounded by") {
  MetricsCollector collector(manual());
  ManualClock clock;
  ScopedTimer timer(collector.timer("work"));
  for (int i = 0; i < 100'000; ++i) clock.advance(13ns);
  CHECK(is_measured(timer.stop(), 1'300'000ns));
}

TEST_CASE("what threads fold themselves is in whole nanoseconds of the manual clock, too") {
  MetricsCollector collector(manual(1));
  const Timer work = collector.timer("work");
  ManualClock clock;
  for (int i = 0; i < 2000; ++i) {
    const ScopedTimer timer(work);
    clock.advance(1ms);
  }
  const auto found = series(*collector.flush(), "work");
  CHECK(collector.stats().spilled > 0);
  CHECK(is_measured(found->min, 1ms));
  CHECK(is_measured(found->max, 1ms));
}

TEST_CASE("an intended start counts from the manual clock's time") {
  MetricsCollector collector(manual());
  const Timer work = collector.timer("work");
  ManualClock clock;
  const auto intended = clock.now();
  clock.advance(5ms);
  work.record(intended);
  CHECK(series(*collector.flush(), "work")->last == 0.005);
  ScopedTimer timer(work, intended);
  clock.advance(1ms);
  CHECK(is_measured(timer.stop(), 6ms));
  work.record(clock.now() + 1s);
  CHECK(series(*collector.flush(), "work")->last == 0);
}

TEST_CASE("snapshots are taken, and losses seen, at the manual clock's time") {
  MetricsCollector collector(manual());
  const Counter hits = collector.counter("hits");
  ManualClock clock;
  const auto begin = clock.system_now();
  hits.add(-1);
  CHECK(collector.flush()->taken_at() == begin);
  clock.advance(24h);
  hits.add(-1);
  const auto snapshot = collector.flush();
  CHECK(snapshot->taken_at() == begin + 24h);
  REQUIRE(snapshot->stats().losses.size() == 1);
  CHECK(snapshot->stats().losses[0].first == begin);
  CHECK(snapshot->stats().losses[0].last == begin + 24h);
}

TEST_CASE("a timer that runs as manual time begins or ends measures the real part and the manual part") {
  MetricsCollector collector(manual());
  const Timer work = collector.timer("work");
  const auto real_begin = std::chrono::steady_clock::now();
  ScopedTimer over_begin(work);
  std::optional<ScopedTimer> over_end;
  {
    ManualClock clock;
    clock.advance(1h);
    const auto took = over_begin.stop();
    CHECK(took >= 1h);
    CHECK(took <= 1h + (std::chrono::steady_clock::now() - real_begin) + 1ms);
    over_end.emplace(work);
    clock.advance(1h);
  }
  CHECK(over_end->stop() == 0ns);  // an hour was gone, and then it was not
  const auto snapshot = collector.flush();
  CHECK(snapshot->stats().clock_steps == 1);
  CHECK(series(*snapshot, "work")->count == 2);
}

TEST_CASE("a real duration that waits to be folded stays what it is in manual time") {
  MetricsCollector collector(manual());
  ScopedTimer timer(collector.timer("work"));
  for (const auto end = std::chrono::steady_clock::now() + 2ms; std::chrono::steady_clock::now() < end;) continue;
  const std::chrono::duration<double> took = timer.stop();
  const ManualClock clock;
  CHECK(series(*collector.flush(), "work")->last == doctest::Approx(took.count()).epsilon(1e-6));
}

TEST_CASE("there is one manual clock at a time, and the real ones afterwards") {
  {
    const ManualClock clock;
    CHECK_THROWS_AS(ManualClock{}, std::logic_error);
  }
  MetricsCollector collector(manual());
  const auto before = std::chrono::system_clock::now();
  CHECK(collector.flush()->taken_at() >= before);
  ScopedTimer timer(collector.timer("work"));
  for (const auto end = std::chrono::steady_clock::now() + 1ms; std::chrono::steady_clock::now() < end;) continue;
  CHECK(timer.stop() >= 999us);
  const ManualClock again;
}

TEST_CASE("a manual clock does not go back, nor further than ten years") {
  ManualClock clock;
  CHECK_THROWS_WITH_AS(clock.advance(-5ns), "ManualClock::advance: by = -5 ns: has to be 0 or more, and ten years at most in all",
                       std::invalid_argument);
  clock.advance(24h * 3652);
  CHECK_THROWS_AS(clock.advance(1ns), std::invalid_argument);
}

TEST_CASE("a background collector flushes on, while a manual clock stands still") {
  MetricsCollector collector(contract::background(1ms));
  const ManualClock clock;
  collector.counter("hits").add();
  CHECK(contract::comes_true([&] { return collector.snapshot()->sequence() >= 3; }));
}

TEST_CASE("manual clocks come and go while threads time scopes, and no duration is nonsense") {
  MetricsCollector collector(manual());
  const Timer work = collector.timer("work");
  std::atomic<bool> has_begun{false}, is_over{false};
  const auto begin = std::chrono::steady_clock::now();
  {
    std::jthread timing([&] {
      for (; !is_over.load(); has_begun = true) const ScopedTimer timer(work);
    });
    CHECK(contract::comes_true([&] { return has_begun.load(); }));
    for (int i = 0; i < 200; ++i) {
      ManualClock clock;
      clock.advance(1ms);
      (void)collector.flush();
    }
    is_over = true;
  }
  const std::chrono::duration<double> real = std::chrono::steady_clock::now() - begin;
  const auto snapshot = collector.flush();
  CHECK(contract::is_balanced(snapshot->stats()));
  CHECK(series(*snapshot, "work")->max <= 0.2 + real.count());
}

TEST_CASE("a scoped default collector is the default one while it lives, nests, and may end in any order") {
  MetricsCollector& own = default_collector();
  std::optional<ScopedDefaultCollector> first, second;
  first.emplace();
  CHECK(&default_collector() == &**first);
  second.emplace(manual());
  CHECK(&default_collector() == &**second);
  default_collector().counter("hits").add();
  CHECK(count(*(*second)->flush(), "hits") == 1);
  CHECK((*first)->flush()->size() == 0);
  first.reset();
  CHECK(&default_collector() == &**second);
  second.reset();
  CHECK(&default_collector() == &own);
}

TEST_CASE("static handles bind anew to a scoped default collector, and again as it ends") {
  const auto hit = [] { counter<"testing_hits", "by", "a static handle">().add(); };
  const auto set = [](double value) { gauge<"testing_level">().set(value); };
  const auto hits_of = [](MetricsCollector& in) { return count(*in.flush(), "testing_hits", {{"by", "a static handle"}}); };
  hit();
  set(1);
  {
    ScopedDefaultCollector outer;
    hit();
    hit();
    set(2);
    {
      ScopedDefaultCollector inner;
      for (int i = 0; i < 3; ++i) hit();
      CHECK(hits_of(*inner) == 3);
    }
    for (int i = 0; i < 4; ++i) hit();
    CHECK(hits_of(*outer) == 6);
    CHECK(series(*outer->flush(), "testing_level")->last == 2);
  }
  hit();
  CHECK(hits_of(default_collector()) == 2);
  CHECK(series(*default_collector().flush(), "testing_level")->last == 1);
}

TEST_CASE("threads may use static handles of a scoped default collector that was there before them") {
  for (std::uint64_t round = 1; round <= 20; ++round) {
    ScopedDefaultCollector replaced;
    contract::on_threads(4, [&](std::size_t) {
      for (std::uint64_t i = 0; i < round; ++i) counter<"testing_by_threads">().add();
    });
    CHECK(count(*replaced->flush(), "testing_by_threads") == 4 * round);
  }
}

// How full a thread's chunk is when a test begins, those before it have decided.

TEST_CASE("with no free chunk, threads fold their own records, and nothing is lost, until the fault ends") {
  MetricsCollector collector(manual());
  const Counter hits = collector.counter("hits");
  const auto spilled_of_1000 = [&] {
    const std::uint64_t before = collector.flush()->stats().spilled;
    for (int i = 0; i < 1000; ++i) hits.add();
    return collector.flush()->stats().spilled - before;
  };
  CHECK(spilled_of_1000() == 0);
  for (int i = 0; i < 1000; ++i) hits.add();  // in chunks that become free during the fault
  {
    const Faults faults(collector, {.no_free_chunk = true});
    const Faults more(collector, {.no_free_chunk = true});
    for (int i = 0; i < 3; ++i) CHECK(spilled_of_1000() >= 490);
  }
  (void)spilled_of_1000();
  CHECK(spilled_of_1000() == 0);
  const auto snapshot = collector.flush();
  CHECK(count(*snapshot, "hits") == 7000);
  CHECK(contract::is_balanced(snapshot->stats()));
}

TEST_CASE("with no free chunk, OverflowPolicy::drop drops and says so") {
  TelemetryConfig config = manual();
  config.on_overflow = OverflowPolicy::drop;
  MetricsCollector collector(config);
  const Counter hits = collector.counter("hits");
  const Faults faults(collector, {.no_free_chunk = true});
  for (int i = 0; i < 1000; ++i) hits.add();
  const auto snapshot = collector.flush();
  CHECK(contract::lost(snapshot->stats(), Cause::overflow) >= 745);
  CHECK(contract::lost(snapshot->stats(), Cause::overflow) + count(*snapshot, "hits") == 1000);
  CHECK(contract::is_balanced(snapshot->stats()));
}

TEST_CASE("with no free chunk, OverflowPolicy::block waits, and goes on when the fault ends") {
  TelemetryConfig config = contract::background();
  config.on_overflow = OverflowPolicy::block;
  MetricsCollector collector(config);
  const Counter hits = collector.counter("hits");
  std::atomic<int> recorded{0};
  std::optional<Faults> faults;
  faults.emplace(collector, Faults::Which{.no_free_chunk = true});
  std::jthread recording([&] {
    for (; recorded < 1000; ++recorded) hits.add();
  });
  int seen = 0;
  CHECK(contract::comes_true([&] { return std::exchange(seen, recorded.load()) == recorded && seen > 0; }));  // it has stopped, for a while
  CHECK(recorded <= 255);
  faults.reset();
  recording.join();
  CHECK(count(*collector.flush(), "hits") == 1000);
}

TEST_CASE("with no memory, new series overflow and new threads drop, until the fault ends") {
  MetricsCollector collector(manual());
  const Counter known = collector.counter("known", {{"a", "1"}});
  const auto record_elsewhere = [&] {
    contract::on_threads(1, [&](std::size_t) {
      for (int i = 0; i < 1000; ++i) known.add();
    });
  };
  const auto lost = [&] { return contract::lost(collector.flush()->stats(), Cause::threads); };
  {
    const Faults faults(collector, {.no_memory = true});
    collector.counter("new").add();
    CHECK(collector.record("known", 1.0, {{"a", "2"}}));
    record_elsewhere();
    CHECK(lost() >= 745);
  }
  const std::uint64_t lost_meanwhile = lost();
  collector.counter("later").add();
  record_elsewhere();
  const auto snapshot = collector.flush();
  CHECK(lost() == lost_meanwhile);
  CHECK(count(*snapshot, "known", {{"a", "1"}}) + lost_meanwhile == 2000);
  CHECK(snapshot->find("new") == nullptr);
  CHECK(snapshot->find("known", {{"a", "2"}}) == nullptr);
  CHECK(count(*snapshot, "later") == 1);
  CHECK(snapshot->stats().memory_limit_bytes == manual().memory_limit_bytes);
  CHECK(contract::is_balanced(snapshot->stats()));
}

TEST_CASE("a fault may outlive its collector") {
  std::optional<MetricsCollector> collector;
  collector.emplace(manual());
  const Faults faults(*collector, {.no_free_chunk = true, .no_memory = true});
  collector.reset();
}

TEST_CASE("a callback that waits at a gate holds up no flush, and the test knows when it is there") {
  MetricsCollector collector(contract::background());
  Gate gate;
  const Subscription subscription = collector.on_snapshot([&](const Snapshot&) { gate.pass(); });
  const Counter hits = collector.counter("hits");
  (void)collector.flush();
  CHECK(gate.wait_for_arrivals(1));
  hits.add();
  CHECK(count(*collector.flush(), "hits") == 1);
  CHECK_FALSE(collector.shutdown(10ms));
  gate.set(Gate::State::open);
  CHECK(collector.shutdown());
}

TEST_CASE("a failing gate throws, and the exception is counted") {
  MetricsCollector collector(manual());
  Gate gate(Gate::State::failing);
  const Subscription subscription = collector.on_snapshot([&](const Snapshot&) { gate.pass(); });
  (void)collector.flush();
  (void)collector.flush();
  gate.set(Gate::State::open);
  (void)collector.flush();
  CHECK(collector.stats().callback_errors == 2);
  CHECK(gate.wait_for_arrivals(3));
}

TEST_CASE("a gate that goes waits for who is inside") {
  std::atomic<bool> is_through{false};
  std::jthread passing;
  {
    Gate gate;
    passing = std::jthread([&] {
      gate.pass();
      is_through = true;
    });
    CHECK(gate.wait_for_arrivals(1));
  }
  passing.join();
  CHECK(is_through);
}
