// What a record costs the process when threads record without pause: all of it, from the loop to the last fold, nothing lost.

#include "benches.hpp"
#include "values.hpp"

#include <benchmark/benchmark.h>
#include <pepper/pepper.hpp>

#include <time.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <thread>
#include <type_traits>
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

template <class Handle>
[[nodiscard]] Handle bind(MetricsCollector& collector, std::string_view name, TagsView tags) {
  if constexpr (std::is_same_v<Handle, Histogram>) {
    return collector.histogram(name, tags);
  } else {
    return collector.summary(name, tags);
  }
}

/// With summaries, or histograms.
template <class Handle>
void saturate(benchmark::State& state) {
  const auto threads = static_cast<std::size_t>(state.range(0)), series = static_cast<std::size_t>(state.range(1));
  const std::uint64_t expected = threads * kRecordsPerThread;
  for (auto _ : state) {
    MetricsCollector collector({.buffer_size = static_cast<std::size_t>(state.range(2)) * detail::kChunkRecords});
    std::vector<Handle> handles;
    for (std::size_t i = 0; i < series; ++i) handles.push_back(bind<Handle>(collector, "request.size", {{"route", std::to_string(i)}}));
    const auto record = [&handles](std::size_t) {
      const std::size_t mask = handles.size() - 1;
      for (std::size_t i = 0; i < kRecordsPerThread; ++i) {
        handles[i & mask].record(kSomeValues[i % kValues]);
        barrier();
      }
    };
    CollectorStats stats;
    report_cpu(state, cpu_seconds_of(threads, record, [&] { stats = collector.flush()->stats(); }), static_cast<double>(expected));
    state.counters["spilled"] = static_cast<double>(stats.spilled) / static_cast<double>(expected);
    state.counters["flushes"] = static_cast<double>(stats.flushes);
    std::uint64_t missing = 0;
    const auto snapshot = collector.snapshot();
    for (const SeriesSnapshot& one : *snapshot) missing += one.distribution.undistributed();
    if (missing != 0) state.SkipWithError("records are missing in distributions");
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

}  // namespace

void add_overload_benches() {
  // One run a repetition: what is fixed is the work, not the time. Chunks in the pool: 257 is the default, 4 cannot keep up at all.
  const auto add = [](const char* name, void (*run)(benchmark::State&)) {
    benchmark::RegisterBenchmark(name, run)
        ->ArgNames({"threads", "series", "chunks"})
        ->ArgsProduct({{1, 2}, {1, 16, 1024}, {4, 257}})
        ->UseManualTime()
        ->Iterations(1);
  };
  add("saturate", saturate<Summary>);
  add("saturate_distributed", saturate<Histogram>);
  benchmark::RegisterBenchmark("saturate_nothing", saturate_nothing)->ArgName("threads")->Arg(1)->Arg(2)->UseManualTime()->Iterations(1);
}

}  // namespace pepper::bench
