#pragma once

#include <pepper/detail/rate_gate.hpp>

#include "threads.hpp"

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace pepper::detail {

/// One limit, as all threads share it. Never destroyed, as threads record through static destruction; used by one RateLimitedCollector's
/// series after another.
struct Limit {
  std::atomic<std::uint64_t> number{0};   ///< unlike that of all before it; 0: there is none
  std::atomic<double> interval{0};        ///< nanoseconds from one call to the next
  std::atomic<double> patience{0};        ///< nanoseconds by which calls may come early
  std::atomic<double> batch{0};           ///< calls that a thread takes at once
  std::atomic<std::int64_t> arrival{0};   ///< when the next call would come if all came evenly, in nanoseconds of the steady clock
  std::atomic<std::uint64_t> refused{0};  ///< by threads that have no slot
  std::atomic<std::uint64_t> place{0};    ///< whose budget pays for slots
  std::uint32_t next_free{0};             ///< under the mutex of all; 0: none
  std::atomic<bool> asks_clock{false};    ///< no flusher looks
  std::atomic<bool> has_refused{false};   ///< by a thread that counts it in its slot

  /// Takes credit of the limit that has this number: as much as there is, up to a batch. Lock-free.
  [[nodiscard]] std::uint64_t take(std::uint64_t of) noexcept;
};

/// Of one that was ever opened.
[[nodiscard]] Limit& limit_at(std::uint32_t index) noexcept;

struct LimitName {
  std::uint32_t index;
  std::uint64_t number;
};
/// `place`: whose budget pays for slots. Thread-safe. Throws std::bad_alloc, std::length_error where 131,071 are open.
[[nodiscard]] LimitName open_limit(double max_per_second, std::uint64_t place, bool asks_clock);
/// From now on it gives no credit. Thread-safe, once.
void close_limit(LimitName limit) noexcept;
/// After that: takes away the credit that threads still have, and leaves the limit to the next. Returns what was refused, but for calls
/// that threads are in the middle of. Thread-safe, once.
[[nodiscard]] std::uint64_t free_limit(LimitName limit) noexcept;
/// What has been refused, every call included that happened before. Anything, where the limit is freed meanwhile: but whoever then looks
/// for what its owner did before free_limit() finds it done.
[[nodiscard]] std::uint64_t refused_of(LimitName limit) noexcept;

/// Of all threads there are and were.
template <class Visit>
void for_each_slot(std::uint32_t index, Visit&& visit) noexcept {
  for (ThreadRecord* thread = newest_thread(); thread != nullptr; thread = thread->next) {
    // [rates:acquire] pairs with [rates:release] in slot_of()
    if (RatePage* const page = thread->rates[index / RatePage::kSlots].load(std::memory_order_acquire))
      visit(page->slots[index % RatePage::kSlots]);
  }
}

}  // namespace pepper::detail
