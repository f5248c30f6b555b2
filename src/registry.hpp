#pragma once

#include <pepper/config.hpp>

#include "budget.hpp"
#include "fold.hpp"
#include "mapping.hpp"
#include "place.hpp"
#include "series_key.hpp"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

namespace pepper::detail {

/// What was said of a series when it was bound. A series that record(name, ...) created has none at first, and gets one with its first
/// bind: so that a snapshot stays what it was, each says from which snapshot on it holds.
struct SeriesText {
  Kind kind;
  std::string unit, help;
  std::uint64_t since;  ///< sequence of a snapshot
};

/// One series, for as long as its registry lives. All but `kind`, `text` and `tickets` is set before the entry can be found.
struct SeriesEntry {
  std::string_view name() const noexcept { return {name_bytes, name_size}; }
  std::span<const Tag> tags() const noexcept { return {tag_list, tag_count}; }

  const char* name_bytes = nullptr;
  const Tag* tag_list = nullptr;
  std::atomic<const SeriesText*> text{nullptr};
  std::atomic<std::atomic<std::uint32_t>*> tickets{nullptr};  ///< set before kind becomes gauge
  std::uint32_t number = 0;                                   ///< what its records carry
  std::uint16_t name_size = 0;
  std::uint8_t tag_count = 0;
  Kind first_kind = Kind::summary;  ///< in snapshots that are older than `text`
  std::atomic<Kind> kind{Kind::summary};
  bool is_bound = false;     ///< not only created by record(name, ...); under the registry's mutex
  bool is_overflow = false;  ///< where series went for which there was no room
};

/// All series of a collector: interned once, found without a lock, never removed. Outlives the collector while snapshots are kept.
/// Thread-safe.
class Registry {
 public:
  Registry(Place& place, const TelemetryConfig& config, KeyHash hash);
  ~Registry();
  Registry(const Registry&) = delete;
  Registry& operator=(const Registry&) = delete;

  static constexpr std::uint32_t kNone = ~std::uint32_t{0};
  /// The index of a series, or kNone. Lock-free, no allocation.
  [[nodiscard]] std::uint32_t find(const SeriesKey& key) const noexcept;
  /// Calls `expect(index)` as soon as it has a likely index, before it compares: time to fetch what will be read of it.
  template <class Expect>
  [[nodiscard]] std::uint32_t find(const SeriesKey& key, Expect&& expect) const noexcept {
    const Probe probe = start(key);
    if (probe.index != kNone) expect(probe.index);
    return finish(key, probe);
  }
  [[nodiscard]] const SeriesEntry& entry(std::uint32_t index) const noexcept { return *page_of(index)[index % kPageEntries]; }
  /// Series there are; each index below it is an entry.
  [[nodiscard]] std::uint32_t size() const noexcept {
    return size_.load(std::memory_order_acquire);  // [series:acquire] pairs with [series:release] in Registry::add()
  }

  /// For a snapshot: how many series it has. What is bound from now on holds from the one with `next_sequence` on.
  [[nodiscard]] std::uint32_t size_for_snapshot(std::uint64_t next_sequence);

  struct Interned {
    SeriesEntry* entry;
    bool is_conflict;  ///< exists with another kind, unit or help; those stay
  };
  /// The series of a key, made if there is none and the limits allow, else the overflow series it belongs to. `is_bind`: not by
  /// record(name, ...). Throws std::bad_alloc.
  [[nodiscard]] Interned intern(const SeriesKey& key, Kind kind, std::string_view unit, std::string_view help, bool is_bind);

  /// Bytes a series takes beside its key, distribution not counted: entry, look-up slots, cell, dirty list, and its share of two snapshots.
  /// What a program keeps of more snapshots than that is its own affair.
  static constexpr std::size_t kSeriesBytes = sizeof(SeriesEntry) + sizeof(SeriesEntry*) + 16 + sizeof(Cell) + 4 + 2 * 40;

 private:
  static constexpr std::uint32_t kPageEntries = 512;
  struct Table;
  /// A slot whose part of the hash fits; index kNone: there is none.
  struct Probe {
    const Table* table;
    std::uint64_t hash;
    std::size_t slot;
    std::uint32_t index;
  };

  [[nodiscard]] SeriesEntry** page_of(std::uint32_t index) const noexcept {
    // [series:acquire] pairs with [series:release] in Registry::add()
    return pages_[index / kPageEntries].load(std::memory_order_acquire);
  }
  [[nodiscard]] Probe start(const SeriesKey& key) const noexcept;
  [[nodiscard]] std::uint32_t finish(const SeriesKey& key, Probe probe) const noexcept;
  void probe_on(Probe& probe) const noexcept;
  [[nodiscard]] SeriesEntry* store_entry(const SeriesKey& key);
  /// What a new series is.
  struct Nature {
    Kind kind = Kind::summary;
    std::string_view unit{}, help{};
    bool is_bound = false, is_overflow = false;
  };
  [[nodiscard]] SeriesEntry* add(const SeriesKey& key, std::uint64_t hash, const Nature& nature, bool is_forced);
  [[nodiscard]] SeriesEntry* find_or_add_overflow(const SeriesKey& key, const Nature& nature);
  void give_tickets(SeriesEntry& entry);
  void describe(SeriesEntry& entry, const Nature& nature);
  [[nodiscard]] std::byte* store(std::size_t bytes);
  [[nodiscard]] std::size_t next_arena_block(std::size_t bytes) const noexcept;
  [[nodiscard]] bool try_charge(std::size_t bytes) noexcept;
  void charge(std::size_t bytes) noexcept;
  void insert(Table& table, std::uint64_t hash, std::uint32_t index) noexcept;

  Place& place_;
  const KeyHash hash_;
  const std::uint32_t base_;
  const std::uint32_t max_series_;
  std::mutex mutex_;
  std::unique_ptr<std::atomic<SeriesEntry**>[]> pages_;
  std::size_t page_count_;
  std::atomic<std::uint32_t> size_{0};
  std::atomic<Table*> table_;
  std::vector<std::unique_ptr<Table>> tables_;  ///< the present one last; the others may still be being read
  std::vector<Pages> arena_;
  std::size_t arena_used_ = 0;   ///< of its last block
  std::size_t arena_bytes_ = 0;  ///< of all
  std::vector<std::unique_ptr<SeriesText>> texts_;
  std::unordered_set<std::string_view> names_;
  std::uint64_t next_sequence_ = 0;
  std::uint32_t ordinary_ = 0;                                ///< series that max_series limits
  std::size_t kept_for_overflow_ = kSeriesBytes + 16 * 1024;  ///< so that the last overflow series can always be made
  std::size_t bytes_ = 0;                                     ///< taken from the budget
};

}  // namespace pepper::detail
