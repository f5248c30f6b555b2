// What a record costs the process when threads record without pause: all of it, from the loop to the last fold, nothing lost.

#include "benches.hpp"
#include "values.hpp"

#include <benchmark/benchmark.h>
#include <concurrentqueue/concurrentqueue.h>
#include <pepper/pepper.hpp>

#include <time.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <thread>
#include <vector>

namespace pepper::bench {
namespace {

constexpr std::size_t kRecordsPerThread = 20'000'000;

[[nodiscard]] double process_cpu_seconds() {
  timespec now{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

/// Runs `body(thread)` on each of `threads` threads and `finish()` after them; gives the CPU time of the whole process meanwhile.
template <class Body, class Finish>
[[nodiscard]] double cpu_seconds_of(std::size_t threads, Body body, Finish finish) {
  const double before = process_cpu_seconds();
  std::vector<std::jthread> recorders;
  for (std::size_t i = 0; i < threads; ++i) recorders.emplace_back(body, i);
  for (std::jthread& recorder : recorders) recorder.join();
  finish();
  return process_cpu_seconds() - before;
}

void report_cpu(benchmark::State& state, double seconds, double records) {
  state.SetIterationTime(seconds);
  state.counters["ns"] = seconds * 1e9 / records;
}

void saturate(benchmark::State& state) {
  const auto threads = static_cast<std::size_t>(state.range(0)), series = static_cast<std::size_t>(state.range(1));
  const std::uint64_t expected = threads * kRecordsPerThread;
  for (auto _ : state) {
    MetricsCollector collector({.buffer_size = static_cast<std::size_t>(state.range(2)) * detail::kChunkRecords});
    std::vector<Summary> summaries;
    for (std::size_t i = 0; i < series; ++i) summaries.push_back(collector.summary("request.size", {{"route", std::to_string(i)}}));
    const auto record = [&summaries](std::size_t) {
      const std::size_t mask = summaries.size() - 1;
      for (std::size_t i = 0; i < kRecordsPerThread; ++i) {
        summaries[i & mask].record(kSomeValues[i % kValues]);
        barrier();
      }
    };
    CollectorStats stats;
    report_cpu(state, cpu_seconds_of(threads, record, [&] { stats = collector.flush()->stats(); }), static_cast<double>(expected));
    state.counters["spilled"] = static_cast<double>(stats.spilled) / static_cast<double>(expected);
    state.counters["flushes"] = static_cast<double>(stats.flushes);
    if (stats.recorded != expected || stats.aggregated != expected) state.SkipWithError("records are missing");
  }
}

/// The share of the loop itself in saturate().
void saturate_nothing(benchmark::State& state) {
  const auto threads = static_cast<std::size_t>(state.range(0));
  const auto nothing = [](std::size_t) {
    for (std::size_t i = 0; i < kRecordsPerThread; ++i) {
      use(kSomeValues[i % kValues]);
      barrier();
    }
  };
  for (auto _ : state) report_cpu(state, cpu_seconds_of(threads, nothing, [] {}), static_cast<double>(threads * kRecordsPerThread));
}

/// The same work through a queue of records as long as the pool: a consumer sums them in bulk, a producer that finds it full yields.
void saturate_moodycamel(benchmark::State& state) {
  struct Item {
    std::uint64_t series;
    double value;
  };
  struct Sum {
    std::uint64_t count = 0;
    double sum = 0;
  };
  const auto threads = static_cast<std::size_t>(state.range(0)), series = static_cast<std::size_t>(state.range(1));
  const std::size_t records = threads * kRecordsPerThread / 4;  // a quarter of saturate()'s: it is slow enough to time as well
  for (auto _ : state) {
    moodycamel::ConcurrentQueue<Item> queue(65'536, threads, 0);
    std::vector<Sum> sums(series);
    std::size_t received = 0;
    std::jthread consumer([&] {
      moodycamel::ConsumerToken token(queue);
      std::array<Item, 256> items;
      while (received < records) {
        const std::size_t count = queue.try_dequeue_bulk(token, items.data(), items.size());
        if (count == 0) std::this_thread::yield();
        for (std::size_t i = 0; i < count; ++i) {
          ++sums[items[i].series].count;
          sums[items[i].series].sum += items[i].value;
        }
        received += count;
      }
    });
    const auto record = [&](std::size_t) {
      moodycamel::ProducerToken token(queue);
      for (std::size_t i = 0; i < records / threads; ++i) {
        while (!queue.try_enqueue(token, Item{i & (series - 1), kSomeValues[i % kValues]})) std::this_thread::yield();
        barrier();
      }
    };
    report_cpu(state, cpu_seconds_of(threads, record, [&] { consumer.join(); }), static_cast<double>(records));
    std::uint64_t count = 0;
    for (const Sum& sum : sums) count += sum.count;
    if (count != records) state.SkipWithError("records are missing");
  }
}

}  // namespace

void add_overload_benches() {
  // One run a repetition: what is fixed is the work, not the time. Chunks in the pool: 257 is the default, 4 cannot keep up at all.
  benchmark::RegisterBenchmark("saturate", saturate)
      ->ArgNames({"threads", "series", "chunks"})
      ->ArgsProduct({{1, 2}, {1, 16, 1024}, {4, 257}})
      ->UseManualTime()
      ->Iterations(1);
  benchmark::RegisterBenchmark("saturate_nothing", saturate_nothing)->ArgName("threads")->Arg(1)->Arg(2)->UseManualTime()->Iterations(1);
  benchmark::RegisterBenchmark("saturate_moodycamel", saturate_moodycamel)
      ->ArgNames({"threads", "series"})
      ->Args({2, 16})
      ->UseManualTime()
      ->Iterations(1);
}

}  // namespace pepper::bench
