// The worst of single calls. Times taken while the kernel ran something else in the middle say nothing about pepper, so they are left
// out: those during which the calling thread's count of involuntary context switches moved. Voluntary ones (a wait for a lock) stay in.

#include "benches.hpp"
#include "bursts.hpp"
#include "ticks.hpp"

#include <pepper/pepper.hpp>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <thread>
#include <vector>

namespace pepper::bench {
namespace {

void report(benchmark::State& state, const std::string& prefix, const TickHistogram& ticks) {
  state.counters[prefix + "p50"] = ticks.percentile(50);
  state.counters[prefix + "p99"] = ticks.percentile(99);
  state.counters[prefix + "p99.9"] = ticks.percentile(99.9);
  state.counters[prefix + "p99.99"] = ticks.percentile(99.99);
  state.counters[prefix + "max"] = ticks.percentile(100);
}

/// What one recording thread of record_worst_call saw.
struct Observed {
  TickHistogram record, empty;
  std::size_t batches = 0, preempted = 0;
};

/// One call in kStride is timed: at two clock readings a call there would be no saturation. Prime to the 255 records of a chunk, so that
/// each position of a chunk has its turn.
constexpr std::size_t kStride = 7, kBatch = 512, kBatches = 4'000;

/// `handles`: a power of two of them, in turn.
template <class Handle>
void record_and_time(const std::vector<Handle>& handles, Observed& observed) {
  std::array<std::uint64_t, kBatch> record_ticks, empty_ticks;
  std::size_t next = 0;
  const auto record = [&next, first = handles.data(), mask = handles.size() - 1] {
    first[next & mask].record(kSomeValues[next % kValues]);
    ++next;
  };
  for (; observed.batches < kBatches; ++observed.batches) {
    const long preemptions = preemptions_of_this_thread();
    for (std::size_t i = 0; i < kBatch; ++i) {
      for (std::size_t k = 1; k < kStride; ++k) record();
      const std::uint64_t start = fenced_ticks();
      record();
      const std::uint64_t end = fenced_ticks();
      record_ticks[i] = end - start;
      empty_ticks[i] = fenced_ticks();
      empty_ticks[i] = fenced_ticks() - empty_ticks[i];
    }
    if (preemptions_of_this_thread() != preemptions) {
      ++observed.preempted;
      continue;
    }
    for (const std::uint64_t ticks : record_ticks) observed.record.add(ticks);
    for (const std::uint64_t ticks : empty_ticks) observed.empty.add(ticks);
  }
}

/// One record() among threads that record without pause, beside the same clock pair with nothing in between.
template <class Handle>
void record_worst_call(benchmark::State& state, Handle (MetricsCollector::*bind)(std::string_view, TagsView, SeriesOptions),
                       std::size_t series) {
  const auto threads = static_cast<std::size_t>(state.range(0));
  for (auto _ : state) {
    MetricsCollector collector({.buffer_size = static_cast<std::size_t>(state.range(1)) * detail::kChunkRecords});
    std::vector<Handle> handles;
    for (std::size_t i = 0; i < series; ++i) handles.push_back((collector.*bind)("request.size", Tags{{"route", std::to_string(i)}}, {}));
    std::vector<Observed> observed(threads);
    const auto start = std::chrono::steady_clock::now();
    {
      std::vector<std::jthread> recorders;
      recorders.reserve(threads);
      for (Observed& mine : observed) recorders.emplace_back([&handles, &mine] { record_and_time(handles, mine); });
    }
    state.SetIterationTime(seconds_since(start));
    for (std::size_t i = 1; i < threads; ++i) {
      observed[0].record.merge(observed[i].record);
      observed[0].empty.merge(observed[i].empty);
      observed[0].preempted += observed[i].preempted;
    }
    report(state, "", observed[0].record);
    report(state, "empty_", observed[0].empty);
    state.counters["preempted"] = static_cast<double>(observed[0].preempted) / static_cast<double>(threads * kBatches);
    state.counters["ns"] = observed[0].record.percentile(99.99) - observed[0].empty.percentile(99.99);
    const CollectorStats stats = collector.flush()->stats();
    state.counters["spilled"] = static_cast<double>(stats.spilled) / static_cast<double>(stats.recorded);
    const std::uint64_t expected = threads * kBatches * kBatch * kStride;
    if (stats.recorded != expected || stats.aggregated != expected) state.SkipWithError("records are missing");
  }
}

/// flush() from a thread that does so every millisecond, while others record without pause.
void flush_while_recording(benchmark::State& state) {
  constexpr std::size_t kSeries = 16;
  MetricsCollector collector;
  std::vector<Summary> summaries;
  for (std::size_t i = 0; i < kSeries; ++i) summaries.push_back(collector.summary("request.size", {{"route", std::to_string(i)}}));
  std::atomic<bool> over{false};
  std::atomic<std::uint64_t> recorded{0};
  std::vector<double> nanoseconds;
  double preempted = 0;
  {
    std::vector<std::jthread> recorders;
    for (std::int64_t i = 0; i < state.range(0); ++i) {
      recorders.emplace_back([&] {
        std::size_t count = 0;
        while (!over.load(std::memory_order_relaxed)) {
          for (std::size_t k = 0; k < kValues; ++k, ++count) summaries[count % kSeries].record(kSomeValues[k]);
        }
        recorded += count;
      });
    }
    for (auto _ : state) {
      for (bool whole = false; !whole;) {
        std::this_thread::sleep_for(std::chrono::milliseconds{1});
        const long preemptions = preemptions_of_this_thread();
        const auto start = std::chrono::steady_clock::now();
        collector.flush();
        const double seconds = seconds_since(start);
        whole = preemptions_of_this_thread() == preemptions;
        if (!whole) {
          ++preempted;
          continue;
        }
        nanoseconds.push_back(seconds * 1e9);
        state.SetIterationTime(seconds);
      }
    }
    over = true;
  }
  std::sort(nanoseconds.begin(), nanoseconds.end());
  state.counters["p50"] = nanoseconds[nanoseconds.size() / 2];
  state.counters["ns"] = state.counters["p95"] = nanoseconds[nanoseconds.size() * 95 / 100];
  state.counters["max"] = nanoseconds.back();
  state.counters["preempted"] = preempted / (preempted + static_cast<double>(nanoseconds.size()));
  const CollectorStats stats = collector.flush()->stats();
  if (stats.recorded != recorded || stats.aggregated != recorded) state.SkipWithError("records are missing");
}

}  // namespace

void add_latency_benches() {
  const auto add_worst_call = [](const char* name, auto bind, std::size_t series) {
    benchmark::RegisterBenchmark(name, [=](benchmark::State& state) { record_worst_call(state, bind, series); })
        ->ArgNames({"threads", "chunks"})
        ->ArgsProduct({{2}, {4, 257}})
        ->UseManualTime()
        ->Iterations(1);
  };
  add_worst_call("record_worst_call", &MetricsCollector::summary, 1);
  add_worst_call("record_worst_call_distributed", &MetricsCollector::histogram, 16);
  benchmark::RegisterBenchmark("flush_while_recording", flush_while_recording)
      ->ArgName("threads")
      ->Arg(16)
      ->UseManualTime()
      ->Iterations(300);
}

}  // namespace pepper::bench
