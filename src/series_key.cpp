#include "series_key.hpp"

#include <xxhash.h>

#include <algorithm>
#include <cstring>
#include <new>

namespace pepper::detail {

namespace {

bool has_control_byte(std::string_view text) noexcept {
  return std::ranges::any_of(text, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
}

char* append(char* at, std::string_view text) noexcept {
  const auto size = static_cast<std::uint16_t>(text.size());
  std::memcpy(at, &size, sizeof size);
  if (!text.empty()) std::memcpy(at + sizeof size, text.data(), text.size());  // an empty view may point nowhere
  return at + sizeof size + text.size();
}

}  // namespace

std::uint64_t xxh3(const void* bytes, std::size_t size) noexcept { return XXH3_64bits(bytes, size); }

SeriesKey::SeriesKey(std::string_view name, TagsView tags) noexcept : name_(name) {
  if (tags.size() > kMaxTags) {
    has_too_many_tags_ = true;
    return;
  }
  // Insertion sort: few tags, mostly sorted already, and of equal keys the last given replaces the first.
  Tag* const sorted = reinterpret_cast<Tag*>(tags_);
  for (const Tag& tag : tags) {
    std::size_t i = tag_count_;
    int order = 1;
    while (i > 0 && (order = tag.key.compare(sorted[i - 1].key)) < 0) --i;
    if (i > 0 && order == 0) {
      sorted[i - 1].value = tag.value;
      continue;
    }
    new (&sorted[tag_count_++]) Tag;
    for (std::size_t j = tag_count_ - 1; j > i; --j) sorted[j] = sorted[j - 1];
    sorted[i] = tag;
  }
}

SeriesKey::SeriesKey(std::string_view name, std::span<const Tag> sorted, const double& weight) noexcept : name_(name) {
  Tag* const tags = reinterpret_cast<Tag*>(tags_);
  new (&tags[tag_count_++])
      Tag{"\1", {reinterpret_cast<const char*>(&weight), sizeof weight}};  // a control byte: sorts first, is no user's
  for (const Tag& tag : sorted) new (&tags[tag_count_++]) Tag(tag);
}

double SeriesKey::weight_of(std::span<const Tag> tags) noexcept {
  double weight;
  std::memcpy(&weight, tags.front().value.data(), sizeof weight);
  return weight;
}

SeriesKey::Refusal SeriesKey::refusal() const noexcept {
  if (has_too_many_tags_) return {"has more than 32 tags", name_};
  if (name_.empty()) return {"name is empty", name_};
  if (name_.size() > kMaxNameBytes) return {"name is longer than 255 bytes", name_};
  if (has_control_byte(name_)) return {"name has a control byte", name_};
  for (const Tag& tag : tags()) {
    if (tag.key.empty()) return {"a tag's key is empty", name_};
    if (tag.key.size() > kMaxKeyBytes) return {"a tag's key is longer than 255 bytes", tag.key};
    if (has_control_byte(tag.key)) return {"a tag's key has a control byte", tag.key};
    if (tag.value.size() > kMaxValueBytes) return {"a tag's value is longer than 1024 bytes", tag.value};
  }
  return {};
}

std::size_t SeriesKey::flat_size() const noexcept {
  if (has_too_many_tags_) return kMaxFlatBytes + 1;
  std::size_t size = 2 + name_.size();
  for (const Tag& tag : tags()) size += 4 + tag.key.size() + tag.value.size();
  return size;
}

void SeriesKey::flatten(char* to) const noexcept {
  to = append(to, name_);
  for (const Tag& tag : tags()) to = append(append(to, tag.key), tag.value);
}

bool tags_less(std::span<const Tag> a, std::span<const Tag> b) noexcept {
  return std::ranges::lexicographical_compare(
      a, b, [](const Tag& x, const Tag& y) { return x.key != y.key ? x.key < y.key : x.value < y.value; });
}

}  // namespace pepper::detail
