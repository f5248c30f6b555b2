#pragma once

#include "values.hpp"

#include <benchmark/benchmark.h>

#include <pthread.h>
#include <sched.h>
#include <sys/resource.h>

#include <atomic>
#include <barrier>
#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <string>
#include <thread>
#include <vector>

namespace pepper::bench {

/// Records between two drains: the bursts of two threads fit the default pool twice over, and one clock pair a burst is nothing.
inline constexpr std::size_t kBurst = 16'384;

/// Un-timed bursts at first: enough to touch every page of the default pool.
inline constexpr int kWarmUpBursts = 8;

/// What a capture bench measures. `op(thread)` is called on each recording thread and gives what that thread does with the i-th value;
/// `drain()` is called un-timed between bursts; `fault(records)` is called at the end and names what went wrong, or is null: a bench
/// must not report the speed of records that went nowhere.
template <class S>
concept Subject = requires(S subject) {
  subject.op(0)(std::size_t{}, double{});
  subject.drain();
  { subject.fault(std::uint64_t{}) } -> std::convertible_to<const char*>;
};

/// How many values one call of a subject's op takes; a span takes more than one.
template <class S>
inline constexpr std::size_t kValuesPerCall = 1;

[[nodiscard]] inline double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

/// How often the kernel ran something else in the middle of what this thread did. A wait for a lock is not among them.
[[nodiscard]] inline long preemptions_of_this_thread() {
  rusage usage{};
  getrusage(RUSAGE_THREAD, &usage);
  return usage.ru_nivcsw;
}

/// What bursts took. Those that were preempted are left out: on a busy machine they would be all that one sees.
struct BurstTimes {
  double seconds = 0;  ///< of all that count
  double bursts = 0;   ///< that count
  double last = 0;     ///< seconds of the last one, whole or not

  BurstTimes& operator+=(const BurstTimes& other) {
    seconds += other.seconds;
    bursts += other.bursts;
    last = other.last;
    return *this;
  }
};

/// By value, so that a handle that `op` holds is in registers, as the handle of a hot loop is.
template <std::size_t kStep, class Op>
[[gnu::noinline]] double burst(Op op) {
  const auto start = std::chrono::steady_clock::now();
  for (std::size_t i = 0; i < kBurst; i += kStep) {
    op(i, kSomeValues[i % kValues]);
    barrier();
  }
  return seconds_since(start);
}

template <class S, class Op>
BurstTimes time_burst(const Op& op) {
  const long preemptions = preemptions_of_this_thread();
  const double seconds = burst<kValuesPerCall<S>>(op);
  if (preemptions_of_this_thread() != preemptions) return {0, 0, seconds};
  return {seconds, 1, seconds};
}

/// Ends a bench: nanoseconds per value, or the fault.
template <Subject S>
void report_bursts(benchmark::State& state, S& subject, const BurstTimes& times, int threads) {
  const auto bursts = static_cast<std::uint64_t>(state.iterations()) + kWarmUpBursts;
  // Google Benchmark's trial run of one iteration may be preempted; nobody reads its counters, but an error would end the bench.
  state.counters["ns"] = (times.bursts == 0 ? times.last : times.seconds / times.bursts) * 1e9 / kBurst;
  const char* const fault = subject.fault(bursts * kBurst * static_cast<std::uint64_t>(threads));
  if (fault != nullptr) state.SkipWithError(fault);
}

/// Bursts on this thread, drained by this thread.
template <Subject S>
void run_alone(benchmark::State& state) {
  S subject(1);
  const auto op = subject.op(0);
  for (int i = 0; i < kWarmUpBursts; ++i) {
    time_burst<S>(op);
    subject.drain();
  }
  BurstTimes total;
  for (auto _ : state) {
    total += time_burst<S>(op);
    state.SetIterationTime(total.last);
    subject.drain();
  }
  report_bursts(state, subject, total, 1);
}

/// Keeps the calling thread on the `index`-th of the CPUs it may use. Threads that are woken for a burst are often woken on one CPU, and
/// the burst is over before the scheduler parts them: it would measure turns instead of contention.
inline void pin_this_thread(int index) {
  cpu_set_t allowed, one;
  if (pthread_getaffinity_np(pthread_self(), sizeof allowed, &allowed) != 0) return;
  int skip = index % CPU_COUNT(&allowed), cpu = 0;
  while (!CPU_ISSET(cpu, &allowed) || skip-- > 0) ++cpu;
  CPU_ZERO(&one);
  CPU_SET(cpu, &one);
  pthread_setaffinity_np(pthread_self(), sizeof one, &one);
}

/// Threads that record a burst together each time they are told to.
template <Subject S>
class Team {
 public:
  Team(S& subject, int size) : gate_(size + 1), times_(static_cast<std::size_t>(size)) {
    for (int i = 0; i < size; ++i) members_.emplace_back([this, &subject, i] { serve(subject, i); });
  }
  ~Team() {
    over_ = true;
    gate_.arrive_and_wait();
  }
  Team(const Team&) = delete;
  Team& operator=(const Team&) = delete;

  /// One burst by all, its times added up. On return they sleep.
  BurstTimes run_burst() {
    gate_.arrive_and_wait();
    gate_.arrive_and_wait();
    BurstTimes sum;
    for (const OwnTimes& own : times_) sum += own.times;
    return sum;
  }

 private:
  struct alignas(64) OwnTimes {  // apart, so that writing a result does not disturb a neighbour's burst
    BurstTimes times;
  };

  void serve(S& subject, int index) {
    pin_this_thread(index);
    const auto op = subject.op(index);
    for (std::size_t round = 1;; ++round) {
      gate_.arrive_and_wait();
      if (over_) return;
      // A woken thread is late by longer than a burst takes: those who are awake wait for the last, or nothing would run at once.
      ready_.fetch_add(1);
      while (ready_ < round * times_.size()) std::this_thread::yield();
      times_[static_cast<std::size_t>(index)].times = time_burst<S>(op);
      gate_.arrive_and_wait();
    }
  }

  std::barrier<> gate_;
  std::vector<OwnTimes> times_;
  std::atomic<std::size_t> ready_{0};
  std::atomic<bool> over_{false};
  std::vector<std::jthread> members_;  // last: joined before what they use is gone
};

/// Bursts on several threads at once, drained by another, which sleeps meanwhile.
template <Subject S>
void run_team(benchmark::State& state, int threads) {
  S subject(threads);
  BurstTimes total;
  {
    Team<S> team(subject, threads);
    for (int i = 0; i < kWarmUpBursts; ++i) {
      team.run_burst();
      subject.drain();
    }
    for (auto _ : state) {
      total += team.run_burst();
      state.SetIterationTime(total.last);
      subject.drain();
    }
  }
  report_bursts(state, subject, total, threads);
}

/// `name`: alone.
template <Subject S>
void add_alone(const std::string& name) {
  benchmark::RegisterBenchmark(name.c_str(), run_alone<S>)->UseManualTime();
}

/// `name/threads:1`, `name/threads:2`: drained from elsewhere.
template <Subject S>
void add_teams(const std::string& name) {
  for (const int threads : {1, 2}) {
    benchmark::RegisterBenchmark((name + "/threads:" + std::to_string(threads)).c_str(), run_team<S>, threads)->UseManualTime();
  }
}

}  // namespace pepper::bench
