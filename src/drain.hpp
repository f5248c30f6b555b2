#pragma once

#include "bucket_counter.hpp"
#include "cell.hpp"
#include "chunk.hpp"
#include "fold.hpp"
#include "place.hpp"
#include "record_tap.hpp"
#include "tally.hpp"
#include "thread_block.hpp"

#include <cstdint>
#include <span>
#include <unordered_map>
#include <vector>

namespace pepper::detail {

/// Counts of the way so far. `recorded` is read off the threads' cursors, `aggregated` counted by the folds: neither is made from the
/// other.
struct Ledger {
  std::uint64_t recorded = 0, aggregated = 0, pending = 0, dropped = 0, spilled = 0;
  Tally tally;
};

/// Takes records from threads and folds them into the aggregates, which it alone owns. Every member under the collector's drain mutex.
///
/// A look has a mark and a drain. The mark: each thread's open chunk and overload set is claimed, as it stands. Then each thread's queued
/// chunks are taken up to the one it was in at its mark, so that all that was recorded before the look is in it, and the look ends however
/// fast records arrive. Per thread the queued chunks are folded first, then the set, then the open part: the order in which they were
/// recorded, so that `last` is the last.
class Drain {
 public:
  /// Gives copies of what it folds to the tap, while that is on.
  Drain(Place& place, RecordTap& tap);
  Drain(const Drain&) = delete;
  Drain& operator=(const Drain&) = delete;
  /// Drains what was recorded before the call. Throws std::bad_alloc before it took anything.
  void look();
  /// In a child: nothing was ever found. After the place was started over.
  void start_over() noexcept;
  /// From now on what is found is nobody's; or somebody's again. Between the two, looks discard.
  void set_discarding(bool is_discarding) noexcept { is_discarding_ = is_discarding; }

  /// Its min and max are those of extremes().
  [[nodiscard]] const Cell& cell(std::uint32_t index) const noexcept { return cells_[index]; }
  struct Extremes {
    double min, max;
  };
  [[nodiscard]] Extremes extremes(std::uint32_t index) const noexcept;
  /// Values that the series' check refused or clamped.
  [[nodiscard]] std::uint64_t violations(std::uint32_t index) const noexcept { return tally_.violations() == 0 ? 0 : violations_[index]; }
  /// As of buckets().settle().
  [[nodiscard]] BucketCounter& buckets() noexcept { return buckets_; }
  /// Series whose cell has changed since the last forget_changed().
  [[nodiscard]] std::span<const std::uint32_t> changed() const noexcept { return {changed_, changed_count_}; }
  void forget_changed() noexcept;
  [[nodiscard]] Ledger ledger() const noexcept;
  [[nodiscard]] std::uint64_t aggregated() const noexcept { return aggregated_; }

  /// How full the last look found things: chunks that were queued, and records that threads had folded themselves.
  [[nodiscard]] std::size_t chunks_seen() const noexcept { return chunks_seen_; }
  [[nodiscard]] std::uint64_t spilled() const noexcept { return spilled_; }

 private:
  struct Open {
    ThreadBlock* block;
    ThreadBlock::Claim claim;
    Chunk* copy;
  };

  void make_ready(const ThreadBlock* first);
  [[nodiscard]] ThreadBlock* mark(bool always_exchange);
  void drain_queue(ThreadBlock* first);
  void take_chunk(Chunk* chunk, const Record* next) noexcept;
  void take_set(const Open& open) noexcept;
  void take_signals() noexcept;
  void take_records(const ThreadBlock& owner, const Record* records, std::size_t count, const Record* next) noexcept;
  void recycle_left();
  [[nodiscard]] bool touch(std::uint32_t index, Cell& cell) noexcept;
  void merge(std::uint32_t index, const Cell& from) noexcept;
  void keep_to_check(std::uint32_t index, Cell& cell) noexcept;

  Place& place_;
  RecordTap& tap_;
  const std::uint32_t capacity_;
  const Pages cell_pages_, changed_pages_, violations_pages_;
  Cell* const cells_;
  std::uint32_t* const changed_;
  std::uint64_t* const violations_;                            ///< by series; only where there are checks
  std::unordered_map<std::uint32_t, Extremes> out_of_bounds_;  ///< of values that nobody checked, by series
  BucketCounter buckets_;
  std::uint32_t changed_count_ = 0;
  std::uint32_t stamp_ = 1;
  std::vector<Pages> copies_;  ///< room for what claims copy, a page each; in the price of a block
  std::vector<Open> open_;
  std::vector<Chunk*> later_;  ///< which their thread was in as it was marked in this look, or later ones
  std::vector<Chunk*>& left_;  ///< the place's: emptied, but their owner's cursor may still stand in them
  bool is_discarding_ = false;
  std::uint64_t aggregated_ = 0, spilled_ = 0, discarded_ = 0;
  std::size_t chunks_seen_ = 0;
  Tally tally_;
};

}  // namespace pepper::detail
