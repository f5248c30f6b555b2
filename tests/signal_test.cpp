#include "contract.hpp"
#include "sanitizers.hpp"
#include "single_step.hpp"

#include <pthread.h>
#include <sys/time.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <new>
#include <type_traits>
#include <utility>

using namespace pepper;
using contract::count;
using contract::is_balanced;
using contract::manual;
using contract::series;

namespace {

static_assert(std::is_trivially_copyable_v<SignalCounter> && std::is_trivially_destructible_v<SignalCounter>);

constexpr std::uint64_t kChunkRecords = 255;

/// What the handler adds to, and what it counts itself.
constinit SignalCounter in_handler;
std::atomic<std::uint64_t> handled{0}, errno_changes{0};

void on_signal(int) {
  const int before = std::exchange(errno, EDOM);
  in_handler.add();
  if (std::exchange(errno, before) != EDOM) ++errno_changes;
  ++handled;
}

/// Handles SIGPROF for as long as it lives.
class Handling {
 public:
  explicit Handling(SignalCounter counter) {
    in_handler = counter;
    handled = errno_changes = 0;
    struct sigaction action {};
    action.sa_handler = on_signal;
    action.sa_flags = SA_RESTART;
    sigaction(SIGPROF, &action, &before_);
  }
  ~Handling() { sigaction(SIGPROF, &before_, nullptr); }
  Handling(const Handling&) = delete;
  Handling& operator=(const Handling&) = delete;

 private:
  struct sigaction before_ {};
};

/// SIGPROF for each millisecond of processor time, to whichever thread has used it.
class ProfilingTimer {
 public:
  ProfilingTimer() { set(1000); }
  ~ProfilingTimer() { set(0); }
  ProfilingTimer(const ProfilingTimer&) = delete;
  ProfilingTimer& operator=(const ProfilingTimer&) = delete;

 private:
  static void set(suseconds_t microseconds) {
    itimerval timer{};
    timer.it_interval.tv_usec = timer.it_value.tv_usec = microseconds;
    setitimer(ITIMER_PROF, &timer, nullptr);
  }
};

/// Two threads record as fast as they can and raise signals; the profiling timer and a third thread interrupt them wherever they are; a
/// fourth flushes.
void check_storm(const TelemetryConfig& config) {
  constexpr std::size_t kThreads = 2;
  const std::uint64_t per_thread = sanitizers::kIsTsan || sanitizers::kIsAsan ? 200'000 : 4'000'000;
  MetricsCollector collector(config);
  const SignalCounter signals = collector.signal_counter("signals");
  const Counter hits = collector.counter("hits");
  const Gauge level = collector.gauge("level");
  std::uint64_t unbalanced = 0, flushes = 0;
  {
    const Handling handling(signals);
    const ProfilingTimer timer;
    std::atomic<std::size_t> recording{kThreads};
    std::atomic<bool> is_over{false};
    std::vector<std::jthread> threads;
    for (std::size_t i = 0; i < kThreads; ++i) {
      threads.emplace_back([&] {
        for (std::uint64_t n = 1; n <= per_thread; ++n) {
          hits.add(static_cast<double>(n));
          if (n % 16 == 0) level.set(static_cast<double>(n));
          if (n % 64 == 0) (void)raise(SIGPROF);
        }
        --recording;
        while (!is_over) std::this_thread::yield();  // there must be a thread to send signals to
      });
    }
    std::jthread sender([&] {
      while (recording != 0) {
        for (std::size_t i = 0; i < kThreads; ++i) (void)pthread_kill(threads[i].native_handle(), SIGPROF);
      }
    });
    while (recording != 0) {
      unbalanced += !is_balanced(collector.flush()->stats());
      ++flushes;
    }
    sender.join();
    is_over = true;
  }
  const auto snapshot = collector.flush();
  const std::uint64_t all = kThreads * per_thread;
  INFO(handled.load() << " signals, " << flushes << " flushes");
  CHECK(handled > all / 64);  // the threads' own, and others
  CHECK(count(*snapshot, "signals") == handled);
  CHECK(series(*snapshot, "signals")->sum == static_cast<double>(handled));
  CHECK(errno_changes == 0);
  CHECK(count(*snapshot, "hits") == all);
  CHECK(series(*snapshot, "hits")->sum == static_cast<double>(kThreads) * static_cast<double>(per_thread * (per_thread + 1) / 2));
  CHECK(count(*snapshot, "level") == all / 16);
  CHECK(unbalanced == 0);
  CHECK(is_balanced(snapshot->stats()));
  CHECK(snapshot->stats().recorded == handled + all + all / 16);
  CHECK(snapshot->stats().aggregated == snapshot->stats().recorded);
}

}  // namespace

TEST_CASE("a storm of SIGPROF in threads that record loses nothing and tears nothing") { check_storm(contract::background()); }

TEST_CASE("a storm of SIGPROF in threads that fold their own records loses nothing and tears nothing") { check_storm(manual(1)); }

TEST_CASE("a record interrupted at any instruction by a handler that counts is unharmed, and so is the count") {
  for (const std::size_t buffer_size : {100 * kChunkRecords, std::size_t{1}}) {  // hands over; folds its own
    MetricsCollector collector(manual(buffer_size));
    const Counter hits = collector.counter("hits");
    const SignalCounter signals = collector.signal_counter("signals");
    std::uint64_t made = 0, counted = 0;
    const auto add = [&] {
      hits.add(2);
      ++made;
    };
    for (std::uint64_t i = 0; i <= 3 * kChunkRecords; ++i) add();  // this thread has settled in
    const std::size_t rounds = single_step::for_each_step([&](std::size_t steps) {
      while (made % kChunkRecords != 0) add();
      return single_step::run(steps, add, [&] {
        signals.add();
        ++counted;
      });
    });
    const auto snapshot = collector.flush();
    INFO(rounds << " rounds");
    CHECK(rounds >= (single_step::kIsPossible ? 5 : 1));
    CHECK(count(*snapshot, "hits") == made);
    CHECK(series(*snapshot, "hits")->sum == 2 * static_cast<double>(made));
    CHECK(count(*snapshot, "signals") == counted);
    CHECK(is_balanced(snapshot->stats()));
    CHECK(snapshot->stats().aggregated == made + counted);
  }
}

TEST_CASE("an add() interrupted at any instruction by another of the same series, and by a flush, is unharmed") {
  MetricsCollector collector(manual());
  const SignalCounter signals = collector.signal_counter("signals");
  std::uint64_t counted = 0, sum = 0, wrong = 0;
  for (const std::uint64_t n : {1u, 2u, 5u}) {
    const std::size_t rounds = single_step::for_each_step([&](std::size_t steps) {
      const std::uint64_t count_before = counted, sum_before = sum;
      const bool was_stopped = single_step::run(
          steps, [&] { signals.add(n); },
          [&] {
            signals.add(n + 10);
            const auto seen = collector.flush()->find("signals");
            // The call that was stopped may be in the sum and not yet in the count, never the other way round.
            const bool has_call = seen->count == count_before + 2, has_amount = seen->sum == static_cast<double>(sum_before + n + n + 10);
            wrong += !has_call && seen->count != count_before + 1;
            wrong += !has_amount && (has_call || seen->sum != static_cast<double>(sum_before + n + 10));
            wrong += seen->max < static_cast<double>(n + 10) || seen->min < 1 || seen->min > static_cast<double>(n + 10);
          });
      counted += was_stopped ? 2 : 1;
      sum += was_stopped ? n + n + 10 : n;
      const auto after = collector.flush();
      wrong += count(*after, "signals") != counted || series(*after, "signals")->sum != static_cast<double>(sum);
      wrong += series(*after, "signals")->min != 1 || !is_balanced(after->stats()) || after->stats().pending != 0;
      return was_stopped;
    });
    CHECK(rounds >= 1);
  }
  CHECK(series(*collector.flush(), "signals")->max == 15);
  CHECK(wrong == 0);
}

TEST_CASE("add(n) adds n to the sum and one to the count; min, max and last are of the amounts") {
  MetricsCollector collector(manual());
  const SignalCounter bytes = collector.signal_counter("bytes", {}, {.unit = "bytes"});
  CHECK(count(*collector.flush(), "bytes") == 0);
  for (const std::uint64_t n : {7u, 3u, 5u}) bytes.add(n);
  auto found = series(*collector.flush(), "bytes");
  CHECK(found->kind == Kind::counter);
  CHECK(found->unit == "bytes");
  CHECK(found->count == 3);
  CHECK(found->sum == 15);
  CHECK(found->min == 3);
  CHECK(found->max == 7);
  CHECK(found->last == 5);
  bytes.add();
  found = series(*collector.flush(), "bytes");
  CHECK(found->min == 1);
  CHECK(found->max == 7);
  CHECK(found->last == 1);
  bytes.add(0);
  bytes.add(std::uint64_t{1} << 60);
  found = series(*collector.flush(), "bytes");
  CHECK(found->count == 6);
  CHECK(found->sum == 16 + 0x1p60);
  CHECK(found->min == 0);
  CHECK(found->max == 0x1p60);
}

TEST_CASE("a signal counter and a counter with one name and tags count in one series") {
  MetricsCollector collector(manual());
  const SignalCounter signals = collector.signal_counter("hits", {{"a", "1"}, {"b", "2"}});
  const Counter counter = collector.counter("hits", {{"b", "2"}, {"a", "1"}});
  const SignalCounter again = collector.signal_counter("hits", {{"b", "2"}, {"a", "1"}});
  signals.add();
  counter.add(0.5);
  again.add(4);
  const auto snapshot = collector.flush();
  CHECK(snapshot->size() == 1);
  const auto found = series(*snapshot, "hits", {{"a", "1"}, {"b", "2"}});
  CHECK(found->count == 3);
  CHECK(found->sum == 5.5);
  CHECK(found->min == 0.5);
  CHECK(snapshot->stats().recorded == 3);
  CHECK(snapshot->stats().aggregated == 3);
}

TEST_CASE("an unbound signal counter, and one whose collector is gone, count for nobody") {
  SignalCounter{}.add();
  SignalCounter late;
  {
    MetricsCollector collector(manual());
    late = collector.signal_counter("signals");
    late.add();
  }
  for (int i = 0; i < 3; ++i) {
    late.add();
    MetricsCollector next(manual());
    late.add(100);
    const SignalCounter own = next.signal_counter("signals");
    late.add(100);
    own.add(2);
    late.add();
    const auto snapshot = next.flush();
    CHECK(count(*snapshot, "signals") == 1);
    CHECK(series(*snapshot, "signals")->max == 2);
    CHECK(snapshot->stats().recorded == 1);
    CHECK(is_balanced(snapshot->stats()));
  }
}

TEST_CASE("what a handler counts while the collector is disabled is nobody's, and what it counted before is kept") {
  MetricsCollector collector(manual());
  const SignalCounter signals = collector.signal_counter("signals");
  signals.add(2);
  collector.set_enabled(false);
  signals.add();
  signals.add(1000);
  CHECK(count(*collector.flush(), "signals") == 1);
  signals.add(1000);
  collector.set_enabled(true);
  signals.add(3);
  const auto snapshot = collector.flush();
  CHECK(count(*snapshot, "signals") == 2);
  CHECK(series(*snapshot, "signals")->sum == 5);
  CHECK(series(*snapshot, "signals")->max == 3);
  CHECK(snapshot->stats().recorded == 2);
  CHECK(is_balanced(snapshot->stats()));
}

TEST_CASE("a signal counter counts before, during and after shutdown") {
  MetricsCollector collector(contract::background());
  const SignalCounter signals = collector.signal_counter("signals");
  signals.add();
  CHECK(collector.shutdown());
  CHECK(count(*collector.snapshot(), "signals") == 1);
  signals.add();
  CHECK(count(*collector.flush(), "signals") == 2);
}

TEST_CASE("past max_series, signal counters share the overflow series") {
  TelemetryConfig config = manual();
  config.max_series = 2;
  MetricsCollector collector(config);
  for (const char* const tag : {"a", "b", "c", "d"}) collector.signal_counter("signals", {{"tag", tag}}).add(2);
  const auto snapshot = collector.flush();
  CHECK(count(*snapshot, "signals", {{"tag", "b"}}) == 1);
  CHECK(count(*snapshot, "signals", {{"pepper.overflow", "true"}}) == 2);
  CHECK(snapshot->stats().aggregated == 4);
}

TEST_CASE("endlessly many signal counters stay within the memory limit, and what they count is counted") {
  TelemetryConfig config = manual(1);
  config.memory_limit_bytes = std::size_t{2} << 20;
  MetricsCollector collector(config);
  const SignalCounter first = collector.signal_counter("signals");
  std::uint64_t counted = 0;
  for (int i = 0; i < 20'000; ++i) {
    try {
      collector.signal_counter("signals", {{"tag", std::to_string(i)}}).add();
      ++counted;
    } catch (const std::bad_alloc&) {  // not even room for the overflow series' own
    }
  }
  first.add();
  collector.signal_counter("signals").add();
  const auto snapshot = collector.flush();
  CHECK(count(*snapshot, "signals") == 2);
  CHECK(counted > 1000);
  CHECK(snapshot->stats().aggregated == counted + 2);
  CHECK(snapshot->stats().series < 20'000);
  CHECK(is_balanced(snapshot->stats()));
  CHECK(snapshot->stats().memory_bytes <= config.memory_limit_bytes);
}
