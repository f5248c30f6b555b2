#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace pepper::detail {

/// One captured value. Plain fields: whoever reads them owns them by then, but for the copy that the drainer makes of an open chunk, which
/// its owner may be about to reuse (it is thrown away then, see ThreadBlock). So writer and copier go through std::atomic_ref, relaxed,
/// which costs what a plain access does.
struct Record {
  std::uint64_t head;  ///< the series id in the low half, `extra` in the high half
  double value;

  void write(std::uint64_t new_head, double new_value) noexcept {
    std::atomic_ref(head).store(new_head, std::memory_order_relaxed);    // [relaxed: published by the cursor]
    std::atomic_ref(value).store(new_value, std::memory_order_relaxed);  // [relaxed: published by the cursor]
  }
};
static_assert(sizeof(Record) == 16);

/// The four bytes beside the id: one use per series. 0: nothing to say, the fold's fast path.
/// gauge: the ticket that orders set() calls, never 0. timer: kExtraTicks if the value is in clock ticks.
inline constexpr std::uint32_t kExtraPlain = 0;
inline constexpr std::uint32_t kExtraTicks = 1;

[[nodiscard]] constexpr std::uint64_t make_head(std::uint32_t id, std::uint32_t extra) noexcept {
  return id | (std::uint64_t{extra} << 32);
}
[[nodiscard]] constexpr std::uint32_t id_of(std::uint64_t head) noexcept { return static_cast<std::uint32_t>(head); }
[[nodiscard]] constexpr std::uint32_t extra_of(std::uint64_t head) noexcept { return static_cast<std::uint32_t>(head >> 32); }

/// A chunk is one aligned block of 4096 bytes, a header of 16 and 255 records, so that "no chunk" (null) and "chunk full" (one past the
/// last record is the next boundary) are the same test of the cursor.
inline constexpr std::size_t kChunkBytes = 4096;
inline constexpr std::size_t kChunkHeaderBytes = 16;
inline constexpr std::size_t kChunkRecords = (kChunkBytes - kChunkHeaderBytes) / sizeof(Record);
static_assert(kChunkRecords == 255);

}  // namespace pepper::detail
