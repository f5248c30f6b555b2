#pragma once

#include <pepper/exemplar.hpp>
#include <pepper/tags.hpp>

#include "place.hpp"

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace pepper::detail {

/// The exemplars of one series, as a snapshot owns them.
struct SeriesExemplars {
  std::uint32_t index = 0;
  std::uint8_t largest = 0, latest = 0;  ///< which of the two
  std::array<Tags, 2> metadata;
  std::array<Exemplar, 2> exemplars;
};

/// Where records leave their metadata until the next snapshot takes it: a slot for each series that ever had any, in address space that
/// takes memory only where it is touched, so that nothing is allocated and a child can forget it all.
///
/// A slot belongs to whoever has set its flag. Nobody waits for one: what finds it set is skipped by a thread, and left for the next
/// snapshot by the drainer. So a thread that stops for good in here costs its series the exemplars, and nobody else anything.
class ExemplarStore {
 public:
  /// For series with indices below `capacity`.
  ExemplarStore(Place& place, std::uint32_t capacity) noexcept : place_(place), capacity_(capacity) {}
  ~ExemplarStore();
  ExemplarStore(const ExemplarStore&) = delete;
  ExemplarStore& operator=(const ExemplarStore&) = delete;

  static constexpr std::size_t kMaxBytes = 256, kMaxTags = 16;  ///< of metadata: keys and values
  /// What a series with exemplars takes in two snapshots.
  static constexpr std::size_t kSnapshotBytes = 2 * (sizeof(SeriesExemplars) + 2 * (kMaxBytes + kMaxTags * sizeof(Tag)));

  /// Any thread. Wait-free. The record is captured already: so that a snapshot that has its exemplar has the record as well.
  void note(std::uint32_t index, double value, std::chrono::system_clock::time_point time, TagsView metadata) noexcept;
  /// Records whose metadata was not kept. Any thread.
  [[nodiscard]] std::uint64_t skipped() const noexcept {
    return skipped_.load(std::memory_order_relaxed);  // [relaxed: a number, guards no data]
  }

  // Drainer, under the drain mutex. -------------------------------------------------------------------------------------------------

  /// Takes what was noted since the last call, before the look for the snapshot that is to have it. Throws std::bad_alloc.
  void take();
  /// By index. To be moved from; what is still here at the next take() is skipped.
  [[nodiscard]] std::vector<SeriesExemplars>& taken() noexcept { return taken_; }
  /// In a child: nothing was ever noted. After the place was started over.
  void start_over() noexcept;

 private:
  struct Kept {
    double value;
    std::chrono::system_clock::time_point time;
    std::uint8_t tags;
    bool is_cut;
    char bytes[kMaxBytes + kMaxTags * 2 * sizeof(std::uint16_t)];  ///< each key and value after its length

    void set(double new_value, std::chrono::system_clock::time_point new_time, TagsView metadata) noexcept;
    /// Throws std::bad_alloc.
    [[nodiscard]] Tags metadata() const;
  };
  enum class State : std::uint8_t { unpaid, idle, busy };  ///< unpaid: zero pages, not on the budget
  struct Slot {
    std::atomic<State> state;
    // By who has made it busy.
    bool is_listed;  ///< in fresh_, or with the drainer
    bool is_used;
    std::uint8_t largest, latest;  ///< which of the two: a new one goes where the largest is not
    std::uint32_t index;
    Slot* next;  ///< by who lists it
    Kept kept[2];

    void keep(double value, std::chrono::system_clock::time_point time, TagsView metadata) noexcept;
  };
  static constexpr std::size_t kSlotsPerPage = 5;
  struct alignas(kPageBytes) SlotPage {
    std::atomic<bool> is_paid;
    Slot slots[kSlotsPerPage];
  };
  static_assert(sizeof(SlotPage) == kPageBytes);

  [[nodiscard]] std::size_t mapped_bytes() const noexcept { return (capacity_ + kSlotsPerPage - 1) / kSlotsPerPage * sizeof(SlotPage); }
  [[nodiscard]] SlotPage* pages() noexcept;
  [[nodiscard]] bool try_charge(std::size_t bytes) noexcept;
  [[nodiscard]] bool pay_for(SlotPage& page, Slot& slot) noexcept;
  /// The series' slot, busy from now on; null: there is none to be had.
  [[nodiscard]] Slot* try_lock(std::uint32_t index) noexcept;
  [[nodiscard]] static bool try_lock(Slot& slot) noexcept;
  static void unlock(Slot& slot) noexcept;
  void list(Slot& slot) noexcept;
  void skip(std::uint64_t records) noexcept { skipped_.fetch_add(records, std::memory_order_relaxed); }  // [relaxed: a number]

  Place& place_;
  const std::uint32_t capacity_;
  std::atomic<SlotPage*> pages_{nullptr};
  std::atomic<Slot*> fresh_{nullptr};  ///< slots that something was noted in
  std::atomic<std::uint64_t> skipped_{0};
  std::vector<SeriesExemplars> taken_;
};

}  // namespace pepper::detail
