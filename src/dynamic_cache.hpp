#pragma once

#include "series_store.hpp"

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace pepper::detail {

/// A thread's way from name and tags to a series, without hashing their bytes: where the strings lie is the hint for where to look, a full
/// compare decides. 64 sets of 4. Owner thread only; its entries belong to one collector's registry.
class DynamicCache {
 public:
  explicit DynamicCache(std::uint64_t generation) noexcept : generation_(generation) {}

  /// Null: not here.
  [[nodiscard]] const SeriesEntry* find(std::uint64_t generation, std::string_view name, TagsView tags) const noexcept;
  /// Remembers where `name` and `tags`, which find() has just not found, were found. Keys with more tags than kMaxCachedTags or with a key
  /// given twice are not kept.
  void put(std::uint64_t generation, std::string_view name, TagsView tags, const SeriesEntry& entry) noexcept;

 private:
  static constexpr std::size_t kSets = 64, kWays = 4, kMaxCachedTags = 15;
  struct Way {
    std::uint64_t hint = 0;
    const SeriesEntry* entry = nullptr;
    std::uint8_t order[kMaxCachedTags] = {};  ///< which tag of the entry each given tag is
    std::uint8_t padding = 0;

    [[nodiscard]] bool is_of(std::string_view name, TagsView tags) const noexcept;
  };
  static_assert(sizeof(Way) == 32);

  [[nodiscard]] static std::uint64_t hint_of(std::string_view name, TagsView tags) noexcept;
  [[nodiscard]] static std::size_t set_of(std::uint64_t hint) noexcept { return hint >> 58; }
  /// memcmp without the call: names and tags are short.
  [[nodiscard]] static bool is_equal(std::string_view a, std::string_view b) noexcept;
  /// Whether two texts of `size` bytes have the same first and the same last word, which up to two words is all of them.
  template <class Word>
  [[nodiscard]] static bool has_equal_ends(const char* a, const char* b, std::size_t size) noexcept;
  template <class Word>
  [[nodiscard]] static Word load(const char* at) noexcept;

  Way ways_[kSets][kWays];
  std::uint8_t next_victim_[kSets] = {};
  std::uint64_t generation_;
};

// All of it inlined into record(name, ...), where the calls were a fifth of the cost.

template <class Word>
[[gnu::always_inline]] inline Word DynamicCache::load(const char* at) noexcept {
  Word word;
  std::memcpy(&word, at, sizeof word);
  return word;
}

template <class Word>
[[gnu::always_inline]] inline bool DynamicCache::has_equal_ends(const char* a, const char* b, std::size_t size) noexcept {
  const std::size_t last = size - sizeof(Word);
  return ((load<Word>(a) ^ load<Word>(b)) | (load<Word>(a + last) ^ load<Word>(b + last))) == 0;
}

[[gnu::always_inline]] inline bool DynamicCache::is_equal(std::string_view a, std::string_view b) noexcept {
  const std::size_t size = a.size();
  if (size != b.size()) return false;
  if (size > 16) return std::memcmp(a.data(), b.data(), size) == 0;
  if (size >= 8) return has_equal_ends<std::uint64_t>(a.data(), b.data(), size);
  if (size >= 4) return has_equal_ends<std::uint32_t>(a.data(), b.data(), size);
  if (size >= 2) return has_equal_ends<std::uint16_t>(a.data(), b.data(), size);
  return size == 0 || a[0] == b[0];
}

[[gnu::always_inline]] inline std::uint64_t DynamicCache::hint_of(std::string_view name, TagsView tags) noexcept {
  // Where the name and the values lie and how long they are, which is what differs between two keys as a rule. A poor mix costs a miss,
  // never a wrong answer.
  const auto place_of = [](std::string_view text) { return reinterpret_cast<std::uintptr_t>(text.data()); };
  std::uint64_t hint = place_of(name) + name.size();
  for (const Tag& tag : tags) hint = (std::rotl(hint, 13) ^ place_of(tag.value)) + tag.value.size();
  hint *= 0x9e3779b97f4a7c15;
  return (hint ^ std::rotl(hint, 32)) |
         1;  // folded, as a product's upper bits alone put all multiples of 48 in a few sets; 0 is an empty way
}

[[gnu::always_inline]] inline bool DynamicCache::Way::is_of(std::string_view name, TagsView tags) const noexcept {
  if (entry->tag_count != tags.size() || !is_equal(name, entry->name())) return false;
  const Tag* const known_tags = entry->tags().data();
  const std::uint8_t* known = order;
  for (const Tag& tag : tags) {
    const auto& [key, value] = known_tags[*known++];
    if (!is_equal(tag.key, key) || !is_equal(tag.value, value)) return false;
  }
  return true;
}

[[gnu::always_inline]] inline const SeriesEntry* DynamicCache::find(std::uint64_t generation, std::string_view name,
                                                                    TagsView tags) const noexcept {
  if (generation != generation_) return nullptr;
  const std::uint64_t hint = hint_of(name, tags);
  for (const Way& way : ways_[set_of(hint)]) {
    if (way.hint == hint && way.is_of(name, tags)) return way.entry;
  }
  return nullptr;
}

}  // namespace pepper::detail
