#include "rate_limits.hpp"

#include "clock.hpp"
#include "mapping.hpp"
#include "threads.hpp"

#include <algorithm>
#include <chrono>
#include <mutex>
#include <new>
#include <stdexcept>

namespace pepper::detail {

constinit std::atomic<std::uint64_t> rate_tick{1};

namespace {

constexpr std::size_t kNodeBytes = 64;  // of what finds a node, about
constexpr std::size_t kMaxLimits = kMaxRatePages * RatePage::kSlots;

/// One limit, as all threads share it. Never destroyed, as threads record through static destruction.
struct Limit {
  std::atomic<std::uint64_t> number{0};   ///< unlike that of all before it; 0: there is none
  std::atomic<double> interval{0};        ///< nanoseconds from one call to the next
  std::atomic<double> patience{0};        ///< nanoseconds by which calls may come early
  std::atomic<double> batch{0};           ///< calls that a thread takes at once
  std::atomic<std::int64_t> arrival{0};   ///< when the next call would come if all came evenly, in nanoseconds of the steady clock
  std::atomic<std::uint64_t> refused{0};  ///< by threads that have no slot
  std::atomic<std::uint64_t> place{0};    ///< whose budget pays for slots
  std::atomic<bool> asks_clock{false};    ///< no flusher looks

  /// Takes credit: as much as there is, up to a batch. By the generic cell rate algorithm, ITU-T I.371. Lock-free.
  [[nodiscard]] std::uint64_t take() noexcept {
    const double each = interval.load(std::memory_order_relaxed);  // [relaxed: this and the next two: published with the number]
    if (each == 0) return 0;
    const double early = patience.load(std::memory_order_relaxed), most = batch.load(std::memory_order_relaxed);  // [relaxed: as above]
    const std::int64_t now = now_steady().time_since_epoch() / std::chrono::nanoseconds{1};
    std::int64_t next = arrival.load(std::memory_order_relaxed);  // [relaxed: a number, guards no data]
    for (;;) {
      const std::int64_t begin = std::max(next, now);
      const double taken = std::min(most, (early - static_cast<double>(begin - now)) / each);
      if (taken < 1) return 0;
      const auto whole = static_cast<std::uint64_t>(taken);
      const auto end = begin + static_cast<std::int64_t>(static_cast<double>(whole) * each);
      if (arrival.compare_exchange_weak(next, end, std::memory_order_relaxed)) return whole;  // [relaxed: a number, guards no data]
    }
  }
};
/// Mapped as they are needed, for good: zero pages are limits that nobody has.
constexpr std::size_t kLimitsPerPage = 1024;
constinit std::atomic<Limit*> limit_pages[kMaxLimits / kLimitsPerPage]{};

/// Of one that was ever given out.
Limit& limit_at(std::uint32_t index) noexcept {
  // [limits:acquire] pairs with [limits:release] in map_limit()
  return limit_pages[index / kLimitsPerPage].load(std::memory_order_acquire)[index % kLimitsPerPage];
}

/// Under limits_mutex. Throws std::bad_alloc.
Limit& map_limit(std::uint32_t index) {
  std::atomic<Limit*>& page = limit_pages[index / kLimitsPerPage];
  if (page.load(std::memory_order_relaxed) == nullptr) {  // [relaxed: written under the mutex]
    auto* const mapped = static_cast<Limit*>(map_pages(round_up_to_pages(kLimitsPerPage * sizeof(Limit))));
    if (mapped == nullptr) throw std::bad_alloc{};
    page.store(mapped, std::memory_order_release);  // [limits:release] pairs with [limits:acquire] in limit_at()
  }
  return limit_at(index);
}

// Limit 0 is never given out.
constinit Mutex limits_mutex;
constinit std::uint64_t last_number = 0;

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

/// Of all threads there are and were.
template <class Visit>
void for_each_slot(std::uint32_t index, Visit&& visit) noexcept {
  for (ThreadRecord* thread = newest_thread(); thread != nullptr; thread = thread->next) {
    // [rates:acquire] pairs with [rates:release] in slot_of()
    if (RatePage* const page = thread->rates[index / RatePage::kSlots].load(std::memory_order_acquire))
      visit(page->slots[index % RatePage::kSlots]);
  }
}

std::uint64_t refused_by_threads(std::uint32_t index, std::uint64_t number) noexcept {
  std::uint64_t sum = limit_at(index).refused.load(std::memory_order_relaxed);  // [relaxed: a number, guards no data]
  for_each_slot(index, [&](const RateSlot& slot) {
    // [slot_number:acquire] pairs with [slot_number:release] in pass_slow(); [relaxed: coherence: what happened before a flush is seen]
    if (slot.number.load(std::memory_order_acquire) == number) sum += slot.refused.load(std::memory_order_relaxed);
  });
  return sum;
}

}  // namespace

[[gnu::noinline, gnu::cold]] bool RateGate::pass_slow() const noexcept {
  if (number_ == 0) return true;
  Limit& limit = limit_at(index());
  // [limit:acquire] pairs with [limit:release] in RateLimits::get()
  if (limit.number.load(std::memory_order_acquire) != number_) return false;
  const ThreadUse use;
  ThreadRecord* const thread = use.record();
  // [relaxed: published with the number]
  RateSlot* const slot = thread == nullptr ? nullptr : slot_of(*thread, index(), limit.place.load(std::memory_order_relaxed));
  if (slot != nullptr && slot->number.load(std::memory_order_relaxed) != number_) {  // [relaxed: owner only]
    slot->credit.store(0, std::memory_order_relaxed);                                // [relaxed: owner only]
    slot->refused.store(0, std::memory_order_relaxed);                               // [relaxed: published with the number]
    slot->number.store(number_, std::memory_order_release);  // [slot_number:release] pairs with [slot_number:acquire] above
  }
  // Before the clock is read: a tick that comes after it is another. [relaxed: says only: look again]
  const std::uint64_t tick = limit.asks_clock.load(std::memory_order_relaxed) ? 0 : rate_tick.load(std::memory_order_relaxed);
  const std::uint64_t taken = limit.take();
  if (slot == nullptr) {
    if (taken == 0) limit.refused.fetch_add(1, std::memory_order_relaxed);  // [relaxed: a number, guards no data]
    return taken != 0;
  }
  if (taken != 0) {
    slot->credit.store(taken - 1, std::memory_order_relaxed);  // [relaxed: owner only]
    return true;
  }
  slot->tick.store(tick, std::memory_order_relaxed);  // [relaxed: owner only]
  // [relaxed: owner writes it, a count that guards no data]
  slot->refused.store(slot->refused.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  return false;
}

RateLimits::~RateLimits() {
  for (const std::unique_ptr<Node>& node : nodes_) end(*node);
}

RateGate RateLimits::get(std::uint64_t group, std::uint32_t series, double max_per_second) {
  const std::lock_guard lock(mutex_);
  Node* node = nullptr;
  for (auto [at, end] = by_series_.equal_range(series); at != end; ++at) {
    Node* const known = at->second;
    const std::uint64_t state = known->state.load(std::memory_order_relaxed);  // [relaxed: written under the mutex]
    if ((state & 1) == 0) {
      node = known;
    } else if (known->group == group) {
      return {known->index.load(std::memory_order_relaxed), state >> 1};  // [relaxed: written under the mutex]
    }
  }
  if (node == nullptr) {
    if (!place_.try_charge(sizeof(Node) + kNodeBytes)) throw std::bad_alloc{};
    // [relaxed: written under the mutex]
    node = nodes_.emplace_back(std::make_unique<Node>(series, newest_.load(std::memory_order_relaxed))).get();
    by_series_.emplace(series, node);
    newest_.store(node, std::memory_order_release);  // [limits_node:release] pairs with [limits_node:acquire] in refused()
  }
  const std::lock_guard all(limits_mutex);
  // Round and round, so that a late call of a limit that is gone finds for long that nobody has taken its slot.
  for (std::size_t tried = 1; tried < kMaxLimits; ++tried) {
    const std::uint64_t number = ++last_number;
    const auto index = static_cast<std::uint32_t>(number % (kMaxLimits - 1) + 1);
    Limit& limit = map_limit(index);
    if (limit.number.load(std::memory_order_relaxed) != 0) continue;  // [relaxed: written under the mutex]
    const double interval = max_per_second == 0 ? 0 : 1e9 / max_per_second;
    limit.interval.store(interval, std::memory_order_relaxed);                                      // [relaxed: published with the number]
    limit.patience.store(std::max(interval, 1e9), std::memory_order_relaxed);                       // [relaxed: published with the number]
    limit.batch.store(std::max(1.0, max_per_second / 1000), std::memory_order_relaxed);             // [relaxed: published with the number]
    limit.arrival.store(0, std::memory_order_relaxed);                                              // [relaxed: published with the number]
    limit.refused.store(0, std::memory_order_relaxed);                                              // [relaxed: published with the number]
    limit.place.store(place_.offset(), std::memory_order_relaxed);                                  // [relaxed: published with the number]
    limit.asks_clock.store(is_manual_, std::memory_order_relaxed);                                  // [relaxed: published with the number]
    node->base.store(node->state.load(std::memory_order_relaxed) >> 1, std::memory_order_relaxed);  // [relaxed: published with the state]
    node->index.store(index, std::memory_order_relaxed);                                            // [relaxed: published with the state]
    node->group = group;
    limit.number.store(number, std::memory_order_release);          // [limit:release] pairs with [limit:acquire] in pass_slow()
    node->state.store(number << 1 | 1, std::memory_order_release);  // [limit_state:release] pairs with [limit_state:acquire] in count()
    return {index, number};
  }
  throw std::length_error("RateLimitedCollector: 131,071 rate limits are alive already");
}

std::uint64_t RateLimits::count(const Node& node) noexcept {
  // [limit_state:acquire] pairs with [limit_state:release] in get() and end()
  for (std::uint64_t state = node.state.load(std::memory_order_acquire);;) {
    if ((state & 1) == 0) return state >> 1;
    // [relaxed: both constant as long as the state is what it was]
    const std::uint64_t base = node.base.load(std::memory_order_relaxed);
    const std::uint64_t sum = base + refused_by_threads(node.index.load(std::memory_order_relaxed), state >> 1);  // [relaxed: as above]
    const std::uint64_t now = node.state.load(std::memory_order_acquire);  // [limit_state:acquire] as above
    if (now == state) return sum;
    state = now;
  }
}

void RateLimits::end(Node& node) noexcept {
  if ((node.state.load(std::memory_order_relaxed) & 1) == 0) return;    // [relaxed: written under the mutex]
  Limit& limit = limit_at(node.index.load(std::memory_order_relaxed));  // [relaxed: written under the mutex]
  const std::uint64_t left = count(node) << 1;
  node.state.store(left, std::memory_order_release);  // [limit_state:release] pairs with [limit_state:acquire] in count()
  const std::lock_guard all(limits_mutex);
  const std::uint64_t number = limit.number.exchange(0, std::memory_order_relaxed);  // [relaxed: a late call is one that came before]
  // The credit that threads still have goes with it.
  for_each_slot(node.index.load(std::memory_order_relaxed), [number](RateSlot& slot) {  // [relaxed: written under the mutex]
    std::uint64_t known = number;
    slot.number.compare_exchange_strong(known, 0, std::memory_order_relaxed);  // [relaxed: a late call is one that came before]
  });
}

void RateLimits::end(std::uint64_t group) noexcept {
  const std::lock_guard lock(mutex_);
  for (const std::unique_ptr<Node>& node : nodes_) {
    if (node->group == group) end(*node);
  }
}

void RateLimits::be_manual() noexcept {
  const std::lock_guard lock(mutex_);
  is_manual_ = true;
  for (const std::unique_ptr<Node>& node : nodes_) {
    if ((node->state.load(std::memory_order_relaxed) & 1) != 0)  // [relaxed: written under the mutex]
      limit_at(node->index.load(std::memory_order_relaxed))
          .asks_clock.store(true, std::memory_order_relaxed);  // [relaxed: says: look again]
  }
  rate_tick.fetch_add(1, std::memory_order_relaxed);  // [relaxed: says only: look again]
}

std::vector<Refused> RateLimits::refused() {
  std::vector<Refused> all;
  // [limits_node:acquire] pairs with [limits_node:release] in get()
  for (Node* node = newest_.load(std::memory_order_acquire); node != nullptr; node = const_cast<Node*>(node->older)) {
    if (!is_discarding_) node->shown = count(*node) - node->ignored;
    if (node->shown != 0) all.push_back({node->series, node->shown});
  }
  std::ranges::sort(all, {}, &Refused::series);
  std::size_t kept = 0;
  for (const Refused& refused : all) {
    if (kept != 0 && all[kept - 1].series == refused.series) {
      all[kept - 1].count += refused.count;
    } else {
      all[kept++] = refused;
    }
  }
  all.resize(kept);
  return all;
}

void RateLimits::set_discarding(bool is_discarding) noexcept {
  if (is_discarding == is_discarding_) return;
  is_discarding_ = is_discarding;
  // [limits_node:acquire] pairs with [limits_node:release] in get()
  for (Node* node = newest_.load(std::memory_order_acquire); node != nullptr; node = const_cast<Node*>(node->older)) {
    if (is_discarding) {
      node->shown = count(*node) - node->ignored;
    } else {
      node->ignored = count(*node) - node->shown;
    }
  }
}

void RateLimits::start_over() noexcept {
  for (const std::unique_ptr<Node>& node : nodes_) {
    node->shown = node->ignored = 0;
    const std::uint64_t state = node->state.load(std::memory_order_relaxed);  // [relaxed: this and the rest: no thread records yet]
    if ((state & 1) == 0) {
      node->state.store(0, std::memory_order_relaxed);  // [relaxed: as above]
      continue;
    }
    const std::uint32_t index = node->index.load(std::memory_order_relaxed);  // [relaxed: as above]
    node->base.store(0, std::memory_order_relaxed);                           // [relaxed: as above]
    limit_at(index).refused.store(0, std::memory_order_relaxed);              // [relaxed: as above]
    for_each_slot(index, [state](RateSlot& slot) {
      if (slot.number.load(std::memory_order_relaxed) != state >> 1) return;  // [relaxed: as above]
      slot.refused.store(0, std::memory_order_relaxed);                       // [relaxed: as above]
      slot.credit.store(0, std::memory_order_relaxed);                        // [relaxed: as above]
    });
  }
}

}  // namespace pepper::detail
