#include "dynamic_cache.hpp"

#include "registry.hpp"
#include "series_key.hpp"

#include <cstring>

namespace pepper::detail {

namespace {

template <class Word>
[[gnu::always_inline]] inline Word load(const char* at) noexcept {
  Word word;
  std::memcpy(&word, at, sizeof word);
  return word;
}

/// memcmp without the call: names and tags are short.
[[gnu::always_inline]] inline bool is_equal(std::string_view a, std::string_view b) noexcept {
  const std::size_t size = a.size();
  if (size != b.size()) return false;
  const char *x = a.data(), *y = b.data();
  if (size >= 8) {
    for (std::size_t i = 0; i + 8 <= size; i += 8) {
      if (load<std::uint64_t>(x + i) != load<std::uint64_t>(y + i)) return false;
    }
    return load<std::uint64_t>(x + size - 8) == load<std::uint64_t>(y + size - 8);
  }
  if (size >= 4)
    return ((load<std::uint32_t>(x) ^ load<std::uint32_t>(y)) | (load<std::uint32_t>(x + size - 4) ^ load<std::uint32_t>(y + size - 4))) ==
           0;
  return size == 0 || ((x[0] ^ y[0]) | (x[size / 2] ^ y[size / 2]) | (x[size - 1] ^ y[size - 1])) == 0;
}

}  // namespace

std::uint64_t DynamicCache::hint_of(std::string_view name, TagsView tags) noexcept {
  // A sum of where each string lies, times an odd number of its own: so that no product waits for another. A poor mix costs a miss, never
  // a wrong answer.
  const auto place_of = [](std::string_view text) { return reinterpret_cast<std::uintptr_t>(text.data()) ^ text.size() << 48; };
  std::uint64_t factor = 0x9e3779b97f4a7c15, hint = place_of(name) * factor;
  for (const Tag& tag : tags) {
    factor *= 0xbf58476d1ce4e5b9;
    hint += place_of(tag.key) * factor + place_of(tag.value) * (factor ^ 0x94d049bb133111ea);
  }
  return (hint ^ hint >> 32) * 0x9e3779b97f4a7c15 | 1;  // 0 is an empty way
}

const SeriesEntry* DynamicCache::find(std::uint64_t generation, std::string_view name, TagsView tags) noexcept {
  if (generation != generation_) return nullptr;
  const std::uint64_t hint = hint_of(name, tags);
  const Way* const set = set_of(hint);
  for (std::size_t i = 0; i < kWays; ++i) {
    const Way& way = set[i];
    if (way.hint != hint) continue;
    const SeriesEntry& entry = *way.entry;
    if (entry.tag_count != tags.size() || !is_equal(name, entry.name())) return nullptr;
    const Tag* const known_tags = entry.tags().data();
    for (std::size_t t = 0; t < tags.size(); ++t) {
      const Tag &given = tags.data()[t], &known = known_tags[way.order[t]];
      if (!is_equal(given.key, known.key) || !is_equal(given.value, known.value)) return nullptr;
    }
    return &entry;
  }
  return nullptr;
}

void DynamicCache::put(std::uint64_t generation, std::string_view name, TagsView tags, const SeriesEntry& entry) noexcept {
  if (generation != generation_) {
    for (auto& set : ways_) {
      for (Way& way : set) way = {};
    }
    generation_ = generation;
  }
  if (tags.size() > kMaxCachedTags || entry.tag_count != tags.size() || entry.name() != name) return;
  Way made;
  made.hint = hint_of(name, tags);
  made.entry = &entry;
  for (std::size_t t = 0; t < tags.size(); ++t) {
    std::uint8_t known = 0;
    while (known < entry.tag_count && entry.tags()[known] != tags.data()[t]) ++known;
    if (known == entry.tag_count) return;  // an overflow series, or a key given twice
    made.order[t] = known;
  }
  Way* const set = set_of(made.hint);
  std::size_t victim = kWays;
  for (std::size_t i = 0; i < kWays; ++i) {
    if (set[i].hint == made.hint) victim = i;
  }
  if (victim == kWays) victim = next_victim_[made.hint >> 58]++ % kWays;
  set[victim] = made;
}

}  // namespace pepper::detail
