#pragma once

#include <pepper/config.hpp>

#include "buckets.hpp"
#include "budget.hpp"
#include "fold.hpp"
#include "mapping.hpp"
#include "mutex.hpp"
#include "place.hpp"
#include "series_key.hpp"
#include "series_store.hpp"
#include "signal_series.hpp"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

namespace pepper::detail {

/// A sampled series has its records of each weight in a series of their own, which only the library sees: so a record needs to carry no
/// weight, and what a fold does is the same.
struct SeriesPart {
  std::uint32_t whole, index;
  double weight;
};

/// All series of a collector: interned once, found without a lock, never removed. Outlives the collector while snapshots are kept.
/// Thread-safe.
class Registry {
 public:
  Registry(Place& place, const TelemetryConfig& config, KeyHash hash);
  ~Registry();
  Registry(const Registry&) = delete;
  Registry& operator=(const Registry&) = delete;

  /// Gives back what it took of its place's budget; makes no series any more.
  void leave_place() noexcept;

  static constexpr std::uint32_t kNone = ~std::uint32_t{0};
  /// The index of a series, or kNone. Lock-free, no allocation.
  [[nodiscard]] std::uint32_t find(const SeriesKey& key) const noexcept {
    return find(key, [](std::uint32_t) {});
  }
  /// Calls `expect(index)` as soon as it has a likely index, before it compares: time to fetch what will be read of it.
  template <class Expect>
  [[nodiscard]] std::uint32_t find(const SeriesKey& key, Expect&& expect) const noexcept {
    return key.flat([&](std::string_view flat) {
      const Probe probe = start(hash_(flat.data(), flat.size()));
      if (probe.index != kNone) expect(probe.index);
      return finish(flat, probe);
    });
  }
  [[nodiscard]] const SeriesEntry& entry(std::uint32_t index) const noexcept { return store_.entry(index); }
  /// Series there are; each index below it is an entry.
  [[nodiscard]] std::uint32_t size() const noexcept {
    return size_.load(std::memory_order_acquire);  // [series:acquire] pairs with [series:release] in Registry::add()
  }

  /// For the snapshot `sequence`: how many series it has. What was bound before now holds from it on. Lock-free: a thread may have stopped
  /// for good in the middle of intern().
  [[nodiscard]] std::uint32_t size_for_snapshot(std::uint64_t sequence) noexcept;

  /// Where a series that is not there belongs once `max_series` is reached, if its name has its overflow series already: without the
  /// mutex, as that is when a program makes new ones without end. Lock-free, no allocation.
  [[nodiscard]] const SeriesEntry* find_overflow(std::string_view name) const noexcept;

  struct Interned {
    SeriesEntry* entry;
    bool is_conflict;  ///< exists with another kind, unit, help, limits of its buckets or check; those stay
  };
  /// The series of a key, made if there is none and the limits allow, else the overflow series it belongs to. `is_bind`: not by
  /// record(name, ...). Throws std::bad_alloc.
  [[nodiscard]] Interned intern(const SeriesKey& key, Kind kind, const SeriesOptions& options, bool is_bind);

  /// The part of a series that takes records of a weight; of weight 0, that none are to come. Null: max_series or the budget has no room
  /// for it. Throws std::bad_alloc.
  [[nodiscard]] const SeriesEntry* intern_part(const SeriesEntry& whole, double weight);
  /// Parts there are, the newest first. Those of series below size() are in it.
  struct PartNode {
    SeriesPart part;
    const PartNode* older;
  };
  [[nodiscard]] const PartNode* newest_part() const noexcept {
    return newest_part_.load(std::memory_order_acquire);  // [part:acquire] pairs with [part:release] in intern_part()
  }

  /// From now on it keeps what describes series anew; returns how often it has so far. Whoever makes a series that was not there before
  /// finds is_watched() afterwards.
  std::size_t watch();
  [[nodiscard]] bool is_watched() const noexcept {
    return is_watched_.load(std::memory_order_relaxed);  // [relaxed: set under the mutex that a series is made under]
  }
  /// The series that was described anew so many times after the first; kNone: none yet.
  [[nodiscard]] std::uint32_t changed(std::size_t position) const;

  /// Where signal handlers count for a series. Throws std::bad_alloc, also where the budget has no page left.
  [[nodiscard]] SignalCell& signal_cell(const SeriesEntry& entry);

  /// Bytes a series takes beside its entry, look-up slots, texts and distribution: where that is, cell, dirty list, and its share of two
  /// snapshots. What a program keeps of more snapshots than that is its own affair.
  static constexpr std::size_t kSeriesBytes = 4 + sizeof(Cell) + 4 + 2 * 40;
  /// And one that may have a distribution, beside that: where it is, and its share of two snapshots.
  static constexpr std::size_t kDistributedBytes = 48 + 2 * 8;
  /// And one with a check: the check, its count of violations, that count's share of two snapshots, and values that came before it.
  static constexpr std::size_t kCheckedBytes = 17 + 8 + 2 * 8 + 56;

 private:
  struct Table;
  /// A slot whose part of the hash fits; index kNone: there is none.
  struct Probe {
    const Table* table;
    std::uint64_t hash;
    std::size_t slot;
    std::uint32_t index;
  };

  [[nodiscard]] Probe start(std::uint64_t hash) const noexcept;
  [[nodiscard]] std::uint32_t finish(std::string_view flat, Probe probe) const noexcept;
  void probe_on(Probe& probe) const noexcept;
  /// What a new series is.
  struct Nature {
    Kind kind = Kind::summary;
    std::string_view unit{}, help{};
    bool is_bound = false, is_overflow = false;
    bool is_part = false;
    /// Where it has a distribution: a histogram or a timer, or a part.
    double relative_error = 0.01;
    BucketLimits limits{};
    ValueCheck check{};
    bool is_timed = false;
  };
  [[nodiscard]] SeriesEntry* find_entry(std::string_view flat, std::uint64_t hash) const noexcept;
  [[nodiscard]] Interned intern(const SeriesKey& key, std::string_view flat, const Nature& nature);
  [[nodiscard]] SeriesEntry* add(const SeriesKey& key, std::string_view flat, std::uint64_t hash, const Nature& nature, bool is_forced);
  [[nodiscard]] SeriesEntry* find_or_add_overflow(const SeriesKey& key, const Nature& nature);
  void give_tickets(SeriesEntry& entry);
  static void use_extra(SeriesEntry& entry, ExtraUse use) noexcept;
  void describe(SeriesEntry& entry, const Nature& nature);
  void scale(const SeriesEntry& entry, const Nature& nature);
  void describe_part(std::uint32_t index, const SeriesEntry& whole, const Nature& nature);
  [[nodiscard]] static std::size_t bucket_bytes(const Nature& nature) noexcept;
  [[nodiscard]] BucketLimits limits_of(const SeriesEntry& entry) const noexcept;
  /// Says of its buckets what is not so; what it leaves out is no matter.
  [[nodiscard]] bool wants_other_buckets(const SeriesEntry& entry, const Nature& nature) const noexcept;
  [[nodiscard]] static std::size_t check_bytes(const Nature& nature) noexcept { return nature.check == ValueCheck{} ? 0 : kCheckedBytes; }
  /// The same for one that exists, on the budget.
  void describe_anew(SeriesEntry& entry, Nature nature);
  [[nodiscard]] static std::size_t text_bytes(const Nature& nature) noexcept;
  [[nodiscard]] bool try_charge(std::size_t bytes, std::size_t rest) noexcept;
  void charge(std::size_t bytes) noexcept;
  void give_back(std::size_t bytes) noexcept;
  void insert(Table& table, std::uint64_t hash, std::uint32_t index) noexcept;

  Place& place_;
  const KeyHash hash_;
  const std::uint32_t base_;
  const std::uint32_t max_series_;
  mutable Mutex mutex_;
  SeriesStore store_;
  std::atomic<std::uint32_t> size_{0};
  std::atomic<Table*> table_;
  std::vector<std::unique_ptr<Table>> tables_;  ///< the present one last; of the others, which may still be being read, the addresses alone
  std::vector<std::unique_ptr<SeriesText>> texts_;
  std::vector<std::unique_ptr<const BucketLimits>> limits_;  ///< that are not the usual ones
  std::vector<std::unique_ptr<const PartNode>> parts_;
  std::atomic<const PartNode*> newest_part_{nullptr};
  std::unordered_set<std::string_view> names_;
  std::unordered_map<std::uint32_t, SignalCell*> signals_;  ///< by series number
  std::atomic<SeriesText*> fresh_texts_{nullptr};
  std::atomic<bool> is_full_{false}, is_watched_{false};
  std::vector<std::uint32_t> changed_;
  std::uint32_t ordinary_ = 0;                                ///< series that max_series limits
  std::size_t kept_for_overflow_ = kSeriesBytes + 16 * 1024;  ///< so that the last overflow series can always be made
  std::size_t bytes_ = 0;                                     ///< taken from the budget
};

}  // namespace pepper::detail
