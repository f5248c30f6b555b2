#pragma once

#include <pepper/detail/thread_slots.hpp>

#include <atomic>
#include <cstdint>

namespace pepper::detail {

class ThreadBlock;

/// One thread as all places know it: its slots, and behind each cursor its block. In a process-wide list, never freed; a thread that ends
/// leaves it to a later one, whole, with its half-full chunks. Owner only but for `cursors` and `state`.
struct ThreadRecord : ThreadSlots {
  ThreadBlock* blocks[kMaxPlaces];
  std::uint64_t random[kMaxSamplers];  ///< what a sampler's next gap is drawn from; owner only
  bool is_attaching;                   ///< in an allocation of ours, which may be instrumented itself
  std::atomic<bool> is_taken;
  ThreadRecord* next;  ///< in the list; set before it is published
};

/// What every thread starts with: null cursors, never written. Place 0's is parked: an unbound handle's record ends in the inlined code.
extern ThreadSlots no_slots;

/// The calling thread's record, or null if it has none (yet, or any more).
[[nodiscard]] inline ThreadRecord* this_thread() noexcept {
  ThreadSlots* const slots = this_thread_slots();
  return slots == &no_slots ? nullptr : static_cast<ThreadRecord*>(slots);
}

/// The calling thread's record for as long as one call takes: its own, which it takes now if it has none yet; after its thread's end has
/// been announced (thread_local and static destructors still record) a borrowed one. Lock-free; may allocate.
class ThreadUse {
 public:
  ThreadUse() noexcept;
  ~ThreadUse();
  ThreadUse(const ThreadUse&) = delete;
  ThreadUse& operator=(const ThreadUse&) = delete;

  /// Null: no memory for one more thread.
  [[nodiscard]] ThreadRecord* record() const noexcept { return record_; }

 private:
  ThreadRecord* record_;
  bool is_borrowed_ = false;
};

/// In a child, in the fork's handler: the calling thread is a new one to all places.
void forget_this_thread() noexcept;
/// Later: the parent's threads, none of which exists any more, leave their records to the child's. After Place::start_all_over(), so that
/// each has its blocks.
void free_all_threads() noexcept;

/// All threads there are and were, the newest first.
[[nodiscard]] ThreadRecord* newest_thread() noexcept;

/// Puts the cursors that are parked at a place back to null, so that their threads take the slow path again. After the place's gate was
/// opened.
void unpark_threads(std::uint32_t place) noexcept;

}  // namespace pepper::detail
