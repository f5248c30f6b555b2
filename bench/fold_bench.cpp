// The fold's kernel by itself: records that were just written, in the first cache, into cells that all have been touched.

#include "benches.hpp"
#include "bursts.hpp"

#include "bucket_counter.hpp"
#include "chunk.hpp"
#include "fold.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <random>
#include <vector>

namespace pepper::bench {
namespace {

/// Chunks folded between two refills: 32 KiB.
constexpr std::size_t kChunks = 8;

/// Chunks full of records of random series, drawn anew by refill().
class FullChunks {
 public:
  explicit FullChunks(std::uint32_t series) : pick_(0, series - 1) {}
  void refill() {
    for (std::size_t c = 0; c < kChunks; ++c) {
      for (std::size_t i = 0; i < detail::kChunkRecords; ++i) {
        const double value = kSomeValues[(c * detail::kChunkRecords + i) % kValues];
        chunks_[c].records[i].write(detail::make_head(pick_(random_), detail::kExtraPlain), value);
      }
    }
  }
  [[nodiscard]] const detail::Record* records(std::size_t chunk) const { return chunks_[chunk].records; }

 private:
  std::unique_ptr<detail::Chunk[]> chunks_{new detail::Chunk[kChunks]};
  std::minstd_rand random_{1};
  std::uniform_int_distribution<std::uint32_t> pick_;
};

/// Times `fold_chunk(records)` over refilled chunks; `aggregated()` says at the end how many records it holds.
template <class FoldChunk, class Aggregated>
void time_folds(benchmark::State& state, FoldChunk fold_chunk, Aggregated aggregated) {
  FullChunks chunks(static_cast<std::uint32_t>(state.range(0)));
  double total = 0;
  for (auto _ : state) {
    chunks.refill();
    const auto start = std::chrono::steady_clock::now();
    for (std::size_t c = 0; c < kChunks; ++c) {
      fold_chunk(chunks.records(c));
      barrier();
    }
    const double seconds = seconds_since(start);
    state.SetIterationTime(seconds);
    total += seconds;
  }
  const auto records = static_cast<std::uint64_t>(state.iterations()) * kChunks * detail::kChunkRecords;
  state.counters["ns"] = total * 1e9 / static_cast<double>(records);
  if (aggregated() != records) state.SkipWithError("records are missing");
}

/// pepper's: compensated, and checked where the drainer folds what any thread sent.
template <bool kChecked>
void fold(benchmark::State& state) {
  const auto series = static_cast<std::uint32_t>(state.range(0));
  std::vector<detail::Cell> cells(series);
  constexpr std::uint32_t kStamp = 1;
  for (detail::Cell& cell : cells) {
    cell.clear();
    cell.stamp = kStamp;
  }
  const std::vector<std::atomic<Kind>> kinds(series);
  const detail::FoldTable table{
      .cells = cells.data(), .base = 0, .capacity = series, .stamp = kStamp, .seconds_per_tick = 1e-9, .kinds = kinds.data()};
  detail::Tally tally;
  const auto refuse = [](std::uint32_t, detail::Cell&) { return false; };
  time_folds(
      state, [&](const detail::Record* records) { detail::fold<kChecked>(records, detail::kChunkRecords, table, tally, refuse); },
      [&] {
        std::uint64_t count = 0;
        for (const detail::Cell& cell : cells) count += cell.count;
        return count;
      });
}

/// The flusher's, each series with a distribution at 1 %.
void fold_distributed(benchmark::State& state) {
  const auto series = static_cast<std::uint32_t>(state.range(0));
  std::vector<detail::Cell> cells(series);
  constexpr std::uint32_t kStamp = 1;
  for (detail::Cell& cell : cells) {
    cell.clear();
    cell.stamp = kStamp;
  }
  detail::SeriesRange range(series);
  range.set(0, series);
  for (std::uint32_t i = 0; i < series; ++i) range.set_scale(i, detail::scale_code(detail::scale_for_error(0.01)));
  const detail::FoldTable table = range.table(cells.data(), kStamp, 1e-9);
  detail::Tally tally;
  detail::Budget budget;
  budget.set_limit(std::size_t{4} << 30);
  detail::BucketLease lease(budget);
  detail::BucketCounter counter(range, lease);
  const auto refuse = [](std::uint32_t, detail::Cell&) { return false; };
  // The range of values is known, as it is after a while.
  const auto [least, most] = std::ranges::minmax(kSomeValues);
  for (std::uint32_t i = 0; i < series; ++i) {
    const detail::Record both[] = {{detail::make_head(i, detail::kExtraPlain), least}, {detail::make_head(i, detail::kExtraPlain), most}};
    counter.count(both, 2, table);
  }
  time_folds(
      state,
      [&](const detail::Record* records) {
        detail::fold<true>(records, detail::kChunkRecords, table, tally, refuse);
        counter.count(records, detail::kChunkRecords, table);
      },
      [&] {
        counter.settle();
        std::uint64_t count = 0;
        for (std::uint32_t i = 0; i < series; ++i) count += counter.buckets(i).get() == nullptr ? 0 : counter.buckets(i).get()->total();
        return count - 2 * std::uint64_t{series};
      });
}

/// The least a fold can do: count, sum, min, max and last, by a plain loop that trusts its records.
void fold_plainly(benchmark::State& state) {
  struct alignas(64) Aggregate {
    std::uint64_t count = 0;
    double sum = 0, min = 1e300, max = -1e300, last = 0;
  };
  std::vector<Aggregate> aggregates(static_cast<std::size_t>(state.range(0)));
  time_folds(
      state,
      [&](const detail::Record* records) {
        for (std::size_t i = 0; i < detail::kChunkRecords; ++i) {
          const double value = records[i].value;
          Aggregate& aggregate = aggregates[detail::id_of(records[i].head)];
          ++aggregate.count;
          aggregate.sum += value;
          if (value < aggregate.min) aggregate.min = value;
          if (value > aggregate.max) aggregate.max = value;
          aggregate.last = value;
        }
      },
      [&] {
        std::uint64_t count = 0;
        for (const Aggregate& aggregate : aggregates) count += aggregate.count;
        return count;
      });
}

}  // namespace

void add_fold_benches() {
  const auto add = [](const char* name, void (*run)(benchmark::State&)) {
    benchmark::RegisterBenchmark(name, run)->ArgName("series")->Arg(1)->Arg(16)->Arg(1'024)->Arg(65'536)->UseManualTime();
  };
  add("fold_checked", fold<true>);
  add("fold_unchecked", fold<false>);
  add("fold_distributed", fold_distributed);
  add("fold_plainly", fold_plainly);
}

}  // namespace pepper::bench
