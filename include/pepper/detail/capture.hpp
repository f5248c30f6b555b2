#pragma once

#include <pepper/detail/record.hpp>
#include <pepper/detail/thread_slots.hpp>

#include <cstddef>
#include <cstdint>

#pragma GCC visibility push(default)
namespace pepper::detail {

/// Where a handle's records go. `place` is a byte offset into ThreadSlots, so that the hot path need not scale it; 0: nowhere.
struct Target {
  std::uint64_t head = 0;
  std::uint64_t place = 0;
};

/// The cold half of capture(), once in 255 records. Bounded; never waits unless OverflowPolicy::block says so.
void capture_slow(std::uint64_t place, std::uint64_t head, double value) noexcept;

/// Appends `count` values that share one head, with one cursor move per chunk.
void capture_span(std::uint64_t place, std::uint64_t head, const double* values, std::size_t count) noexcept;

/// Appends records that are all of one place.
void capture_records(std::uint64_t place, const Record* records, std::size_t count) noexcept;

/// A record of that head would be somebody's: the handle is bound, its collector alive and enabled. A moment later it may be otherwise.
[[nodiscard]] bool is_wanted(std::uint64_t place, std::uint64_t head) noexcept;

/// Appends one record to the calling thread's chunk. Owner thread only (of the cursor it finds), wait-free, about ten instructions.
/// NaN, negative counts and stale ids are found by the fold, not here.
[[gnu::always_inline]] inline void capture(std::uint64_t place, std::uint64_t head, double value,
                                           std::uintptr_t slots_offset = thread_slots_offset()) noexcept {
  Cursor& cursor = *reinterpret_cast<Cursor*>(reinterpret_cast<char*>(this_thread_slots(slots_offset)) + place);
  const std::uintptr_t at = cursor.load(std::memory_order_relaxed);  // [relaxed: owner only]
  if ((at & (kChunkBytes - 1)) == 0) [[unlikely]] {
    if (at == kParked) return;
    capture_slow(place, head, value);
    return;
  }
  reinterpret_cast<Record*>(at)->write(head, value);
  cursor.store(at + sizeof(Record), std::memory_order_release);  // [cursor:release] pairs with [cursor:acquire] in ThreadBlock::filled()
}

}  // namespace pepper::detail
#pragma GCC visibility pop
