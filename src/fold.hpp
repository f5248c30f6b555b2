#pragma once

#include <pepper/config.hpp>
#include <pepper/detail/record.hpp>

#include "cell.hpp"
#include "tally.hpp"

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace pepper::detail {

/// A series id: three bits of kind above 29 bits of number. A collector's numbers are dense from its base; the place goes on counting.
inline constexpr std::uint32_t kNumberBits = 29;
inline constexpr std::uint32_t kNumberMask = (1u << kNumberBits) - 1;
[[nodiscard]] constexpr Kind kind_of(std::uint64_t head) noexcept { return static_cast<Kind>(id_of(head) >> kNumberBits); }

/// Where a fold puts what it finds.
struct FoldTable {
  Cell* cells;
  std::uint32_t base;      ///< number of the first series
  std::uint32_t capacity;  ///< numbers from base on that have a cell
  std::uint32_t stamp;     ///< of this pass
  double seconds_per_tick;

  [[nodiscard]] std::uint32_t index_of(std::uint64_t head) const noexcept { return (id_of(head) & kNumberMask) - base; }
};

/// The numbers a collector's series have; read by recording threads.
class SeriesRange {
 public:
  void set(std::uint32_t base, std::uint32_t capacity) noexcept {
    base_.store(base, std::memory_order_relaxed);          // [relaxed: published by the exchange of each block's word that follows]
    capacity_.store(capacity, std::memory_order_relaxed);  // [relaxed: published by the exchange of each block's word that follows]
  }
  [[nodiscard]] std::uint32_t base() const noexcept { return base_.load(std::memory_order_relaxed); }          // [relaxed: as in set()]
  [[nodiscard]] std::uint32_t capacity() const noexcept { return capacity_.load(std::memory_order_relaxed); }  // [relaxed: as in set()]

 private:
  std::atomic<std::uint32_t> base_{0}, capacity_{0};
};

/// Adds one value to a cell that is not empty; false: it is not a value this series takes, and is in the tally.
[[gnu::always_inline]] inline bool fold_value(Cell& cell, std::uint64_t head, double value, Tally& tally) noexcept {
  if (!(value >= cell.min))
      [[unlikely]] {  // one test for a new minimum, the first value and NaN; a counter's negative value is a new minimum too
    if (value != value) return ++tally[Found::nan], false;
    if (value < 0 && kind_of(head) == Kind::counter) return ++tally[Found::negative], false;
    cell.min = value;
  }
  if (value > cell.max) cell.max = value;
  cell.delta += value;
  if ((++cell.count & (Cell::kDeltaTerms - 1)) == 0) cell.settle();
  return true;
}

/// The records that say more than their value: gauges, and timers in ticks.
[[gnu::noinline]] inline bool fold_extra(Cell& cell, std::uint64_t head, double value, const FoldTable& table, Tally& tally) noexcept {
  const std::uint32_t extra = extra_of(head);
  if (extra == kExtraTicks) {
    if (value < 0) {
      ++tally[Found::clock_step];
      value = 0;
    }
    value *= table.seconds_per_tick;
    if (!fold_value(cell, head, value, tally)) return false;
    cell.last = value;
    return true;
  }
  if (!fold_value(cell, head, value, tally)) return false;
  if (kind_of(head) != Kind::gauge) {
    cell.last = value;  // a gauge's handle on a series that is no gauge: the first bind won
  } else if (Cell::is_newer(extra, cell.ticket)) {
    cell.last = value;
    cell.ticket = extra;
  }
  return true;
}

inline constexpr std::size_t kRunStep = 8;

/// How many records from here on, in steps of eight, have the head of the first. One compare where there is no run.
[[gnu::always_inline]] inline std::size_t run_length(const Record* records, std::size_t count) noexcept {
  const auto head = [&](std::size_t i) { return records[i].head.load(std::memory_order_relaxed); };  // [relaxed: ours by the hand-over]
  std::size_t length = 0;
  while (length + kRunStep <= count && head(length + kRunStep - 1) == head(0)) {
    std::uint64_t differ = 0;
    for (std::size_t i = 0; i < kRunStep; ++i) differ |= head(length + i) ^ head(0);
    if (differ != 0) break;
    length += kRunStep;
  }
  return length;
}

/// Folds a run of one series in four lanes, as one lane waits for its own sum. At most 255 values, so at most 64 to a lane. False: a value
/// among them needs a look of its own, nothing was folded.
inline bool fold_run(Cell& cell, const Record* records, std::size_t length) noexcept {
  constexpr std::size_t kLanes = 4;
  double sum[kLanes] = {}, min[kLanes], max[kLanes];
  for (std::size_t lane = 0; lane < kLanes; ++lane) {
    min[lane] = std::numeric_limits<double>::infinity();
    max[lane] = -min[lane];
  }
  for (std::size_t i = 0; i < length; i += kLanes) {
    for (std::size_t lane = 0; lane < kLanes; ++lane) {
      const double value = records[i + lane].value.load(std::memory_order_relaxed);  // [relaxed: ours by the hand-over]
      sum[lane] += value;
      min[lane] = value < min[lane] ? value : min[lane];
      max[lane] = value > max[lane] ? value : max[lane];
    }
  }
  const auto least = [](double a, double b) { return a < b ? a : b; };
  const auto greatest = [](double a, double b) { return a > b ? a : b; };
  const double total = (sum[0] + sum[1]) + (sum[2] + sum[3]);
  const double low = least(least(min[0], min[1]), least(min[2], min[3]));
  const double high = greatest(greatest(max[0], max[1]), greatest(max[2], max[3]));
  if (total != total) return false;  // a NaN, or infinities of both signs
  if (low < 0 && kind_of(records[0].head.load(std::memory_order_relaxed)) == Kind::counter)
    return false;  // [relaxed: ours by the hand-over]
  cell.settle();
  cell.add_to_sum(total);
  cell.count += length;
  if (low < cell.min) cell.min = low;
  if (high > cell.max) cell.max = high;
  cell.last = records[length - 1].value.load(std::memory_order_relaxed);  // [relaxed: ours by the hand-over]
  return true;
}

/// Folds records that no thread writes to any more into a table that this thread owns, and returns how many are now in a series' count; the
/// others are in the tally. kChecked: ids may be foreign, cells untouched in this pass (`touch(index, cell)` is asked, and refuses by
/// false), records may carry more than a value. Not kChecked: somebody looked already. `next`: what will be folded after this, fetched
/// ahead; may be null.
template <bool kChecked, class Touch>
std::uint64_t fold(const Record* records, std::size_t count, const FoldTable& table, Tally& tally, Touch&& touch,
                   const Record* next = nullptr) noexcept {
  std::uint64_t folded = 0;
  const auto cell_for = [&](std::uint64_t head) -> Cell* {
    const std::uint32_t index = table.index_of(head);
    if constexpr (kChecked) {
      if (index >= table.capacity) [[unlikely]]
        return ++tally[Found::foreign], nullptr;
      Cell& cell = table.cells[index];
      if (cell.stamp != table.stamp && !touch(index, cell)) [[unlikely]]
        return ++tally[Found::memory], nullptr;
    }
    return &table.cells[index];
  };
  const auto fold_one = [&](const Record& record) {
    const std::uint64_t head = record.head.load(std::memory_order_relaxed);  // [relaxed: ours by the hand-over]
    const double value = record.value.load(std::memory_order_relaxed);       // [relaxed: ours by the hand-over]
    Cell* const cell = cell_for(head);
    if (cell == nullptr) return;
    if constexpr (kChecked) {
      if (extra_of(head) != kExtraPlain) {
        folded += fold_extra(*cell, head, value, table, tally);
        return;
      }
    }
    if (!fold_value(*cell, head, value, tally)) return;
    cell->last = value;
    ++folded;
  };

  std::size_t i = 0;
  while (i + kRunStep <= count) {
    if (next != nullptr) {
      __builtin_prefetch(next + i);
      __builtin_prefetch(next + i + kRunStep / 2);
    }
    const std::uint64_t head = records[i].head.load(std::memory_order_relaxed);  // [relaxed: ours by the hand-over]
    const std::size_t length = extra_of(head) == kExtraPlain ? run_length(records + i, count - i) : 0;
    if (length != 0) {
      Cell* const cell = cell_for(head);
      if (cell != nullptr && fold_run(*cell, records + i, length)) {
        folded += length;
        i += length;
        continue;
      }
      if (cell == nullptr) {  // the first one is in the tally already
        for (std::size_t j = 1; j < length; ++j) fold_one(records[i + j]);
        i += length;
        continue;
      }
    }
    const std::size_t end = i + (length != 0 ? length : kRunStep);
    for (; i < end; ++i) fold_one(records[i]);
  }
  for (; i < count; ++i) fold_one(records[i]);
  return folded;
}

}  // namespace pepper::detail
