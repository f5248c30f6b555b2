#include "dynamic_cache.hpp"

namespace pepper::detail {

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
  const std::size_t set = set_of(made.hint);
  ways_[set][next_victim_[set]++ % kWays] = made;
}

}  // namespace pepper::detail
