#pragma once

#include <atomic>
#include <cstdint>

namespace pepper::detail {

class Collector;

// A child has a working library of its own, which knows the same series and starts at zero. How:
//
//   before the fork   waits until no thread is in a Section: so every Mutex is free, and what they guard is whole
//   in the child      forgets the calling thread's slots, and says that all is unsettled. Nothing else: most children only exec()
//   first use         whoever records or calls next in the child settles it: queues, pools and cursors are made anew, aggregates emptied,
//                     threads started
//
// Until then no thread of the child has slots, the one that forked included, so that each one's first record comes by settle(). What
// happens outside of sections, on the way of a record, the fork may have stopped anywhere: queues are abandoned, and thread blocks put back
// to their beginning whatever state they are in.

/// True in a child that has not been used yet.
extern constinit std::atomic<bool> is_unsettled;
[[nodiscard]] bool settle_slow() noexcept;

/// Before anything that a fork can have left in pieces is used, and again after a user's function has run, as that may have forked. False:
/// no memory for it, or called from within.
[[nodiscard]] inline bool settle() noexcept {
  return !is_unsettled.load(std::memory_order_acquire) || settle_slow();  // [settled:acquire] pairs with [settled:release] in settle_slow()
}

/// A collector is alive at its place; or no longer.
void enlist(std::uint32_t place, Collector& collector) noexcept;
void delist(std::uint32_t place) noexcept;

}  // namespace pepper::detail
