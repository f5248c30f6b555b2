#include "collector_impl.hpp"

#include "clock.hpp"
#include "fork.hpp"
#include "record_time.hpp"

#include <memory>
#include <new>

namespace pepper::detail {

namespace {

using Time = std::chrono::system_clock::time_point;

[[gnu::always_inline]] inline void record_to(const SeriesEntry& entry, std::uintptr_t place, double value, Time time = {}) noexcept {
  std::uint32_t extra = kExtraPlain;
  // [extra:acquire] pairs with [extra:release] in Registry::use_extra()
  if (const ExtraUse use = entry.extra_use.load(std::memory_order_acquire); use != ExtraUse::none) [[unlikely]] {
    if (use == ExtraUse::time) {
      extra = time == Time{} ? coarse_time_extra() : to_time_extra(time);
    } else {
      // [tickets:acquire] pairs with [tickets:release] in Registry::give_tickets()
      extra = next_gauge_ticket(*place_at(place).tickets(entry.tickets.load(std::memory_order_acquire)));
    }
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
    return record_uncached(name, value, tags);
  record_to(*entry, place_.offset(), value);
  return true;
}

bool Collector::record(const DynamicRecord& record) noexcept {
  const auto alive = weak_from_this().lock();  // on_error may destroy the MetricsCollector
  const double value = record.value;
  const SeriesEntry* whole = value == value ? find_cached(record.name, record.tags) : nullptr;
  const SeriesEntry* const entry = whole != nullptr && record.weight == 1 ? whole : find_weighted(record, whole);
  if (entry == nullptr) return refuse();
  record_to(*entry, place_.offset(), value, record.time);
  if (record.metadata.empty()) return true;
  // None of a record that is nobody's, or that the fold will refuse.
  const bool is_counter = entry->kind.load(std::memory_order_relaxed) == Kind::counter;  // [relaxed: either kind was right a moment ago]
  if (!place_.is_open() || (is_counter && value < 0) || !settle()) return true;
  exemplars_.note(whole->number - place_.series().base(), value, record.time == Time{} ? now_system() : record.time, record.metadata);
  return true;
}

bool Collector::record_uncached(std::string_view name, double value, TagsView tags) noexcept {
  const auto alive = weak_from_this().lock();  // on_error may destroy the MetricsCollector
  const SeriesEntry* whole = nullptr;
  const SeriesEntry* const entry = find_weighted({name, value, tags, {}}, whole);
  if (entry == nullptr) return refuse();
  record_to(*entry, place_.offset(), value);
  return true;
}

const SeriesEntry* Collector::find_weighted(const DynamicRecord& record, const SeriesEntry*& whole) noexcept {
  if (record.value != record.value) return nullptr;
  try {
    if (whole == nullptr) whole = find_or_create(record.name, record.tags);
    // A gauge is never sampled. [relaxed: either kind was right a moment ago]
    if (whole == nullptr || record.weight == 1 || whole->kind.load(std::memory_order_relaxed) == Kind::gauge) return whole;
    const std::uint32_t index = registry_->find(SeriesKey(whole->name(), whole->tags(), record.weight));
    return index != Registry::kNone ? &registry_->entry(index) : registry_->intern_part(*whole, record.weight);
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}

bool Collector::may_sample(const DynamicRecord& record) noexcept {
  if (record.value != record.value) return false;
  const SeriesEntry* entry = find_cached(record.name, record.tags);
  if (entry == nullptr) {
    const SeriesKey key(record.name, record.tags);
    const std::uint32_t index = registry_->find(key);
    if (index == Registry::kNone) return key.refusal().reason == nullptr;
    entry = &registry_->entry(index);
  }
  return entry->kind.load(std::memory_order_relaxed) != Kind::gauge;  // [relaxed: either kind was right a moment ago]
}

bool Collector::refuse() noexcept {
  (void)settle();
  rejected_.fetch_add(1, std::memory_order_relaxed);  // [relaxed: a number, guards no data]
  return false;
}

const SeriesEntry* Collector::find_or_create(std::string_view name, TagsView tags) {
  const SeriesKey key(name, tags);
  const std::uint32_t index = registry_->find(key);
  const SeriesEntry* entry = nullptr;
  if (index != Registry::kNone && !registry_->entry(index).is_part) {
    entry = &registry_->entry(index);
  } else {
    if (key.refusal().reason != nullptr) return nullptr;
    entry = registry_->find_overflow(name);
    if (entry != nullptr) return entry;  // not kept in the thread's cache, which is for keys that come again
    entry = registry_->intern(key, Kind::summary, {}, false).entry;
    start_flusher();
    watch_.tell();
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
