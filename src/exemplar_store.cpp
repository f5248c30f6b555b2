#include "exemplar_store.hpp"

#include "mapping.hpp"

#include <algorithm>
#include <cstring>
#include <new>
#include <string_view>
#include <utility>

namespace pepper::detail {

namespace {

char* append(char* at, std::string_view text) noexcept {
  const auto size = static_cast<std::uint16_t>(text.size());
  std::memcpy(at, &size, sizeof size);
  if (size != 0) std::memcpy(at + sizeof size, text.data(), size);  // an empty view may point nowhere
  return at + sizeof size + size;
}

std::string_view next_text(const char*& at) noexcept {
  std::uint16_t size = 0;
  std::memcpy(&size, at, sizeof size);
  const std::string_view text{at + sizeof size, size};
  at += sizeof size + size;
  return text;
}

}  // namespace

void ExemplarStore::Kept::set(double new_value, std::chrono::system_clock::time_point new_time, TagsView metadata) noexcept {
  value = new_value;
  time = new_time;
  tags = 0;
  is_cut = false;
  char* at = bytes;
  std::size_t room = kMaxBytes;
  for (const Tag& tag : metadata) {
    if (tags == kMaxTags || tag.key.size() > room || tag.value.size() > room - tag.key.size()) {
      is_cut = true;
      return;
    }
    room -= tag.key.size() + tag.value.size();
    at = append(append(at, tag.key), tag.value);
    ++tags;
  }
}

Tags ExemplarStore::Kept::metadata() const {
  Tag views[kMaxTags];
  const char* at = bytes;
  for (std::size_t i = 0; i < tags; ++i) {
    const std::string_view key = next_text(at);
    views[i] = {key, next_text(at)};
  }
  return {views, tags};
}

void ExemplarStore::Slot::keep(double value, std::chrono::system_clock::time_point time, TagsView metadata) noexcept {
  const bool is_largest = !is_used || value > kept[largest].value;
  latest = is_used ? largest ^ 1 : 0;
  if (is_largest) largest = latest;
  is_used = true;
  kept[latest].set(value, time, metadata);
}

ExemplarStore::~ExemplarStore() {
  SlotPage* const mapped = pages_.load(std::memory_order_relaxed);  // [relaxed: no other thread any more]
  if (mapped != nullptr) unmap_pages(mapped, mapped_bytes());
}

ExemplarStore::SlotPage* ExemplarStore::pages() noexcept {
  SlotPage* known = pages_.load(std::memory_order_relaxed);  // [relaxed: what lies there is zero to everybody]
  if (known != nullptr) return known;
  auto* const made = static_cast<SlotPage*>(map_pages(mapped_bytes()));
  // [relaxed: as above]
  if (made == nullptr || pages_.compare_exchange_strong(known, made, std::memory_order_relaxed)) return made;
  unmap_pages(made, mapped_bytes());
  return known;
}

/// Leaves a quarter of what the pool leaves, as series do: threads need it for records.
bool ExemplarStore::try_charge(std::size_t bytes) noexcept {
  return place_.try_charge(bytes, (place_.budget().limit() - place_.pool_chunks() * sizeof(Chunk)) / 4);
}

bool ExemplarStore::pay_for(SlotPage& page, Slot& slot) noexcept {
  if (!page.is_paid.load(std::memory_order_relaxed)) {  // [relaxed: a flag alone]
    if (!try_charge(sizeof(SlotPage))) return false;
    // [relaxed: a flag alone; somebody else has paid meanwhile]
    if (page.is_paid.exchange(true, std::memory_order_relaxed)) place_.give_back(sizeof(SlotPage));
  }
  if (!try_charge(kSnapshotBytes)) return false;
  State unpaid = State::unpaid;
  // [relaxed: there is nothing in it yet; a failed try: somebody else has paid]
  if (!slot.state.compare_exchange_strong(unpaid, State::idle, std::memory_order_relaxed)) place_.give_back(kSnapshotBytes);
  return true;
}

bool ExemplarStore::try_lock(Slot& slot) noexcept {
  State idle = State::idle;
  // [exemplar:acquire] pairs with [exemplar:release] in unlock(); [relaxed: a failed try reads nothing]
  return slot.state.compare_exchange_strong(idle, State::busy, std::memory_order_acquire, std::memory_order_relaxed);
}

ExemplarStore::Slot* ExemplarStore::try_lock(std::uint32_t index) noexcept {
  SlotPage* const all = index < capacity_ ? pages() : nullptr;
  if (all == nullptr) return nullptr;
  SlotPage& page = all[index / kSlotsPerPage];
  Slot& slot = page.slots[index % kSlotsPerPage];
  // [relaxed: the exchange in try_lock() decides]
  if (slot.state.load(std::memory_order_relaxed) == State::unpaid && !pay_for(page, slot)) return nullptr;
  return try_lock(slot) ? &slot : nullptr;
}

void ExemplarStore::unlock(Slot& slot) noexcept {
  slot.state.store(State::idle, std::memory_order_release);  // [exemplar:release] pairs with [exemplar:acquire] in try_lock()
}

void ExemplarStore::list(Slot& slot) noexcept {
  slot.next = fresh_.load(std::memory_order_relaxed);  // [relaxed: the exchange below publishes]
  // [listed:release] pairs with [listed:acquire] in take(); [relaxed: a failed try reads nothing through it]
  while (!fresh_.compare_exchange_weak(slot.next, &slot, std::memory_order_release, std::memory_order_relaxed)) continue;
}

void ExemplarStore::note(std::uint32_t index, double value, std::chrono::system_clock::time_point time, TagsView metadata) noexcept {
  Slot* const slot = try_lock(index);
  if (slot == nullptr) return skip(1);
  slot->index = index;
  slot->keep(value, time, metadata);
  if (!std::exchange(slot->is_listed, true)) list(*slot);
  unlock(*slot);
}

void ExemplarStore::take() {
  skip(taken_.size());  // there was no memory for their snapshot
  taken_.clear();
  // [listed:acquire] pairs with [listed:release] in list()
  Slot* slot = fresh_.exchange(nullptr, std::memory_order_acquire);
  bool has_memory = true;
  while (slot != nullptr) {
    Slot* const next = slot->next;
    if (!has_memory || !try_lock(*slot)) {
      list(*slot);  // next time
    } else {
      try {
        SeriesExemplars taken;
        taken.index = slot->index;
        taken.largest = slot->largest;
        taken.latest = slot->latest;
        for (const std::uint8_t i : {slot->largest, slot->latest}) {
          if (!taken.metadata[i].empty()) continue;  // the same one
          const Kept& kept = slot->kept[i];
          taken.metadata[i] = kept.metadata();
          taken.exemplars[i] = {kept.value, kept.time, {taken.metadata[i].data(), taken.metadata[i].size()}, kept.is_cut};
        }
        taken_.push_back(std::move(taken));
        slot->is_used = slot->is_listed = false;
      } catch (const std::bad_alloc&) {
        has_memory = false;
        list(*slot);
      }
      unlock(*slot);
    }
    slot = next;
  }
  if (!has_memory) throw std::bad_alloc{};
  std::ranges::sort(taken_, {}, &SeriesExemplars::index);
}

void ExemplarStore::start_over() noexcept {
  fresh_.store(nullptr, std::memory_order_relaxed);  // [relaxed: no thread records before all is settled]
  skipped_.store(0, std::memory_order_relaxed);      // [relaxed: a number]
  taken_.clear();
  // [relaxed: no thread records before all is settled]
  if (SlotPage* const mapped = pages_.load(std::memory_order_relaxed)) release_pages(mapped, mapped_bytes());
}

}  // namespace pepper::detail
