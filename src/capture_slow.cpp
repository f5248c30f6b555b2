#include <pepper/detail/capture.hpp>

#include "clock.hpp"
#include "place.hpp"
#include "record_time.hpp"
#include "threads.hpp"

#include <algorithm>
#include <chrono>
#include <mutex>
#include <new>

namespace pepper::detail {

template <class Write>
void Place::append(ThreadRecord& thread, std::size_t count, Write&& write) noexcept {
  Cursor& cursor = thread.cursors[index_];
  for (std::size_t done = 0; done != count;) {
    std::uintptr_t at = cursor.load(std::memory_order_relaxed);  // [relaxed: owner only]
    if (at % kChunkBytes == 0) {
      if (at == kParked) return;
      if (!is_open() && park(cursor)) return;
      if (!make_room(thread)) return refuse(Cause::threads, count - done);
      continue;
    }
    const std::size_t room = (kChunkBytes - at % kChunkBytes) / sizeof(Record);
    const std::size_t batch = std::min(room, count - done);
    auto* const records = reinterpret_cast<Record*>(at);
    for (std::size_t i = 0; i < batch; ++i) write(records[i], done + i);
    cursor.store(at + batch * sizeof(Record),
                 std::memory_order_release);  // [cursor:release] pairs with [cursor:acquire] in ThreadBlock::filled()
    done += batch;
  }
}

namespace {

/// What came by kTimedPlace: the collector's place, a multiple of 8, is where the extra bytes will be, and a timer in ticks has set its bit
/// there.
void capture_timed(std::uint64_t head, const double* values, std::size_t count) noexcept {
  const std::uint64_t place = extra_of(head) & ~std::uint64_t{kExtraTicks};
  const std::uint32_t id = id_of(head);
  const std::uint64_t timed = make_head(id, coarse_time_extra());
  if ((extra_of(head) & kExtraTicks) == 0) return count == 1 ? capture(place, timed, *values) : capture_span(place, timed, values, count);
  if (*values < 0) return capture(place, make_head(id, kExtraTicks), *values);  // for the fold to count as a step of the clock
  capture(place, timed, *values * known_seconds_per_tick());
}

}  // namespace

void capture_slow(std::uint64_t place, std::uint64_t head, double value) noexcept {
  if (place == kTimedPlace) [[unlikely]]
    return capture_timed(head, &value, 1);
  // Nearly always: a thread that is known, with a full chunk.
  if (ThreadRecord* const thread = this_thread(); thread != nullptr && place != 0 && place_at(place).renew(*thread)) {
    return capture(place, head, value);
  }
  capture_span(place, head, &value, 1);
}

void capture_span(std::uint64_t place, std::uint64_t head, const double* values, std::size_t count) noexcept {
  if (place == 0 || count == 0) return;
  if (place == kTimedPlace) return capture_timed(head, values, count);
  const ThreadUse use;
  if (ThreadRecord* const thread = use.record()) {
    place_at(place).append(*thread, count, [=](Record& to, std::size_t i) { to.write(head, values[i]); });
  } else {
    place_at(place).refuse(Cause::threads, count);
  }
}

void capture_records(std::uint64_t place, const Record* records, std::size_t count) noexcept {
  if (place == 0 || count == 0) return;
  const ThreadUse use;
  if (ThreadRecord* const thread = use.record()) {
    place_at(place).append(*thread, count, [=](Record& to, std::size_t i) { to.write(records[i].head, records[i].value); });
  } else {
    place_at(place).refuse(Cause::threads, count);
  }
}

bool is_wanted(std::uint64_t place, std::uint64_t head) noexcept { return place != 0 && place_at(place).wants(head); }

bool Place::wants(std::uint64_t head) const noexcept { return is_open() && id_of(head) - series_.base() < series_.capacity(); }

bool Place::renew(ThreadRecord& thread) noexcept { return thread.blocks[index_] != nullptr && is_open() && make_room(thread); }

bool Place::park(Cursor& cursor) noexcept {
  // The records before it with it. [cursor:release] pairs with [cursor:acquire] in ThreadBlock::filled()
  cursor.store(kParked, std::memory_order_release);
  // Either this comes after the gate was opened, and sees it; or before, and who opens it sees the parked cursor.
  // [parked:release] pairs with [parked:acquire] in open_gate(); [gate:acquire] with [gate:release] in open_gate()
  if (gate_.fetch_add(0, std::memory_order_acq_rel) == 0) return true;
  std::uintptr_t parked = kParked;
  cursor.compare_exchange_strong(parked, 0, std::memory_order_relaxed);  // [relaxed: says only: look again]
  return false;
}

bool Place::try_charge(std::size_t bytes, std::size_t rest) noexcept {
  if (!budget_.try_take(bytes, rest)) return false;
  charged_.fetch_add(bytes, std::memory_order_relaxed);  // [relaxed: a number, guards no data]
  return true;
}

void Place::give_back(std::size_t bytes) noexcept {
  budget_.give_back(bytes);
  charged_.fetch_sub(bytes, std::memory_order_relaxed);  // [relaxed: a number, guards no data]
}

std::size_t Place::block_bytes(std::size_t pool_chunks) noexcept {
  return sizeof(ThreadBlock) + 2 * sizeof(Chunk) + 2 * kChunkRecords * sizeof(Cell) + ChunkQueue::producer_bytes(pool_chunks + 1);
}

/// A thread that was here before, and now records for another collector.
bool Place::welcome_back(ThreadBlock& block) noexcept {
  const std::size_t pool = pool_chunks(), capacity = pool + 1;
  try {
    if (block.queue_capacity() < capacity) block.replace_producer(sealed_.make_producer(capacity), capacity);
  } catch (const std::bad_alloc&) {  // the old one does, if there is one: what finds no room in it is folded by the thread
  }
  if (block.queue_capacity() == 0 || !try_charge(block_bytes(pool))) return false;
  block.generation = generation();
  return true;
}

ThreadBlock* Place::attach(ThreadRecord& thread) noexcept {
  ThreadBlock*& block = thread.blocks[index_];
  if (block != nullptr && block->generation == generation()) return block;
  if (thread.is_attaching) return nullptr;  // an allocator that records what we allocate here
  thread.is_attaching = true;
  const bool is_there = block != nullptr ? welcome_back(*block) : (block = make_block(thread.cursors[index_])) != nullptr;
  thread.is_attaching = false;
  return is_there ? block : nullptr;
}

ThreadBlock* Place::make_block(Cursor& cursor) noexcept {
  const std::size_t pool = pool_chunks(), capacity = pool + 1, bytes = block_bytes(pool);
  if (!try_charge(bytes)) return nullptr;
  auto* const chunk = static_cast<Chunk*>(map_pages(sizeof(Chunk)));
  ThreadBlock* block = nullptr;
  try {
    auto made = std::make_unique<ThreadBlock>(cursor, sealed_.make_producer(capacity), capacity);
    if (chunk != nullptr && made->reserve(series_.room(), budget_)) block = made.release();
  } catch (const std::bad_alloc&) {  // said by returning null
  }
  if (block == nullptr) {
    if (chunk != nullptr) unmap_pages(chunk, sizeof(Chunk));
    give_back(bytes);
    return nullptr;
  }
  block->generation = generation();
  block->open(chunk);
  block->next = blocks_.load(std::memory_order_relaxed);  // [relaxed: the exchange below publishes]
  // [blocks:release] pairs with [blocks:acquire] in first_block(); [relaxed: a failed try reads the head anew, and nothing through it]
  while (!blocks_.compare_exchange_weak(block->next, block, std::memory_order_release, std::memory_order_relaxed)) continue;
  return block;
}

Chunk* Place::try_take_free(ThreadBlock& block) noexcept {
  if (Chunk* const spare = block.spare) {
    block.spare = nullptr;
    return spare;
  }
  Chunk* chunk = nullptr;
  while (free_.try_pop(chunk)) {
    if (chunk == nullptr) continue;                      // see ChunkQueue::make_producer()
    (void)chunk->owner.load(std::memory_order_acquire);  // [free:acquire] pairs with [free:release] in recycle()
    return chunk;
  }
  return nullptr;
}

Chunk* Place::wait_for_free(ThreadBlock& block) noexcept {
  while (blocking_.load(std::memory_order_relaxed) == Blocking::yes) {  // [relaxed: looked at again after each wait]
    const std::uint32_t seen = space_.seen();
    if (Chunk* const chunk = try_take_free(block)) return chunk;
    pressure_.raise();
    space_.sleep(seen, Condition::Clock::now() + std::chrono::milliseconds{5});
  }
  return nullptr;
}

bool Place::make_room(ThreadRecord& thread) noexcept {
  ThreadBlock* block = thread.blocks[index_];
  if (block == nullptr) return attach(thread) != nullptr;
  if (block->generation != generation() && attach(thread) == nullptr) [[unlikely]]
    return false;
  const OverflowPolicy policy = policy_.load(std::memory_order_relaxed);  // [relaxed: as in Place::set_policy()]
  // A look takes what is queued before what the thread has folded: queued after that, it would be newer, and `last` go back. Under such
  // load folding is cheaper anyway.
  if (policy == OverflowPolicy::spill && block->has_folded()) return fold(*block), true;
  Chunk* fresh = try_take_free(*block);
  if (fresh == nullptr && policy == OverflowPolicy::block && !is_service_thread) fresh = wait_for_free(*block);
  if (fresh != nullptr) {
    if (block->seal_into(fresh, sealed_)) return true;
    block->spare = fresh;
  }
  overload(*block);
  return true;
}

void Place::overload(ThreadBlock& block) noexcept {
  const OverflowPolicy policy = policy_.load(std::memory_order_relaxed);  // [relaxed: as in Place::set_policy()]
  if (policy == OverflowPolicy::drop) {
    block.lose_own(Found::overflow);
  } else if (policy == OverflowPolicy::block &&
             blocking_.load(std::memory_order_relaxed) == Blocking::ended) {  // [relaxed: either answer was right a moment ago]
    block.lose_own(Found::after_shutdown);
  } else {
    fold(block);
  }
}

void Place::fold(ThreadBlock& block) noexcept {
  if (block.fold_own(series_) && !pressure_.is_raised.load(std::memory_order_relaxed)) pressure_.raise();  // [relaxed: says only: look]
}

}  // namespace pepper::detail
