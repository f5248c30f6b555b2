#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace pepper::detail {

/// One captured value. Trivially copyable in substance; its fields are atomics because the flusher may copy a record of a chunk
/// that its owner is about to reuse (the copy is then thrown away, see ThreadBlock), and a relaxed store costs what a plain one does.
struct Record {
  std::atomic<std::uint64_t> head;  ///< the series id in the low half, `extra` in the high half
  std::atomic<double> value;
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
