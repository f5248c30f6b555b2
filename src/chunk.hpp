#pragma once

#include <pepper/detail/record.hpp>

#include <atomic>
#include <cstdint>

namespace pepper::detail {

class ThreadBlock;

/// 4 KiB of records that one thread fills. Its memory is never unmapped: a late writer harms nobody.
struct alignas(kChunkBytes) Chunk {
  /// The owner's epoch (ThreadBlock::Epoch) as it opened the chunk. Written by the owner, read by the drainer through the cursor.
  std::atomic<std::uint64_t> epoch;
  /// Who fills it. The hand-over in both directions goes through this word, as TSan sees no edge in the queue: the owner stores itself
  /// (release) before it queues the chunk, the drainer stores null (release) before it queues it as free.
  std::atomic<ThreadBlock*> owner;
  Record records[kChunkRecords];

  [[nodiscard]] std::uintptr_t at(std::uint32_t index) noexcept { return reinterpret_cast<std::uintptr_t>(&records[index]); }
  /// The chunk in which a cursor stands; a cursor one past the end still belongs to the chunk it filled.
  [[nodiscard]] static Chunk* of(std::uintptr_t cursor) noexcept { return reinterpret_cast<Chunk*>((cursor - 1) & ~(kChunkBytes - 1)); }
  [[nodiscard]] static std::uint32_t filled(std::uintptr_t cursor) noexcept {
    return static_cast<std::uint32_t>((((cursor - 1) & (kChunkBytes - 1)) + 1 - kChunkHeaderBytes) / sizeof(Record));
  }
};
static_assert(sizeof(Chunk) == kChunkBytes);

}  // namespace pepper::detail
