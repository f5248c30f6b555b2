#pragma once

#include <pepper/detail/thread_slots.hpp>

#include "chunk.hpp"
#include "chunk_queue.hpp"
#include "dynamic_cache.hpp"
#include "mapping.hpp"
#include "overload_set.hpp"

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

namespace pepper::detail {

/// What a place keeps for one recording thread: its cursor, its chunk, its two overload sets. Never freed; it belongs to the thread's slots
/// and goes with them to a later thread, which carries on in the same chunk.
///
/// The protocol is one word, {epoch, state, set, dirty, taken}, changed by compare-exchange alone. `epoch` goes up with each chunk this
/// thread begins (see Epoch), `taken` is up to where the drainer has copied records of the open one away, `set` the overload set the owner
/// folds into, `dirty` whether it holds anything.
///
///   owner, chunk full, a free one at hand   OPEN(e) -> OPEN(next)           queue the full chunk first, move the cursor, then the word
///   owner, chunk full, none                 OPEN(e) -> PREPARING(e) -> FOLDING(e) -> OPEN(next, dirty)      the same chunk again
///   drainer                                 OPEN(e) -> OPEN(e, taken, other set, clean)    copies the filled part before, merges the old
///   set after
///                                           PREPARING(e) or FOLDING(e) -> STOLEN(e)        copies the rest of the chunk before
///   owner, finding STOLEN(e)                -> OPEN(next, other set, clean)
///
/// Why that is right. Nothing is lost or counted twice, as a record is in exactly one of: the part of the chunk beyond `taken`, the set,
/// the queue, the drainer's copies; and each compare-exchange moves whole parts between them. The owner never waits: a drainer's change
/// makes at most one of its exchanges fail per look. The drainer never waits either: an owner that is stopped, even for good, leaves a word
/// that the drainer can change, and if an exchange fails the owner has moved on, so what was to be copied is in the queue or in the set by
/// then. A set has one owner at a time: the thread that of sets[word.set], the drainer the other, which it has emptied before any exchange
/// that hands it over. After a theft the thread may go on changing cells of the stolen set until it looks at the word; these are logged by
/// then (see OverloadSet), so the drainer reads the log in their place, and empties the set only once the word shows that the owner has
/// left it. The copies of chunk records taken before a failed exchange are thrown away.
class alignas(kCacheLine) ThreadBlock {
 public:
  /// Says which of its thread's chunks one is, how many records came before it, and where in it the thread began: at the start, or, after a
  /// fold of its own, at the second third. So the longest call folds 255 records seldom, and 170 again and again. The lowest bit: short;
  /// above it thirds of a chunk begun before, and one.
  struct Epoch {
    static constexpr std::uint32_t kThird = kChunkRecords / 3;
    static_assert(3 * kThird == kChunkRecords);
    static constexpr std::uint64_t kFirst = 2;

    /// Index of its first record.
    [[nodiscard]] static constexpr std::uint32_t begin(std::uint64_t epoch) noexcept { return (epoch & 1) != 0 ? kThird : 0; }
    [[nodiscard]] static constexpr std::uint64_t next(std::uint64_t epoch, bool is_short) noexcept {
      return (epoch & ~std::uint64_t{1}) + ((epoch & 1) != 0 ? 4 : 6) + (is_short ? 1 : 0);
    }
    /// Records that the thread had made once the chunk was filled up to index `end`.
    [[nodiscard]] static constexpr std::uint64_t position(std::uint64_t epoch, std::uint32_t end) noexcept {
      return ((epoch >> 1) - 1) * kThird + end - begin(epoch);
    }
  };

  /// Throws std::bad_alloc.
  ThreadBlock(Cursor& cursor, ChunkQueue::Producer producer, std::size_t capacity) : cursor_(cursor) {
    replace_producer(std::move(producer), capacity);
  }

  ~ThreadBlock();
  ThreadBlock(const ThreadBlock&) = delete;
  ThreadBlock& operator=(const ThreadBlock&) = delete;

  [[nodiscard]] bool reserve(std::uint32_t set_capacity, Budget& budget) noexcept {
    return sets_[0].reserve(set_capacity, budget) && sets_[1].reserve(set_capacity, budget);
  }

  // Owner thread. -------------------------------------------------------------------------------------------------------------------

  /// Which collector of its place this thread has last recorded for.
  std::uint64_t generation = 0;
  /// For how many chunks under way its end of the queue has room; 0: it has none since start_over().
  [[nodiscard]] std::size_t queue_capacity() const noexcept {
    const QueueEnd* const end = queue_ends_.load(std::memory_order_relaxed);  // [relaxed: owner writes it]
    return end == nullptr ? 0 : end->capacity;
  }
  /// From now on pushes through this end: for a collector with a larger pool than the one before. Throws std::bad_alloc.
  void replace_producer(ChunkQueue::Producer producer, std::size_t capacity);
  /// Never was touched by attach_thread(), and never folded its own.
  bool is_untouched = true;
  /// A free chunk that could not be used; tried first next time.
  Chunk* spare = nullptr;
  std::unique_ptr<DynamicCache> cache;

  [[nodiscard]] bool has_chunk() const noexcept { return chunk_.load(std::memory_order_relaxed) != nullptr; }  // [relaxed: owner writes it]
  /// Begins the first chunk.
  void open(Chunk* first) noexcept;
  /// Queues the full chunk and begins `fresh`. False: the queue had no room, nothing was changed.
  [[nodiscard]] bool seal_into(Chunk* fresh, ChunkQueue& sealed) noexcept;
  /// The own set holds something that no look has taken yet.
  [[nodiscard]] bool has_folded() const noexcept {
    return Word::of(word_.load(std::memory_order_relaxed)).dirty;  // [relaxed: decides which way, not what is seen on it]
  }
  /// Folds the full chunk into the own set and begins it anew. True: a look should empty the set soon.
  bool fold_own(const SeriesRange& series) noexcept;
  /// Counts the full chunk as lost and begins it anew.
  void lose_own(Found cause) noexcept;
  /// Touches chunk and sets. See OverloadSet::touch().
  void touch(std::uint32_t series, std::uint32_t distributions, bool has_checks) noexcept;

  // Drainer, under the drain mutex. -------------------------------------------------------------------------------------------------

  /// What a look took. The records are in the buffer given to claim(); the set is the drainer's until finish().
  struct Claim {
    enum class How : std::uint8_t { no_set, flipped, stolen_while_preparing, stolen_while_folding };
    How how = How::no_set;
    std::uint8_t set = 0;
    std::uint32_t stamp = 0;
    std::uint32_t records = 0;
  };
  /// Takes everything this thread recorded before the call and has not queued, into `buffer` (room for 255) and the claim.
  /// `always_exchange`: the owner's next fold is to see what was written before this call, even if there is nothing to take.
  [[nodiscard]] Claim claim(Record* buffer, bool always_exchange = false) noexcept;
  /// Visits what a claimed set holds, returns its tally. See OverloadSet.
  template <class Visit>
  const Tally& visit(const Claim& claim, Visit&& visit) const noexcept {
    const OverloadSet& set = sets_[claim.set];
    if (claim.how == Claim::How::flipped) return set.visit_all(visit);
    if (claim.how == Claim::How::stolen_while_preparing) return set.visit_before_prepare(visit);
    return set.visit_before_fold(claim.stamp, visit);
  }
  /// The same for the pages of buckets.
  template <class Visit>
  void visit_buckets(const Claim& claim, Visit&& visit) const noexcept {
    const OverloadBuckets& buckets = sets_[claim.set].buckets();
    if (claim.how == Claim::How::flipped) {
      buckets.visit_all(visit);
    } else {
      buckets.visit_before(visit);
    }
  }
  void finish(const Claim& claim) noexcept {
    if (claim.how == Claim::How::flipped) sets_[claim.set].clear();
  }
  /// Up to which index claims have taken records of a queued chunk of that epoch already.
  [[nodiscard]] std::uint32_t taken_of(std::uint64_t epoch) const noexcept {
    return epoch == claimed_.epoch ? claimed_.taken : epoch == previous_.epoch ? previous_.taken : Epoch::begin(epoch);
  }
  [[nodiscard]] std::uint64_t claimed_epoch() const noexcept { return claimed_.epoch; }
  /// The epoch that the latest claim() met: chunks up to it were queued before.
  [[nodiscard]] std::uint64_t marked_epoch() const noexcept { return marked_epoch_; }
  /// The next chunk this thread has queued, in its order; null: none.
  [[nodiscard]] Chunk* pop_sealed(ChunkQueue& sealed) const noexcept;
  void note_taken(std::uint64_t epoch, std::uint32_t taken) noexcept {
    if (epoch != claimed_.epoch) previous_ = claimed_;
    claimed_ = {epoch, taken};
  }
  /// The owner's cursor has left the chunk of that epoch.
  [[nodiscard]] bool has_left(std::uint64_t epoch) const noexcept;
  /// How many records this thread has ever made here, from its cursor alone.
  [[nodiscard]] std::uint64_t position() const noexcept;
  /// The position up to which looks have taken everything.
  [[nodiscard]] std::uint64_t taken_position() const noexcept { return Epoch::position(claimed_.epoch, claimed_.taken); }
  /// Empties the sets and gives their memory back, unless the owner is in the middle of a fold.
  void release_sets() noexcept;

  /// In a child: back to its first chunk, empty, with no end of the queue, whatever its thread or the drainer was in the middle of.
  void start_over() noexcept;
  [[nodiscard]] Cursor& cursor() const noexcept { return cursor_; }

  ThreadBlock* next = nullptr;  ///< in the place's list; set before it is published

 private:
  enum class State : std::uint8_t { open, preparing, folding, stolen };
  struct Word {
    std::uint64_t epoch;
    std::uint32_t taken;
    State state;
    std::uint8_t set;
    bool dirty;

    [[nodiscard]] static Word of(std::uint64_t bits) noexcept {
      return {bits >> 12, static_cast<std::uint32_t>(bits >> 4 & 0xff), static_cast<State>(bits & 3),
              static_cast<std::uint8_t>(bits >> 2 & 1), (bits >> 3 & 1) != 0};
    }
    [[nodiscard]] std::uint64_t bits() const noexcept {
      return epoch << 12 | std::uint64_t{taken} << 4 | std::uint64_t{dirty} << 3 | std::uint64_t{set} << 2 |
             static_cast<std::uint64_t>(state);
    }
  };
  struct Taken {
    std::uint64_t epoch = Epoch::kFirst;
    std::uint32_t taken = 0;
  };

  /// Where the owner pushes what it has sealed. The newest first; what is under way in an older one must still be found.
  struct QueueEnd {
    mutable ChunkQueue::Producer producer;
    std::size_t capacity;
    const QueueEnd* older;
  };
  [[nodiscard]] const QueueEnd& queue_end() const noexcept {
    return *queue_ends_.load(std::memory_order_relaxed);  // [relaxed: owner writes it]
  }

  void drop_queue_ends() noexcept;
  [[nodiscard]] static std::uint32_t stamp_of(std::uint64_t epoch) noexcept {
    return static_cast<std::uint32_t>((epoch >> 2) % 0xffff'ffffu) + 1;  // a chunk has two thirds at least
  }
  [[nodiscard]] Word look() const noexcept {
    return Word::of(word_.load(std::memory_order_acquire));  // [word:acquire] pairs with [word:release] in exchange()
  }
  [[nodiscard]] bool exchange(Word& expected, const Word& next) noexcept;
  [[nodiscard]] Word begin_fold() noexcept;
  void begin_again(Word was, bool is_short) noexcept;
  void move_cursor(Chunk* chunk, std::uint64_t epoch) noexcept;
  /// Up to which index the chunk of an OPEN word is filled, and which chunk to copy that from: null if it is in the queue.
  struct Filled {
    std::uint32_t end;
    Chunk* chunk;
  };
  [[nodiscard]] Filled filled(const Word& word) const noexcept;
  static void copy(Record* to, const Chunk& chunk, std::uint32_t from, std::uint32_t end) noexcept;

  // Line 1: what owner and drainer share; touched by the owner once in a chunk.
  std::atomic<std::uint64_t> word_{Word{Epoch::kFirst, 0, State::open, 0, false}.bits()};
  std::atomic<Chunk*> chunk_{nullptr};
  Cursor& cursor_;
  Chunk* first_chunk_ = nullptr;
  // Owner only from here...
  alignas(kCacheLine) std::atomic<const QueueEnd*> queue_ends_{nullptr};
  OverloadSet sets_[2];
  // ...and drainer only from here: apart from the owner's lines, as both work at once.
  alignas(kCacheLine) Taken claimed_, previous_;
  std::uint64_t marked_epoch_ = 0;
  bool stolen_is_uncleared_ = false;
};

}  // namespace pepper::detail
