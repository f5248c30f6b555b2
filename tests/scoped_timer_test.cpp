#include "contract.hpp"

#include <optional>
#include <stdexcept>
#include <type_traits>
#include <utility>

using namespace pepper;
using contract::manual;
using contract::series;
using Steady = std::chrono::steady_clock;
using Seconds = std::chrono::duration<double>;

namespace {

static_assert(std::is_nothrow_move_constructible_v<ScopedTimer> && std::is_nothrow_move_assignable_v<ScopedTimer>);
static_assert(!std::is_copy_constructible_v<ScopedTimer> && !std::is_copy_assignable_v<ScopedTimer>);
static_assert(!std::is_convertible_v<Timer, ScopedTimer>);
#if !defined(PEPPER_DISABLED)  // then all timers are one type
// Those have a scope of their own.
static_assert(!std::is_constructible_v<ScopedTimer, decltype(std::declval<BatchCollector<MetricsCollector&>&>().timer("t"))>);
#endif
static_assert(!std::is_constructible_v<ScopedTimer, int> && !std::is_constructible_v<ScopedTimer, Counter>);

/// What the calibration of one clock by the other may be off by.
constexpr double kClockError = 1e-3;

/// Keeps the thread busy until the steady clock has moved on by `duration`.
void pass(std::chrono::nanoseconds duration) {
  for (const auto end = Steady::now() + duration; Steady::now() < end;) continue;
}

}  // namespace

TEST_CASE("a scope is recorded once, as it ends") {
  MetricsCollector collector(manual());
  const Timer work = collector.timer("work");
  {
    const ScopedTimer timer(work);
    CHECK(contract::count(*collector.flush(), "work") == 0);
  }
  CHECK(contract::count(*collector.flush(), "work") == 1);
}

TEST_CASE("a timer that samples or limits is timed by a ScopedTimer as well, where it lets the call pass") {
  MetricsCollector collector(manual());
  SamplingCollector all{collector, 1};
  RateLimitedCollector once{SamplingCollector{collector, 1}, 1e-3};
  const auto work = all.timer("work");
  const auto few = once.timer("few");
  for (int i = 0; i < 3; ++i) {
    const ScopedTimer timer{work}, limited(few);
    ScopedTimer cancelled{work};
    cancelled.cancel();
  }
  const auto snapshot = collector.flush();
  CHECK(series(*snapshot, "work")->count == 3);
  CHECK(series(*snapshot, "few")->count == 1);
  CHECK(series(*snapshot, "few")->refused == 2);
}

TEST_CASE("stop() records once, and again returns 0 and records nothing") {
  MetricsCollector collector(manual());
  {
    ScopedTimer timer(collector.timer("work"));
    pass(std::chrono::microseconds{10});
    CHECK(timer.stop() > std::chrono::nanoseconds{0});
    CHECK(contract::count(*collector.flush(), "work") == 1);
    CHECK(timer.stop() == std::chrono::nanoseconds{0});
  }
  CHECK(contract::count(*collector.flush(), "work") == 1);
}

TEST_CASE("stop() returns what it recorded") {
  MetricsCollector collector(manual());
  ScopedTimer timer(collector.timer("work"));
  pass(std::chrono::milliseconds{2});
  const double returned = Seconds(timer.stop()).count();
  const double recorded = series(*collector.flush(), "work")->last;
  CHECK(recorded == doctest::Approx(returned).epsilon(kClockError));
}

TEST_CASE("a duration is not longer than a steady clock's around it, and not shorter than one's inside it") {
  MetricsCollector collector(manual());
  const Timer work = collector.timer("work");
  for (const int microseconds : {500, 5'000, 50'000}) {
    const auto outer_begin = Steady::now();
    ScopedTimer timer(work);
    const auto inner_begin = Steady::now();
    pass(std::chrono::microseconds{microseconds});
    const auto inner_end = Steady::now();
    const std::chrono::nanoseconds returned = timer.stop();
    const auto outer_end = Steady::now();
    const double recorded = series(*collector.flush(), "work")->last;
    for (const double duration : {recorded, Seconds(returned).count()}) {
      CHECK(duration >= Seconds(inner_end - inner_begin).count() * (1 - kClockError));
      CHECK(duration <= Seconds(outer_end - outer_begin).count() * (1 + kClockError));
    }
  }
}

TEST_CASE("scopes one after another do not sum up to more than the time they took together") {
  MetricsCollector collector(manual());
  const Timer work = collector.timer("work");
  const auto begin = Steady::now();
  for (int i = 0; i < 10'000; ++i) const ScopedTimer timer(work);
  const double all = Seconds(Steady::now() - begin).count();
  const auto found = series(*collector.flush(), "work");
  CHECK(found->count == 10'000);
  CHECK(found->sum > 0);
  CHECK(found->sum <= all * (1 + kClockError));
  CHECK(found->min >= 0);
}

TEST_CASE("a cancelled timer records nothing, now or later") {
  MetricsCollector collector(manual());
  {
    ScopedTimer timer(collector.timer("work"));
    timer.cancel();
    CHECK(timer.stop() == std::chrono::nanoseconds{0});
  }
  CHECK(contract::count(*collector.flush(), "work") == 0);
}

TEST_CASE("a moved timer records once, from its beginning, where it ends up") {
  MetricsCollector collector(manual());
  const auto begin = Steady::now();
  std::optional<ScopedTimer> kept;
  {
    ScopedTimer timer(collector.timer("work"));
    pass(std::chrono::milliseconds{1});
    kept.emplace(std::move(timer));
    CHECK(timer.stop() == std::chrono::nanoseconds{0});
  }
  CHECK(contract::count(*collector.flush(), "work") == 0);
  CHECK(kept->stop() >= std::chrono::microseconds{999});
  CHECK(contract::count(*collector.flush(), "work") == 1);
  kept.reset();
  const auto found = series(*collector.flush(), "work");
  CHECK(found->count == 1);
  CHECK(found->last <= Seconds(Steady::now() - begin).count() * (1 + kClockError));
}

TEST_CASE("a timer that is assigned to records its own scope first") {
  MetricsCollector collector(manual());
  {
    ScopedTimer timer(collector.timer("first"));
    timer = ScopedTimer(collector.timer("second"));
    CHECK(contract::count(*collector.flush(), "first") == 1);
    CHECK(contract::count(*collector.flush(), "second") == 0);
    ScopedTimer& same = timer;
    timer = std::move(same);
    CHECK(contract::count(*collector.flush(), "second") == 0);
  }
  CHECK(contract::count(*collector.flush(), "first") == 1);
  CHECK(contract::count(*collector.flush(), "second") == 1);
}

TEST_CASE("a timer may end on another thread than it began on") {
  MetricsCollector collector(manual());
  ScopedTimer timer(collector.timer("work"));
  std::thread([moved = std::move(timer)]() mutable { moved.stop(); }).join();
  CHECK(contract::count(*collector.flush(), "work") == 1);
}

TEST_CASE("a scope that ends well is a success, one that an exception ends is not") {
  MetricsCollector collector(manual());
  const Timer good = collector.timer("job", {{"status", "success"}}), bad = collector.timer("job", {{"status", "error"}});
  { const ScopedTimer timer(good, bad); }
  CHECK(contract::count(*collector.flush(), "job", {{"status", "success"}}) == 1);
  CHECK(contract::count(*collector.flush(), "job", {{"status", "error"}}) == 0);
  try {
    const ScopedTimer timer(good, bad);
    throw std::runtime_error("no");
  } catch (const std::runtime_error&) {
  }
  CHECK(contract::count(*collector.flush(), "job", {{"status", "success"}}) == 1);
  CHECK(contract::count(*collector.flush(), "job", {{"status", "error"}}) == 1);
}

TEST_CASE("stop() is a success, whatever is thrown later") {
  MetricsCollector collector(manual());
  const Timer good = collector.timer("good"), bad = collector.timer("bad");
  try {
    ScopedTimer timer(good, bad);
    timer.stop();
    throw std::runtime_error("no");
  } catch (const std::runtime_error&) {
  }
  CHECK(contract::count(*collector.flush(), "good") == 1);
  CHECK(contract::count(*collector.flush(), "bad") == 0);
}

TEST_CASE("a scope that runs well while another exception is on its way is a success") {
  MetricsCollector collector(manual());
  const Timer good = collector.timer("good"), bad = collector.timer("bad");
  struct Cleanup {
    const Timer& good;
    const Timer& bad;
    ~Cleanup() { const ScopedTimer timer(good, bad); }
  };
  try {
    const Cleanup cleanup{good, bad};
    throw std::runtime_error("no");
  } catch (const std::runtime_error&) {
    const ScopedTimer timer(good, bad);
  }
  CHECK(contract::count(*collector.flush(), "good") == 2);
  CHECK(contract::count(*collector.flush(), "bad") == 0);
}

TEST_CASE("a scope with an intended start goes where its end says, the wait included") {
  MetricsCollector collector(manual());
  const Timer good = collector.timer("good"), bad = collector.timer("bad");
  const auto long_ago = [] { return Steady::now() - std::chrono::seconds{3}; };
  { const ScopedTimer timer(good, bad, long_ago()); }
  try {
    const ScopedTimer timer(good, bad, long_ago());
    throw std::runtime_error("no");
  } catch (const std::runtime_error&) {
  }
  for (const char* const name : {"good", "bad"}) {
    const auto found = series(*collector.flush(), name);
    CHECK(found->count == 1);
    CHECK(found->last >= 3 * (1 - kClockError));
    CHECK(found->last < 60);
  }
}

TEST_CASE("any point in time is a start: one before all others is long ago, one after all others is now") {
  using Years = std::chrono::duration<double, std::chrono::years::period>;
  constexpr double kSteadyYears = Years(std::chrono::nanoseconds::max()).count();  // from the first point in time to the clock's zero
  MetricsCollector collector(manual());
  const Timer work = collector.timer("work");
  AggregatingCollector aggregating{collector};
  BatchCollector batching{collector};
  const auto last = [&] { return Years(Seconds(series(*collector.flush(), "work")->last)).count(); };
  work.record(Steady::time_point::min());
  CHECK(last() >= kSteadyYears * (1 - 1e-9));
  aggregating.timer("work").record(Steady::time_point::min());
  CHECK(last() >= kSteadyYears * (1 - 1e-9));
  batching.timer("work").record(Steady::time_point::min());
  batching.hand_over();
  CHECK(last() >= kSteadyYears * (1 - 1e-9));
  CHECK(ScopedTimer(work, Steady::time_point::min()).stop() >= std::chrono::years{20});
  CHECK(last() >= 20);
  work.record(Steady::time_point::max());
  CHECK(last() == 0);
  CHECK(ScopedTimer(work, Steady::time_point::max()).stop() < std::chrono::hours{1});
}

TEST_CASE("an outer scope is not shorter than the one inside it") {
  MetricsCollector collector(manual());
  const Timer outer = collector.timer("outer"), inner = collector.timer("inner");
  for (int i = 0; i < 100; ++i) {
    const ScopedTimer outer_timer(outer);
    const ScopedTimer inner_timer(inner);
  }
  const auto snapshot = collector.flush();
  CHECK(series(*snapshot, "outer")->count == 100);
  CHECK(series(*snapshot, "outer")->sum >= series(*snapshot, "inner")->sum);
  CHECK(series(*snapshot, "inner")->min >= 0);
}

TEST_CASE("a timer of an unbound handle still tells how long it ran") {
  ScopedTimer timer{Timer{}};
  pass(std::chrono::milliseconds{1});
  CHECK(timer.stop() >= std::chrono::microseconds{999});
}
