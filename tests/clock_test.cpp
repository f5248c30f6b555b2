#include "clock.hpp"

#include <doctest/doctest.h>

#include <chrono>
#include <cmath>
#include <cstdint>
#include <limits>
#include <thread>

using namespace pepper::detail;
using Steady = std::chrono::steady_clock;

namespace {

/// Seconds in a tick as measured over at least `span`, the reads of each end as close together as a few tries get them.
double measure_tick(std::chrono::nanoseconds span) {
  struct Pair {
    std::uint64_t ticks;
    Steady::time_point time;
  };
  const auto read = [] {
    Pair best{};
    std::uint64_t shortest = std::numeric_limits<std::uint64_t>::max();
    for (int i = 0; i < 20; ++i) {
      const std::uint64_t before = now_ticks();
      const Steady::time_point time = Steady::now();
      const std::uint64_t after = now_ticks();
      if (after - before >= shortest) continue;
      shortest = after - before;
      best = {before + (after - before) / 2, time};
    }
    return best;
  };
  const Pair from = read();
  while (Steady::now() - from.time < span) std::this_thread::yield();
  const Pair to = read();
  return std::chrono::duration<double>(to.time - from.time).count() / static_cast<double>(to.ticks - from.ticks);
}

}  // namespace

TEST_CASE("ticks never go back on a thread") {
  std::uint64_t last = now_ticks();
  for (int i = 0; i < 1'000'000; ++i) {
    const std::uint64_t now = now_ticks();
    if (now < last) FAIL("from " << last << " to " << now);
    last = now;
  }
}

TEST_CASE("a tick is as long as steady_clock says, to a thousandth") {
  const double known = seconds_per_tick(), measured = measure_tick(std::chrono::milliseconds{60});
  CHECK(std::abs(known / measured - 1) < 1e-3);
  CHECK(known_seconds_per_tick() == known);
}

TEST_CASE("keeping in step keeps the tick right, from the first fit on") {
  (void)seconds_per_tick();
  for (int i = 0; i < 3; ++i) {
    const double measured = measure_tick(std::chrono::milliseconds{110});  // it fits anew every 100 ms
    keep_clock_in_step();
    CHECK(std::abs(seconds_per_tick() / measured - 1) < 1e-3);
  }
  if (tsc_is_trusted) CHECK(std::abs(seconds_per_tick() / measure_tick(std::chrono::milliseconds{50}) - 1) < 2e-4);
}

TEST_CASE("ticks turn into nanoseconds, and less than none into none") {
  CHECK(to_nanoseconds(0).count() == 0);
  CHECK(to_nanoseconds(-1).count() == 0);
  CHECK(to_nanoseconds(std::numeric_limits<std::int64_t>::min()).count() == 0);
  const auto ticks = static_cast<std::int64_t>(1 / seconds_per_tick());
  CHECK(std::abs(static_cast<double>(to_nanoseconds(ticks).count()) - 1e9) < 100);
}

TEST_CASE("the clock is asked for by several threads at once") {
  std::jthread other([] {
    for (int i = 0; i < 1000; ++i) keep_clock_in_step();
  });
  for (int i = 0; i < 1000; ++i) CHECK(seconds_per_tick() > 0);
}
