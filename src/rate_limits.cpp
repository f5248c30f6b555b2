#include "rate_limits.hpp"

#include <algorithm>
#include <mutex>
#include <new>
#include <utility>

namespace pepper::detail {

RateLimits::~RateLimits() {
  for (Node& node : nodes_) end(node);
}

RateGate RateLimits::get(std::uint64_t group, std::uint32_t series, double max_per_second) {
  const std::lock_guard lock(mutex_);
  Node*& node = held_[{group, series}];
  if (node == nullptr) node = &take_node(series);
  const std::uint64_t state = node->state.load(std::memory_order_relaxed);                // [relaxed: written under the mutex]
  if (is_limit(state)) return {node->index.load(std::memory_order_relaxed), state >> 1};  // [relaxed: written under the mutex]
  const LimitName limit = open_limit(max_per_second, place_.offset(), is_manual_);
  node->base.store(state >> 1, std::memory_order_release);    // [limit_base:release] pairs with [limit_base:acquire] in count()
  node->index.store(limit.index, std::memory_order_release);  // [limit_index:release] pairs with [limit_index:acquire] in count()
  // [limit_state:release] pairs with [limit_state:acquire] in count()
  node->state.store(limit.number << 1 | 1, std::memory_order_release);
  return {limit.index, limit.number};
}

RateLimits::Node& RateLimits::take_node(std::uint32_t series) {
  Node*& left = left_[series];
  if (left != nullptr) return *std::exchange(left, left->next_left);
  if (!place_.try_charge(kNodeBytes)) throw std::bad_alloc{};
  Node& node = nodes_.emplace_back(series, newest_.load(std::memory_order_relaxed));  // [relaxed: written under the mutex]
  newest_.store(&node, std::memory_order_release);  // [limits_node:release] pairs with [limits_node:acquire] in for_each()
  return node;
}

void RateLimits::end(Node& node) noexcept {
  const std::uint64_t state = node.state.load(std::memory_order_relaxed);  // [relaxed: this and the next two: written under the mutex]
  if (!is_limit(state)) return;
  const LimitName limit{node.index.load(std::memory_order_relaxed), state >> 1};  // [relaxed: as above]
  const std::uint64_t base = node.base.load(std::memory_order_relaxed);           // [relaxed: as above]
  close_limit(limit);
  // First, for flushes that find its slots cleared. [limit_state:release] pairs with [limit_state:acquire] in count()
  node.state.store((base + refused_of(limit)) << 1, std::memory_order_release);
  // What was refused in between. [limit_state:release] as above
  node.state.store((base + free_limit(limit)) << 1, std::memory_order_release);
}

void RateLimits::end(std::uint64_t group) noexcept {
  const std::lock_guard lock(mutex_);
  for (auto at = held_.lower_bound({group, 0}); at != held_.end() && at->first.first == group; at = held_.erase(at)) {
    Node* const node = at->second;
    if (node == nullptr) continue;  // there was no memory for it
    end(*node);
    node->next_left = std::exchange(left_.find(node->series)->second, node);
  }
}

void RateLimits::be_manual() noexcept {
  const std::lock_guard lock(mutex_);
  is_manual_ = true;
  for (const Node& node : nodes_) {
    if (is_limit(node.state.load(std::memory_order_relaxed)))  // [relaxed: this and the next: written under the mutex]
      limit_at(node.index.load(std::memory_order_relaxed))
          .asks_clock.store(true, std::memory_order_relaxed);  // [relaxed: says: look again]
  }
  rate_tick.fetch_add(1, std::memory_order_relaxed);  // [relaxed: says only: look again]
}

std::uint64_t RateLimits::count(const Node& node) noexcept {
  for (;;) {
    // [limit_state:acquire] pairs with [limit_state:release] in get() and end()
    const std::uint64_t state = node.state.load(std::memory_order_acquire);
    if (!is_limit(state)) return state >> 1;
    // [limit_base:acquire] and [limit_index:acquire] pair with [limit_base:release] and [limit_index:release] in get()
    const std::uint64_t base = node.base.load(std::memory_order_acquire);
    const std::uint64_t sum =
        base + refused_of({node.index.load(std::memory_order_acquire), state >> 1});  // [limit_index:acquire] as above
    // Whatever of the next limit has been read was written after this one's end, and read with acquire: then the end is seen here.
    if (node.state.load(std::memory_order_acquire) == state) return sum;  // [limit_state:acquire] as above
  }
}

template <class Visit>
void RateLimits::for_each(Visit&& visit) {
  // [limits_node:acquire] pairs with [limits_node:release] in get()
  for (Node* node = newest_.load(std::memory_order_acquire); node != nullptr; node = node->older) visit(*node);
}

std::vector<Refused> RateLimits::refused() {
  std::vector<Refused> all;
  for_each([&](Node& node) {
    if (!is_discarding_) node.show(count(node));
    if (node.shown != 0) all.push_back({node.series, node.shown});
  });
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
  for_each([&](Node& node) {
    if (is_discarding) {
      node.show(count(node));
    } else {
      node.ignored = count(node) - node.shown;
    }
  });
}

void RateLimits::start_over() noexcept {
  for (Node& node : nodes_) {
    node.shown = node.ignored = 0;
    const std::uint64_t state = node.state.load(std::memory_order_relaxed);  // [relaxed: this and the rest: no thread records yet]
    if (!is_limit(state)) {
      node.state.store(0, std::memory_order_relaxed);  // [relaxed: as above]
      continue;
    }
    const std::uint32_t index = node.index.load(std::memory_order_relaxed);  // [relaxed: as above]
    node.base.store(0, std::memory_order_relaxed);                           // [relaxed: as above]
    limit_at(index).refused.store(0, std::memory_order_relaxed);             // [relaxed: as above]
    for_each_slot(index, [state](RateSlot& slot) {
      if (slot.number.load(std::memory_order_relaxed) != state >> 1) return;  // [relaxed: as above]
      slot.refused.store(0, std::memory_order_relaxed);                       // [relaxed: as above]
      slot.credit.store(0, std::memory_order_relaxed);                        // [relaxed: as above]
    });
  }
}

}  // namespace pepper::detail
