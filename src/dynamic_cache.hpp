#pragma once

#include <pepper/tags.hpp>

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace pepper::detail {

struct SeriesEntry;
class SeriesKey;

/// A thread's way from name and tags to a series, without hashing their bytes: where the strings lie is the hint for where to look, a full
/// compare decides. 64 sets of 4. Owner thread only; its entries belong to one collector's registry.
class DynamicCache {
 public:
  explicit DynamicCache(std::uint64_t generation) noexcept : generation_(generation) {}

  /// Null: not here.
  [[nodiscard]] const SeriesEntry* find(std::uint64_t generation, std::string_view name, TagsView tags) noexcept;
  /// Remembers where `name` and `tags` were found. Keys with more tags than kMaxTags or with a key given twice are not kept.
  void put(std::uint64_t generation, std::string_view name, TagsView tags, const SeriesEntry& entry) noexcept;

 private:
  static constexpr std::size_t kSets = 64, kWays = 4, kMaxCachedTags = 15;
  struct Way {
    std::uint64_t hint = 0;
    const SeriesEntry* entry = nullptr;
    std::uint8_t order[kMaxCachedTags] = {};  ///< which tag of the entry each given tag is
    std::uint8_t padding = 0;
  };
  static_assert(sizeof(Way) == 32);

  [[nodiscard]] static std::uint64_t hint_of(std::string_view name, TagsView tags) noexcept;
  [[nodiscard]] Way* set_of(std::uint64_t hint) noexcept { return ways_[hint >> 58]; }

  Way ways_[kSets][kWays];
  std::uint8_t next_victim_[kSets] = {};
  std::uint64_t generation_;
};

}  // namespace pepper::detail
