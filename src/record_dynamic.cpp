#include "collector_impl.hpp"

#include "fork.hpp"

#include <memory>
#include <new>

namespace pepper::detail {

const SeriesEntry* Collector::find_or_create(std::string_view name, TagsView tags) noexcept {
  if (ThreadRecord* const thread = this_thread()) {
    const ThreadBlock* const block = thread->blocks[place_.index()];
    if (block != nullptr && block->cache != nullptr) {
      if (const SeriesEntry* const entry = block->cache->find(place_.generation(), name, tags)) return entry;
    }
  }
  try {
    return find_or_create_slow(name, tags);
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}

const SeriesEntry* Collector::find_or_create_slow(std::string_view name, TagsView tags) {
  const auto alive = weak_from_this().lock();  // on_error may destroy the MetricsCollector
  const SeriesKey key(name, tags);
  const std::uint32_t index = registry_->find(key);
  const SeriesEntry* entry = nullptr;
  if (index != Registry::kNone) {
    entry = &registry_->entry(index);
  } else {
    if (key.refusal().reason != nullptr) return nullptr;
    entry = registry_->find_overflow(name);
    if (entry != nullptr) return entry;  // not kept in the thread's cache, which is for keys that come again
    entry = registry_->intern(key, Kind::summary, {}, {}, false).entry;
    start_flusher();
  }
  if (this_thread() == nullptr) const ThreadUse first_use;  // takes this thread's slots; none after its end was announced
  ThreadRecord* const thread = this_thread();
  ThreadBlock* const block = thread == nullptr ? nullptr : place_.attach(*thread);
  if (block == nullptr) return entry;
  if (block->cache == nullptr && place_.try_charge(sizeof(DynamicCache)))
    block->cache = std::make_unique<DynamicCache>(place_.generation());
  if (block->cache != nullptr) block->cache->put(place_.generation(), name, tags, *entry);
  return entry;
}

bool Collector::record(std::string_view name, double value, TagsView tags) noexcept {
  const SeriesEntry* const entry = value == value ? find_or_create(name, tags) : nullptr;
  if (entry == nullptr) {
    (void)settle();
    rejected_.fetch_add(1, std::memory_order_relaxed);  // [relaxed: a number, guards no data]
    return false;
  }
  std::uint32_t extra = kExtraPlain;
  if (entry->kind.load(std::memory_order_relaxed) == Kind::gauge) [[unlikely]] {  // [relaxed: either kind was right a moment ago]
    // [tickets:acquire] pairs with [tickets:release] in Registry::give_tickets()
    extra = next_gauge_ticket(*entry->tickets.load(std::memory_order_acquire));
  }
  capture(place_.offset(), make_head(entry->number, extra), value);
  return true;
}

}  // namespace pepper::detail
