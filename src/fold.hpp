#pragma once

#include <pepper/config.hpp>
#include <pepper/detail/record.hpp>

#include "bucket_table.hpp"
#include "cell.hpp"
#include "clock.hpp"
#include "tally.hpp"
#include "value_checks.hpp"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <limits>

namespace pepper::detail {

struct BucketLimits;

/// Where a fold puts what it finds.
struct FoldTable {
  Cell* cells;
  std::uint32_t base;      ///< number of the first series
  std::uint32_t capacity;  ///< numbers from base on that have a cell
  std::uint32_t stamp;     ///< of this pass
  double seconds_per_tick;
  const std::atomic<Kind>* kinds;                  ///< by index
  const std::atomic<ScaleCode>* scales = nullptr;  ///< by index; null: none has a distribution
  const ValueChecks* checks = nullptr;             ///< null: every series takes every value
  std::uint64_t* violations = nullptr;             ///< by index; beside the cells, where there are checks

  /// What a timer recorded; a clock that went backwards: 0. In manual time, when seconds_per_tick is negative, whole nanoseconds, as users'
  /// tests compare with what they advanced it by.
  [[nodiscard]] double seconds(double ticks) const noexcept {
    if (ticks < 0) return 0;
    if (seconds_per_tick < 0) [[unlikely]]
      return whole_nanoseconds(ticks * -seconds_per_tick);
    return ticks * seconds_per_tick;
  }
  [[nodiscard]] std::uint32_t index_of(std::uint64_t head) const noexcept { return id_of(head) - base; }
  [[nodiscard]] Kind kind_of(std::uint64_t head) const noexcept {
    return kinds[index_of(head)].load(
        std::memory_order_relaxed);  // [relaxed: set before a handle could record; an upgrade may be a little late]
  }
  /// Where there are checks: all values between these, as they are.
  [[nodiscard, gnu::noinline]] bool takes(std::uint64_t head, double least, double most) const noexcept {
    return checks->judged(index_of(head), least) == least && checks->judged(index_of(head), most) == most;
  }
  /// Of an index below the capacity.
  [[nodiscard]] ScaleCode scale_of(std::uint32_t index) const noexcept {
    return scales[index].load(std::memory_order_relaxed);  // [relaxed: as in kind_of(); a lower scale may be a little late]
  }
};

/// The numbers a collector's series have, dense from a base, and what kind each is. Read by recording threads; a place goes on counting.
class SeriesRange {
 public:
  /// Room for so many series of any collector. Throws std::bad_alloc.
  explicit SeriesRange(std::uint32_t room);

  /// For another collector.
  void set(std::uint32_t base, std::uint32_t capacity) noexcept {
    checks_.start_over();
    has_scales_.store(false, std::memory_order_relaxed);   // [relaxed: as what follows]
    base_.store(base, std::memory_order_relaxed);          // [relaxed: published by the exchange of each block's word that follows]
    capacity_.store(capacity, std::memory_order_relaxed);  // [relaxed: published by the exchange of each block's word that follows]
  }
  void set_kind(std::uint32_t index, Kind kind) noexcept {
    kinds_[index].store(kind, std::memory_order_relaxed);  // [relaxed: a handle that reaches another thread brings it along]
  }
  /// Of a series that is new, before its number is known. Null: it has no limits of its own.
  void set_limits(std::uint32_t index, const BucketLimits* limits) noexcept {
    // Written only where it changes, as it is memory that few series need.
    if (limits_of(index) != limits)
      limits_[index].store(limits, std::memory_order_release);  // [limits:release] pairs with [limits:acquire] below
  }
  [[nodiscard]] const BucketLimits* limits_of(std::uint32_t index) const noexcept {
    return limits_[index].load(std::memory_order_acquire);  // [limits:acquire] pairs with [limits:release] in set_limits()
  }
  /// 0: it has no distribution.
  void set_scale(std::uint32_t index, ScaleCode code) noexcept {
    scales_[index].store(code, std::memory_order_relaxed);              // [relaxed: as in set_kind()]
    if (code != 0) has_scales_.store(true, std::memory_order_relaxed);  // [relaxed: as in set_kind()]
  }
  [[nodiscard]] ScaleCode scale_of(std::uint32_t index) const noexcept {
    return scales_[index].load(std::memory_order_relaxed);  // [relaxed: as in set_kind()]
  }

  [[nodiscard]] ValueChecks& checks() noexcept { return checks_; }

  [[nodiscard]] std::uint32_t room() const noexcept { return room_; }
  [[nodiscard]] std::uint32_t base() const noexcept { return base_.load(std::memory_order_relaxed); }          // [relaxed: as in set()]
  [[nodiscard]] std::uint32_t capacity() const noexcept { return capacity_.load(std::memory_order_relaxed); }  // [relaxed: as in set()]
  /// For one pass over records, into `cells`.
  [[nodiscard]] FoldTable table(Cell* cells, std::uint32_t stamp, double seconds_per_tick = fold_seconds_per_tick()) const noexcept {
    const bool has_scales = has_scales_.load(std::memory_order_relaxed);  // [relaxed: as in set_kind()]
    return {cells, base(), capacity(), stamp, seconds_per_tick, kinds_, has_scales ? scales_ : nullptr, checks_.if_any()};
  }

 private:
  const std::uint32_t room_;
  std::atomic<Kind>* const kinds_;        ///< mapped for good, as a place is
  std::atomic<ScaleCode>* const scales_;  ///< behind them
  std::atomic<const BucketLimits*>* const limits_;
  ValueChecks checks_;
  std::atomic<bool> has_scales_{false};  ///< any series of this collector ever had a distribution
  std::atomic<std::uint32_t> base_{0}, capacity_{0};
};

/// What the series takes of a value, minimum and maximum included; NaN: nothing, and the tally has it.
[[nodiscard]] inline double fold_extremes(Cell& cell, std::uint64_t head, double value, const FoldTable& table, Tally& tally) noexcept {
  if (value != value) return ++tally[Found::nan], value;
  if (table.checks != nullptr) {
    const std::uint32_t index = table.index_of(head);
    const double taken = table.checks->judged(index, value);
    if (taken != value) {
      ++table.violations[index];
      ++tally[taken == taken ? Found::clamped : Found::invalid];
      value = taken;
    }
  }
  if (value < 0 && table.kind_of(head) == Kind::counter) return ++tally[Found::negative], std::numeric_limits<double>::quiet_NaN();
  if (value < cell.min) cell.min = value;
  if (value > cell.max) cell.max = value;
  return value;
}

/// Any record of a cell that is not empty: those that say more than their value (gauges, and timers in ticks), and what fold_plain() left.
/// False: it is not a value this series takes, and the tally has it.
[[gnu::noinline]] inline bool fold_any(Cell& cell, std::uint64_t head, double value, const FoldTable& table, Tally& tally) noexcept {
  const std::uint32_t extra = extra_of(head);
  if (extra == kExtraTicks) {
    if (value < 0) ++tally[Found::clock_step];
    value = table.seconds(value);
  }
  value = fold_extremes(cell, head, value, table, tally);
  if (value != value) return false;
  cell.add(value);
  if (extra <= kExtraTicks || table.kind_of(head) != Kind::gauge) {
    cell.last = value;  // also where a gauge's handle is on a series that is no gauge: the first bind won
  } else if (Cell::is_newer(extra, cell.ticket)) {
    cell.last = value;
    cell.ticket = extra;
  }
  return true;
}

/// The records that say no more than their value, if that is within the extremes: a value that the series might not take is not. NaN, a
/// counter's negative value, one that a check minds: none was let in before (see Drain::keep_to_check()). So all others pay nothing for it.
[[gnu::always_inline]] inline bool fold_plain(Cell& cell, double value, const FoldTable& table) noexcept {
  if (!(value >= cell.min)) [[unlikely]]
    return false;
  if (value > cell.max) {
    if (table.checks != nullptr) [[unlikely]]
      return false;
    cell.max = value;
  }
  cell.add(value);
  cell.last = value;
  return true;
}

inline constexpr std::size_t kRunStep = 8;

/// How many records from here on, in steps of eight, have the head of the first. One compare where there is no run.
[[gnu::always_inline]] inline std::size_t run_length(const Record* records, std::size_t count) noexcept {
  const std::uint64_t head = records[0].head;
  std::size_t length = 0;
  while (length + kRunStep <= count && records[length + kRunStep - 1].head == head) {
    std::uint64_t differ = 0;
#pragma GCC unroll 8
    for (std::size_t i = 0; i < kRunStep; ++i) differ |= records[length + i].head ^ head;
    if (differ != 0) break;
    length += kRunStep;
  }
  return length;
}

/// Folds a run of one series in four lanes, as one lane would wait for its own sum. At most 255 values, so at most 64 to a lane. False: a
/// value among them needs a look of its own, nothing was folded.
inline bool fold_run(Cell& cell, const Record* records, std::size_t length, const FoldTable& table) noexcept {
  struct Lane {
    double sum = 0, min = std::numeric_limits<double>::infinity(), max = -min;
    [[gnu::always_inline]] void add(double value) noexcept {
      sum += value;
      min = value < min ? value : min;
      max = value > max ? value : max;
    }
    [[gnu::always_inline]] void add(const Lane& other) noexcept {
      sum += other.sum;
      min = other.min < min ? other.min : min;
      max = other.max > max ? other.max : max;
    }
  };
  Lane a, b, c, d;  // four names and not an array: g++ keeps these in registers
  for (const Record *at = records, *end = records + length; at != end; at += 4) {
    a.add(at[0].value);
    b.add(at[1].value);
    c.add(at[2].value);
    d.add(at[3].value);
  }
  a.add(b);
  c.add(d);
  a.add(c);
  if (a.sum != a.sum) return false;  // a NaN, or infinities of both signs
  if (table.checks != nullptr && !table.takes(records[0].head, a.min, a.max)) [[unlikely]]
    return false;
  if (a.min < 0 && table.kind_of(records[0].head) == Kind::counter) return false;
  cell.settle();
  cell.add_to_sum(a.sum);
  cell.count += length;
  if (a.min < cell.min) cell.min = a.min;
  if (a.max > cell.max) cell.max = a.max;
  cell.last = records[length - 1].value;
  return true;
}

/// Folds records that no thread writes to any more into a table that this thread owns, and returns how many are now in a series' count; the
/// others are in the tally. kChecked: ids may be foreign, cells untouched in this pass (`touch(index, cell)` is asked, and refuses by
/// false), records may carry more than a value. Not kChecked: somebody looked already. `next`: what will be folded after this, fetched
/// ahead; may be null.
template <bool kChecked, class Touch>
std::uint64_t fold(const Record* records, std::size_t count, const FoldTable table, Tally& tally, Touch&& touch,
                   const Record* next = nullptr) noexcept {
  std::uint64_t folded = 0;
  // Copies whose addresses nobody has, and functions that are inlined before g++ looks for such, so that they stay in registers; `table`
  // goes by reference to what is not inlined.
  Cell* const cells = table.cells;
  const std::uint32_t base = table.base, capacity = table.capacity, stamp = table.stamp;
  const auto cell_for = [&](std::uint64_t head) __attribute__((always_inline))->Cell* {
    const std::uint32_t index = id_of(head) - base;
    if constexpr (kChecked) {
      if (index >= capacity) [[unlikely]]
        return ++tally[Found::foreign], nullptr;
      Cell& cell = cells[index];
      if (cell.stamp != stamp && !touch(index, cell)) [[unlikely]]
        return ++tally[Found::memory], nullptr;
    }
    return &cells[index];
  };
  const auto fold_one = [&](const Record& record) __attribute__((always_inline)) {
    Cell* const cell = cell_for(record.head);
    if constexpr (kChecked) {
      if (cell == nullptr) [[unlikely]]
        return;
    }
    if ((kChecked && extra_of(record.head) != kExtraPlain) || !fold_plain(*cell, record.value, table)) [[unlikely]] {
      folded += fold_any(*cell, record.head, record.value, table, tally);
      return;
    }
    ++folded;
  };

  const Record* at = records;
  const Record* const end = records + count;
  while (static_cast<std::size_t>(end - at) >= kRunStep) {
    if (next != nullptr) {
      __builtin_prefetch(next + (at - records));
      __builtin_prefetch(next + (at - records) + kRunStep / 2);
    }
    std::size_t length = at[kRunStep - 1].head == at[0].head && at[1].head == at[0].head && extra_of(at[0].head) == kExtraPlain
                             ? run_length(at, static_cast<std::size_t>(end - at))
                             : 0;
    if (length != 0) {
      Cell* const cell = cell_for(at->head);
      if (cell != nullptr && fold_run(*cell, at, length, table)) {
        folded += length;
        at += length;
        continue;
      }
      if (cell == nullptr) {  // the first one is in the tally already
        ++at;
        --length;
      }
    } else {
      length = kRunStep;
    }
    for (; length != 0; --length) fold_one(*at++);
  }
  while (at != end) fold_one(*at++);
  return folded;
}

}  // namespace pepper::detail
