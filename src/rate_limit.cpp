#include "rate_limit.hpp"

#include "clock.hpp"
#include "mapping.hpp"
#include "mutex.hpp"
#include "place.hpp"

#include <algorithm>
#include <chrono>
#include <mutex>
#include <new>
#include <stdexcept>
#include <utility>

namespace pepper::detail {

constinit std::atomic<std::uint64_t> rate_tick{1};

namespace {

constexpr std::uint32_t kMaxLimits = kMaxRatePages * RatePage::kSlots;
/// Mapped as they are needed, for good: zero pages are limits that nobody has.
constexpr std::size_t kLimitsPerPage = 1024;
constinit std::atomic<Limit*> limit_pages[kMaxLimits / kLimitsPerPage]{};

constinit Mutex limits_mutex;
constinit std::uint64_t last_number = 0;  // this and the next two: under the mutex
constinit std::uint32_t next_unused = 1;  // limit 0 is never given out
constinit std::uint32_t last_freed = 0;   // 0: all that are not alive are unused

/// Under the mutex. The one that was freed last comes first, as its slots are mapped where they are needed: a limit for each request must
/// not map them all, in each thread. Throws as open_limit().
std::uint32_t take_index() {
  if (last_freed != 0) return std::exchange(last_freed, limit_at(last_freed).next_free);
  if (next_unused == kMaxLimits) throw std::length_error("RateLimitedCollector: 131,071 rate limits are alive already");
  std::atomic<Limit*>& page = limit_pages[next_unused / kLimitsPerPage];
  if (page.load(std::memory_order_relaxed) == nullptr)                        // [relaxed: written under the mutex]
    page.store(map_array<Limit>(kLimitsPerPage), std::memory_order_release);  // [limits:release] pairs with [limits:acquire] in limit_at()
  return next_unused++;
}

RateSlot* slot_of(ThreadRecord& thread, std::uint32_t index, std::uint64_t place) noexcept {
  std::atomic<RatePage*>& known = thread.rates[index / RatePage::kSlots];
  RatePage* page = known.load(std::memory_order_relaxed);  // [relaxed: owner only]
  if (page == nullptr) {
    if (!place_at(place).try_charge(sizeof(RatePage))) return nullptr;
    page = static_cast<RatePage*>(map_pages(sizeof(RatePage)));
    if (page == nullptr) return nullptr;
    known.store(page, std::memory_order_release);  // [rates:release] pairs with [rates:acquire] in for_each_slot()
  }
  return &page->slots[index % RatePage::kSlots];
}

}  // namespace

Limit& limit_at(std::uint32_t index) noexcept {
  // [limits:acquire] pairs with [limits:release] in take_index()
  return limit_pages[index / kLimitsPerPage].load(std::memory_order_acquire)[index % kLimitsPerPage];
}

/// By the generic cell rate algorithm, ITU-T I.371.
std::uint64_t Limit::take(std::uint64_t of) noexcept {
  const std::int64_t now = now_steady().time_since_epoch() / std::chrono::nanoseconds{1};
  // [arrival:acquire] pairs with [arrival:release] below and in close_limit(): who reads what was written as this limit ended, or later,
  // finds below that it has
  std::int64_t next = arrival.load(std::memory_order_acquire);
  for (;;) {
    if (number.load(std::memory_order_relaxed) != of) return 0;    // [relaxed: after the acquire]
    const double each = interval.load(std::memory_order_relaxed);  // [relaxed: this and the next two: published with the number]
    if (each == 0) return 0;
    const double early = patience.load(std::memory_order_relaxed), most = batch.load(std::memory_order_relaxed);  // [relaxed: as above]
    const std::int64_t begin = std::max(next, now);
    const double taken = std::min(most, (early - static_cast<double>(begin - now)) / each);
    if (taken < 1) return 0;
    const auto whole = static_cast<std::uint64_t>(taken);
    const auto end = begin + static_cast<std::int64_t>(static_cast<double>(whole) * each);
    // Fails if the limit has ended (but where its successor has come to the same nanosecond: then that one pays); else close_limit() comes
    // after it, and free_limit() finds the slot that the credit goes to. [arrival:release] and [arrival:acquire] pair with those there and
    // above
    if (arrival.compare_exchange_weak(next, end, std::memory_order_release, std::memory_order_acquire)) return whole;
  }
}

LimitName open_limit(double max_per_second, std::uint64_t place, bool asks_clock) {
  const std::lock_guard lock(limits_mutex);
  const std::uint32_t index = take_index();
  const std::uint64_t number = ++last_number;
  Limit& limit = limit_at(index);
  const double interval = max_per_second == 0 ? 0 : 1e9 / max_per_second;
  limit.interval.store(interval, std::memory_order_relaxed);                           // [relaxed: published with the number]
  limit.patience.store(std::max(interval, 1e9), std::memory_order_relaxed);            // [relaxed: published with the number]
  limit.batch.store(std::max(1.0, max_per_second / 1000), std::memory_order_relaxed);  // [relaxed: published with the number]
  limit.place.store(place, std::memory_order_relaxed);                                 // [relaxed: published with the number]
  limit.asks_clock.store(asks_clock, std::memory_order_relaxed);                       // [relaxed: published with the number]
  // [limit_refused:release] pairs with [limit_refused:acquire] in refused_of()
  limit.refused.store(0, std::memory_order_release);
  limit.has_refused.store(false, std::memory_order_release);  // [has_refused:release] pairs with [has_refused:acquire] in refused_of()
  limit.number.store(number, std::memory_order_release);      // [limit:release] pairs with [limit:acquire] in pass_slow()
  return {index, number};
}

void close_limit(LimitName name) noexcept {
  Limit& limit = limit_at(name.index);
  limit.number.store(0, std::memory_order_relaxed);  // [relaxed: the exchange publishes it, and a late call is one that came before]
  // Long ago, and what it never was before and never will be: so that no take() that has read it before takes it for what it knows.
  // [arrival:acquire] and [arrival:release] pair with [arrival:release] and [arrival:acquire] in take()
  (void)limit.arrival.exchange(-static_cast<std::int64_t>(name.number), std::memory_order_acq_rel);
}

std::uint64_t free_limit(LimitName limit) noexcept {
  std::uint64_t refused = limit_at(limit.index).refused.load(std::memory_order_relaxed);  // [relaxed: a number, guards no data]
  for_each_slot(limit.index, [&](RateSlot& slot) {
    std::uint64_t known = limit.number;
    // [slot_number:release] pairs with [slot_number:acquire] in refused_of(): who finds it gone finds what was done before as well.
    // [relaxed: nothing is read]
    if (slot.number.compare_exchange_strong(known, 0, std::memory_order_release, std::memory_order_relaxed))
      refused += slot.refused.load(std::memory_order_relaxed);  // [relaxed: a number, guards no data]
  });
  const std::lock_guard lock(limits_mutex);
  limit_at(limit.index).next_free = std::exchange(last_freed, limit.index);
  return refused;
}

std::uint64_t refused_of(LimitName name) noexcept {
  const Limit& limit = limit_at(name.index);
  // [limit_refused:acquire] pairs with [limit_refused:release] in open_limit()
  std::uint64_t sum = limit.refused.load(std::memory_order_acquire);
  // Most limits are never exceeded, and need not be asked of every thread. [has_refused:acquire] pairs with [has_refused:release] there
  if (!limit.has_refused.load(std::memory_order_acquire)) return sum;
  for_each_slot(name.index, [&](const RateSlot& slot) {
    // [slot_number:acquire] pairs with [slot_number:release] in pass_slow() and free_limit(), [slot_refused:acquire] with
    // [slot_refused:release] in pass() and pass_slow()
    if (slot.number.load(std::memory_order_acquire) == name.number) sum += slot.refused.load(std::memory_order_acquire);
  });
  return sum;
}

[[gnu::noinline, gnu::cold]] bool RateGate::pass_slow() const noexcept {
  if (number_ == 0) return true;
  Limit& limit = limit_at(index());
  // [limit:acquire] pairs with [limit:release] in open_limit()
  if (limit.number.load(std::memory_order_acquire) != number_) return false;
  const ThreadUse use;
  ThreadRecord* const thread = use.record();
  // [relaxed: published with the number]
  RateSlot* const slot = thread == nullptr ? nullptr : slot_of(*thread, index(), limit.place.load(std::memory_order_relaxed));
  if (slot != nullptr && slot->number.load(std::memory_order_relaxed) != number_) {  // [relaxed: owner, or whoever has ended that limit]
    slot->credit.store(0, std::memory_order_relaxed);                                // [relaxed: owner only]
    slot->refused.store(0, std::memory_order_release);       // [slot_refused:release] pairs with [slot_refused:acquire] in refused_of()
    slot->number.store(number_, std::memory_order_release);  // [slot_number:release] pairs with [slot_number:acquire] in refused_of()
  }
  // Before the clock is read: a tick that comes after it is another. [relaxed: says only: look again]
  const std::uint64_t tick = limit.asks_clock.load(std::memory_order_relaxed) ? 0 : rate_tick.load(std::memory_order_relaxed);
  const std::uint64_t taken = limit.take(number_);
  if (slot == nullptr) {
    // [relaxed: a hint, as is what it guards: without memory, a call of a limit that ends may be counted for the next]
    if (taken == 0 && limit.number.load(std::memory_order_relaxed) == number_)
      limit.refused.fetch_add(1, std::memory_order_relaxed);  // [relaxed: goes on with what open_limit() released]
    return taken != 0;
  }
  if (taken != 0) {
    slot->credit.store(taken - 1, std::memory_order_relaxed);  // [relaxed: owner only]
    return true;
  }
  slot->tick.store(tick, std::memory_order_relaxed);  // [relaxed: owner only]
  // Before any is counted. [relaxed: this and the next: coherence: who knows of the call sees it]
  if (!limit.has_refused.load(std::memory_order_relaxed)) limit.has_refused.store(true, std::memory_order_relaxed);  // [relaxed: as above]
  // [slot_refused:release] pairs with [slot_refused:acquire] in refused_of(); [relaxed: owner writes it]
  slot->refused.store(slot->refused.load(std::memory_order_relaxed) + 1, std::memory_order_release);
  return false;
}

}  // namespace pepper::detail
