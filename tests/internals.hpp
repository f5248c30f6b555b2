#pragma once

#include "bucket_table.hpp"
#include "chunk.hpp"
#include "chunk_queue.hpp"
#include "fold.hpp"
#include "mapping.hpp"
#include "sanitizers.hpp"
#include "thread_block.hpp"

#include <doctest/doctest.h>

#include <array>
#include <bit>
#include <cstdint>
#include <cstdlib>
#include <random>
#include <string>
#include <vector>

/// What tests of internals share.
namespace internals {

using namespace pepper;
using namespace pepper::detail;

/// Memory errors and races are looked for at a tenth of the speed: do less of it.
inline constexpr bool kIsSanitized = sanitizers::kIsAsan || sanitizers::kIsTsan;

/// Another one for each run; PEPPER_SEED repeats one. Say it in an INFO.
inline std::uint64_t new_seed() {
  if (const char* const given = std::getenv("PEPPER_SEED")) return std::strtoull(given, nullptr, 10);
  std::random_device device;
  return std::uint64_t{device()} << 32 | device();
}

/// Of one series, or of all. Integers below 2^53 add up exactly.
struct Sum {
  std::uint64_t count = 0;
  double sum = 0;
  void add(double value) noexcept {
    ++count;
    sum += value;
  }
  friend bool operator==(const Sum&, const Sum&) = default;
};
inline doctest::String to_string(const Sum& of) { return doctest::toString(of.count) + " records, sum " + doctest::toString(of.sum); }
inline doctest::String toString(const Sum& of) { return to_string(of); }

/// A recording thread and its drainer, both driven by the test's own thread, one step after another. Allocates nothing after its
/// constructor.
class Driver {
 public:
  static constexpr std::uint32_t kSeries = 8, kBase = 100;
  static constexpr std::uint32_t kDistributed = 3;  ///< the one series with a distribution
  static constexpr int kScale = 0;
  static constexpr std::uint32_t kChecked = 1;  ///< refuses what is above kMost; the one with a distribution clamps it
  static constexpr double kMost = 500;
  static constexpr std::size_t kChunks = 4;

  Driver() {
    budget.set_limit(std::size_t{64} << 20);
    series.set(kBase, kSeries);
    series.set_scale(kDistributed, scale_code(kScale));
    series.checks().set(kChecked, ValueCheck::range(0, kMost));
    series.checks().set(kDistributed, ValueCheck::range(0, kMost).clamped());
    REQUIRE(block.reserve(kSeries, budget));
    auto* const chunks = static_cast<Chunk*>(map_pages(kChunks * sizeof(Chunk)));
    REQUIRE(chunks != nullptr);
    for (std::size_t i = 1; i < kChunks; ++i) free_[free_count_++] = &chunks[i];
    block.open(chunks);
  }

  // The owner's steps.
  [[nodiscard]] bool is_full() const noexcept { return cursor.load() % kChunkBytes == 0; }
  void record(std::uint32_t index, double value) noexcept {
    reinterpret_cast<Record*>(cursor.load())->write(make_head(kBase + index, kExtraPlain), value);
    cursor.store(cursor.load() + sizeof(Record));
    recorded.add(index, value);
    ++records;
  }
  /// So that the open chunk has that many, or is full. Few are of a distribution, so that each stage of a fold is worth a good part of its
  /// steps.
  void record_up_to(std::uint32_t filled) noexcept {
    while (!is_full() && Chunk::filled(cursor.load()) < filled + ThreadBlock::Epoch::begin(Chunk::of(cursor.load())->epoch.load()))
      record(records % 16 == 5 ? kDistributed : records % 3, static_cast<double>(records % 1000 + 1));
  }
  void seal() noexcept { is_sealed = free_count_ != 0 && block.seal_into(free_[--free_count_], sealed); }
  void fold_own() noexcept { block.fold_own(series); }
  void lose_own() noexcept { block.lose_own(Found::overflow); }

  // The drainer's.
  ThreadBlock::Claim claim() noexcept {
    const ThreadBlock::Claim claim = block.claim(copy_.records);
    for (std::uint32_t i = 0; i < claim.records; ++i) take(copy_.records[i]);
    if (claim.how != ThreadBlock::Claim::How::no_set) {
      const Tally& tally = block.visit(claim, [this](std::uint32_t index, const Cell& cell, std::uint64_t violations) {
        taken.series[index].count += cell.count;
        taken.series[index].sum += cell.total();
        taken.violations[index] += violations;
      });
      lost += tally[Found::overflow];
      block.visit_buckets(claim, [this](const BucketTable::Page& page) {
        for (std::uint32_t i = 0; i < kBucketsPerPage; ++i) {  // few instructions, as tests stop at each
          if (page.counts[i] != 0) taken.add_to_bucket(PageKey::first_index(page.key) + static_cast<int>(i), page.counts[i]);
        }
      });
    }
    block.finish(claim);
    has_seen[static_cast<std::size_t>(claim.how)] = true;
    return claim;
  }
  /// Takes what the queue holds; recycles what the owner has left.
  void drain() noexcept {
    while (Chunk* const chunk = block.pop_sealed(sealed)) {
      const std::uint64_t epoch = chunk->epoch.load();
      for (std::uint32_t i = block.taken_of(epoch); i < kChunkRecords; ++i) take(chunk->records[i]);
      if (epoch >= block.claimed_epoch()) block.note_taken(epoch, kChunkRecords);
      left_[left_count_++] = chunk;
    }
    std::size_t kept = 0;
    for (std::size_t i = 0; i < left_count_; ++i) {
      if (block.has_left(left_[i]->epoch.load())) {
        free_[free_count_++] = left_[i];
      } else {
        left_[kept++] = left_[i];
      }
    }
    left_count_ = kept;
  }
  void look() noexcept {
    (void)claim();
    drain();
  }

  [[nodiscard]] Sum all_taken() const noexcept {
    Sum all;
    for (const Sum& of : taken.series) all = {all.count + of.count, all.sum + of.sum};
    return all;
  }

  Budget budget;
  SeriesRange series{kSeries};
  Cursor cursor{0};
  ChunkQueue sealed;
  ThreadBlock block{cursor, sealed.make_producer(kChunks), kChunks};
  /// By series, and by bucket for the one that has them.
  struct Counts {
    std::array<Sum, kSeries> series{};
    std::array<std::uint64_t, kSeries> violations{};
    std::array<std::uint64_t, 12> buckets{};
    void add(std::uint32_t index, double value) noexcept {
      if (value > kMost && (index == kChecked || index == kDistributed)) {
        ++violations[index];
        if (index == kChecked) return;
        value = kMost;
      }
      series[index].add(value);
      if (index == kDistributed) add_to_bucket(bucket_index_slow(std::bit_cast<std::uint64_t>(value), kScale), 1);
    }
    void add_to_bucket(int index, std::uint64_t count) noexcept {
      buckets[static_cast<std::size_t>(index + 1)] += count;  // values are from 1 to 1000
    }
    [[nodiscard]] const Sum& operator[](std::size_t index) const noexcept { return series[index]; }
    friend bool operator==(const Counts&, const Counts&) = default;
    friend doctest::String toString(const Counts&) { return "counts"; }
  };
  Counts recorded, taken;
  std::uint64_t records = 0, lost = 0;
  bool is_sealed = false;
  std::array<bool, 4> has_seen{};  ///< by Claim::How

 private:
  void take(const Record& record) noexcept { taken.add(id_of(record.head) - kBase, record.value); }

  Chunk copy_;
  Chunk* free_[kChunks] = {};
  Chunk* left_[kChunks] = {};
  std::size_t free_count_ = 0, left_count_ = 0;
};

}  // namespace internals
