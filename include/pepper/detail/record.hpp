#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

// The one thing that must differ under ThreadSanitizer, which cannot see into assembly.
#if defined(__SANITIZE_THREAD__)
#define PEPPER_DETAIL_TSAN
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define PEPPER_DETAIL_TSAN
#endif
#endif

namespace pepper::detail {

/// A relaxed atomic store of a double. g++ and clang take std::atomic<double> through a general register, an instruction more than a record
/// can spare.
[[gnu::always_inline]] inline void store_relaxed(double& to, double value) noexcept {
#if defined(__x86_64__) && !defined(PEPPER_DETAIL_TSAN)
  asm("movsd %1, %0"
      : "=m"(to)
      : "x"(value));  // aligned 8 bytes: one store, never torn; opaque to the optimiser, so no data race it could exploit
#else
  std::atomic_ref(to).store(value, std::memory_order_relaxed);  // [relaxed: published by the cursor]
#endif
}

/// One captured value. Plain fields: whoever reads them owns them by then, but for the copy that the drainer makes of an open chunk, which
/// its owner may be about to reuse (it is thrown away then, see ThreadBlock). So writer and copier go through std::atomic_ref, relaxed,
/// which costs what a plain access does.
struct Record {
  std::uint64_t head;  ///< the series id in the low half, `extra` in the high half
  double value;

  void write(std::uint64_t new_head, double new_value) noexcept {
    std::atomic_ref(head).store(new_head, std::memory_order_relaxed);  // [relaxed: published by the cursor]
    store_relaxed(value, new_value);                                   // [relaxed: published by the cursor]
  }
};
static_assert(sizeof(Record) == 16);

/// The four bytes beside the id: one use per series. 0: nothing to say, the fold's fast path.
/// gauge: the ticket that orders set() calls, never 0. timer: kExtraTicks if the value is in clock ticks. With SeriesOptions::timestamps:
/// when it was captured, the top bit set.
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

#undef PEPPER_DETAIL_TSAN
