#include "collector_impl.hpp"

#include "fork.hpp"

#include <memory>
#include <new>

namespace pepper::detail {

namespace {

[[gnu::always_inline]] inline void record_to(const SeriesEntry& entry, std::uintptr_t place, double value) noexcept {
  std::uint32_t extra = kExtraPlain;
  if (entry.kind.load(std::memory_order_relaxed) == Kind::gauge) [[unlikely]] {  // [relaxed: either kind was right a moment ago]
    // [tickets:acquire] pairs with [tickets:release] in Registry::give_tickets()
    extra = next_gauge_ticket(*entry.tickets.load(std::memory_order_acquire));
  }
  capture(place, make_head(entry.number, extra), value);
}

}  // namespace

[[gnu::always_inline]] inline const SeriesEntry* Collector::find_cached(std::string_view name, TagsView tags) const noexcept {
  const ThreadRecord* const thread = this_thread();
  const ThreadBlock* const block = thread == nullptr ? nullptr : thread->blocks[place_.index()];
  return block != nullptr && block->cache != nullptr ? block->cache->find(place_.generation(), name, tags) : nullptr;
}

bool Collector::record(std::string_view name, double value, TagsView tags) noexcept {
  const SeriesEntry* const entry = value == value ? find_cached(name, tags) : nullptr;
  if (entry == nullptr) [[unlikely]]
    return record_uncached(name, value, tags) != nullptr;
  record_to(*entry, place_.offset(), value);
  return true;
}

bool Collector::record(std::string_view name, double value, TagsView tags, TagsView metadata,
                       std::chrono::system_clock::time_point time) noexcept {
  const auto alive = weak_from_this().lock();  // on_error may destroy the MetricsCollector
  const SeriesEntry* entry = value == value ? find_cached(name, tags) : nullptr;
  if (entry == nullptr) {
    entry = record_uncached(name, value, tags);
    if (entry == nullptr) return false;
  } else {
    record_to(*entry, place_.offset(), value);
  }
  // None of a record that is nobody's, or that the fold will refuse.
  const bool is_kept =
      place_.is_open() && (value >= 0 || entry->kind.load(std::memory_order_relaxed) != Kind::counter);  // [relaxed: as above]
  if (!is_kept || !settle()) return true;
  if (time == std::chrono::system_clock::time_point{}) time = std::chrono::system_clock::now();
  exemplars_.note(entry->number - place_.series().base(), value, time, metadata);
  return true;
}

const SeriesEntry* Collector::record_uncached(std::string_view name, double value, TagsView tags) noexcept {
  const auto alive = weak_from_this().lock();  // on_error may destroy the MetricsCollector
  const SeriesEntry* entry = nullptr;
  try {
    if (value == value) entry = find_or_create(name, tags);
  } catch (const std::bad_alloc&) {
  }
  if (entry != nullptr) {
    record_to(*entry, place_.offset(), value);
    return entry;
  }
  (void)settle();
  rejected_.fetch_add(1, std::memory_order_relaxed);  // [relaxed: a number, guards no data]
  return nullptr;
}

bool Collector::record(std::string_view name, double value, TagsView tags, double weight) noexcept {
  if (weight == 1) return record(name, value, tags);
  const auto alive = weak_from_this().lock();  // as above
  const SeriesEntry* part = nullptr;
  try {
    const SeriesEntry* const whole = value == value ? find_or_create(name, tags) : nullptr;
    if (whole != nullptr && whole->kind.load(std::memory_order_relaxed) == Kind::gauge) {  // [relaxed: either kind was right a moment ago]
      part = whole;
    } else if (whole != nullptr) {
      const std::uint32_t index = registry_->find(SeriesKey(whole->name(), whole->tags(), weight));
      part = index != Registry::kNone ? &registry_->entry(index) : registry_->intern_part(*whole, weight);
    }
  } catch (const std::bad_alloc&) {
  }
  if (part != nullptr) {
    record_to(*part, place_.offset(), value);
    return true;
  }
  (void)settle();
  rejected_.fetch_add(1, std::memory_order_relaxed);  // [relaxed: a number, guards no data]
  return false;
}

const SeriesEntry* Collector::find_or_create(std::string_view name, TagsView tags) {
  const SeriesKey key(name, tags);
  const std::uint32_t index = registry_->find(key);
  const SeriesEntry* entry = nullptr;
  if (index != Registry::kNone) {
    entry = &registry_->entry(index);
  } else {
    if (key.refusal().reason != nullptr) return nullptr;
    entry = registry_->find_overflow(name);
    if (entry != nullptr) return entry;  // not kept in the thread's cache, which is for keys that come again
    entry = registry_->intern(key, Kind::summary, {}, false).entry;
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

}  // namespace pepper::detail
