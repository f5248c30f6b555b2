#pragma once

#include <pepper/config.hpp>
#include <pepper/detail/thread_slots.hpp>
#include <pepper/stats.hpp>

#include "budget.hpp"
#include "chunk.hpp"
#include "chunk_queue.hpp"
#include "fold.hpp"
#include "pressure.hpp"
#include "signal_series.hpp"
#include "thread_block.hpp"
#include "threads.hpp"

#include <atomic>
#include <cstdint>
#include <vector>

namespace pepper::detail {

/// Where a collector lives: all that recording threads reach of it. Immortal, as a thread may be anywhere in record() when the collector
/// dies; used by one collector after another, whose series numbers go on counting, so that a handle of an earlier one is recognised.
class Place {
 public:
  /// Takes a place that nobody uses. Throws std::length_error if there is none, std::bad_alloc.
  [[nodiscard]] static Place& take(const TelemetryConfig& config);
  /// Leaves it to the next. Every chunk that no thread holds goes back to the system.
  void leave() noexcept;

  /// In a child: all places are as if their collectors had just taken them, and every thread record has the blocks that were made for it.
  /// Throws std::bad_alloc.
  static void start_all_over();
  /// In a child, before that, on its only thread: what signal handlers have counted so far is the parent's. Async-signal-safe.
  static void forget_signals() noexcept;

  /// With room for so many series of any one collector.
  Place(std::uint32_t index, std::uint32_t room)
      : index_(index), series_(room), tickets_(map_array<unsigned char>(std::size_t{room} * kTicketBytes)) {}

  [[nodiscard]] std::uint32_t index() const noexcept { return index_; }
  [[nodiscard]] std::uint64_t offset() const noexcept { return index_ * sizeof(Cursor); }
  [[nodiscard]] Budget& budget() noexcept { return budget_; }
  [[nodiscard]] BucketLease& bucket_lease() noexcept { return bucket_lease_; }
  [[nodiscard]] SeriesRange& series() noexcept { return series_; }
  [[nodiscard]] std::uint64_t generation() const noexcept {
    return generation_.load(std::memory_order_relaxed);  // [relaxed: compared only]
  }

  // Recording threads. --------------------------------------------------------------------------------------------------------------

  /// Appends `count` records, the i-th by `write(to, i)`. Wait-free except under OverflowPolicy::block; allocates for a thread's first
  /// record alone.
  template <class Write>
  void append(ThreadRecord& thread, std::size_t count, Write&& write) noexcept;
  /// It is open, and the series one of the present collector's.
  [[nodiscard]] bool wants(std::uint64_t head) const noexcept;
  /// Gives a thread that has a block a chunk with room, where it has none; false: that takes more, append() knows.
  [[nodiscard]] bool renew(ThreadRecord& thread) noexcept;
  /// The thread's block, made if there is none. Null: no memory.
  [[nodiscard]] ThreadBlock* attach(ThreadRecord& thread) noexcept;
  /// Takes what a thread needs here from the budget, until the collector leaves; not where less than `rest` would be left.
  [[nodiscard]] bool try_charge(std::size_t bytes, std::size_t rest = 0) noexcept;
  void give_back(std::size_t bytes) noexcept;
  /// Records are let in.
  [[nodiscard]] bool is_open() const noexcept {
    return gate_.load(std::memory_order_acquire) != 0;  // [gate:acquire] pairs with [gate:release] in open_gate()
  }
  /// Counts records that found no chunk at all.
  void refuse(Cause cause, std::uint64_t count) noexcept;

  // Drainer. ------------------------------------------------------------------------------------------------------------------------

  [[nodiscard]] ThreadBlock* first_block() const noexcept {
    return blocks_.load(std::memory_order_acquire);  // [blocks:acquire] pairs with [blocks:release] in Place::attach()
  }
  [[nodiscard]] SignalSeries* first_signal_series() const noexcept {
    return signals_.load(std::memory_order_acquire);  // [signals:acquire] pairs with [signals:release] in Place::new_signal_series()
  }
  [[nodiscard]] ChunkQueue& sealed() noexcept { return sealed_; }
  [[nodiscard]] std::uint64_t refused(Cause cause) const noexcept;
  /// Makes an emptied chunk free. Throws std::bad_alloc.
  void recycle(Chunk* chunk);
  /// No chunk is free any more, nor becomes so, until they are given back as many times. For tests of users' programs. Throws
  /// std::bad_alloc.
  void withhold_chunks();
  void give_chunks_back();
  [[nodiscard]] std::size_t pool_chunks() const noexcept {
    return pool_chunks_.load(std::memory_order_relaxed);  // [relaxed: a thread that is late sizes its queue's end by the pool before]
  }
  /// All that were ever made here: so many may be on their way.
  [[nodiscard]] std::size_t all_chunks() const noexcept { return all_chunks_; }
  /// Chunks that are empty, but that their owners' cursors have not left. Stays from one collector's drain to the next.
  [[nodiscard]] std::vector<Chunk*>& left() noexcept { return left_; }

  // The collector. ------------------------------------------------------------------------------------------------------------------

  /// Lets records in, or makes every thread's next slow path park it.
  void open_gate() noexcept;
  void close_gate() noexcept;
  /// May be called while threads record: what one of them finds in between is folded.
  void set_policy(OverflowPolicy policy) noexcept;
  /// From now on nobody waits: OverflowPolicy::block drops, Cause::after_shutdown.
  void stop_blocking() noexcept;
  [[nodiscard]] Pressure& pressure() noexcept { return pressure_; }
  /// The number of a word for one more gauge's tickets. Words are 64 bytes apart, never freed, used again by the next collector. Under the
  /// registry's mutex.
  [[nodiscard]] std::uint32_t new_tickets() noexcept;
  /// That word. 0: null.
  [[nodiscard]] std::atomic<std::uint32_t>* tickets(std::uint32_t number) const noexcept {
    return number == 0 ? nullptr : reinterpret_cast<std::atomic<std::uint32_t>*>(tickets_ + std::size_t{number - 1} * kTicketBytes);
  }
  static constexpr std::size_t kTicketBytes = kCacheLine;
  /// A series for signal handlers to count in. Never freed or used again: a page of the collector's own, which gives its memory back as the
  /// collector leaves and keeps its address, so that a late handler does no harm. Throws std::bad_alloc. Under the registry's mutex.
  [[nodiscard]] SignalSeries& new_signal_series(std::uint32_t index);
  /// So many series numbers of the range are used and gone for good. Before leave().
  void use_numbers(std::uint32_t count) noexcept { next_number_ += count; }

 private:
  [[nodiscard]] bool make_room(ThreadRecord& thread) noexcept;
  [[nodiscard]] ThreadBlock* make_block(Cursor& cursor) noexcept;
  [[nodiscard]] bool welcome_back(ThreadBlock& block) noexcept;
  [[nodiscard]] static std::size_t block_bytes(std::size_t pool_chunks) noexcept;
  [[nodiscard]] bool park(Cursor& cursor) noexcept;
  [[nodiscard]] Chunk* try_take_free(ThreadBlock& block) noexcept;
  [[nodiscard]] Chunk* wait_for_free(ThreadBlock& block) noexcept;
  void overload(ThreadBlock& block) noexcept;
  void fold(ThreadBlock& block) noexcept;
  void fill_pool(std::size_t chunks, bool is_touched);
  void start_over();

  const std::uint32_t index_;
  Budget budget_;
  BucketLease bucket_lease_{budget_};
  SeriesRange series_;
  std::atomic<std::uint32_t> gate_{0};
  std::atomic<std::uint64_t> generation_{0};
  std::atomic<OverflowPolicy> policy_{OverflowPolicy::spill};
  enum class Blocking : std::uint8_t { no, yes, ended };
  std::atomic<Blocking> blocking_{Blocking::no};
  std::atomic<ThreadBlock*> blocks_{nullptr};
  std::atomic<SignalSeries*> signals_{nullptr};
  std::atomic<std::uint64_t> refused_[7]{};  ///< by Cause
  std::atomic<std::size_t> charged_{0};      ///< bytes for threads, given back by leave()
  ChunkQueue sealed_, free_;
  ChunkQueue::Producer recycler_;

  std::vector<Chunk*> left_;  ///< the drainer's, as the next two
  std::size_t withholders_ = 0;
  std::vector<Chunk*> withheld_;

  Condition space_;  ///< for threads that wait under OverflowPolicy::block: with no mutex, as they may stop anywhere
  Pressure pressure_;

  // Under the mutex of take() and leave().
  bool is_used_ = false;
  std::uint32_t next_number_ = 0;
  std::atomic<std::size_t> pool_chunks_{0};
  std::size_t all_chunks_ = 0;
  std::vector<std::pair<void*, std::size_t>> arenas_;
  std::vector<Chunk*> idle_;      ///< chunks of the pool while no collector is here
  unsigned char* const tickets_;  ///< addresses for as many as there may be series; takes memory where it is touched
  std::uint32_t tickets_used_ = 0;
  std::size_t signals_used_ = 0;
  std::vector<unsigned char*> signal_pages_;
};

/// A place for as long as one collector lives there.
class Tenancy {
 public:
  explicit Tenancy(const TelemetryConfig& config) : place_(Place::take(config)) {}
  ~Tenancy() { place_.leave(); }
  Tenancy(const Tenancy&) = delete;
  Tenancy& operator=(const Tenancy&) = delete;
  [[nodiscard]] Place& place() const noexcept { return place_; }

 private:
  Place& place_;
};

/// The place at an index that is or was in use.
[[nodiscard]] Place& place_at(std::uint64_t offset) noexcept;

/// True on a collector's own threads, which must never wait for themselves.
extern constinit thread_local bool is_service_thread;

}  // namespace pepper::detail
