#include "series_store.hpp"

#include <algorithm>
#include <cstring>
#include <new>

namespace pepper::detail {

namespace {

/// The next text of a flat key.
std::string_view take(const char*& at) noexcept {
  std::uint16_t size = 0;
  std::memcpy(&size, at, sizeof size);
  const std::string_view text{at + sizeof size, size};
  at += sizeof size + size;
  return text;
}

std::size_t size_of(const SeriesKey& key, std::string_view flat) noexcept {
  const std::size_t bytes = sizeof(SeriesEntry) + SeriesEntry::tags_at(flat.size()) + key.tags().size() * sizeof(Tag);
  return (bytes + alignof(SeriesEntry) - 1) / alignof(SeriesEntry) * alignof(SeriesEntry);
}

}  // namespace

SeriesStore::SeriesStore(std::uint32_t capacity)
    : places_(capacity * sizeof(std::uint32_t)),
      bases_pages_(kMostBlocks * sizeof(std::byte*)),
      bases_(reinterpret_cast<std::byte**>(bases_pages_.data())) {}

std::size_t SeriesStore::next_bytes(const SeriesKey& key, std::string_view flat, bool is_least) const noexcept {
  const std::size_t bytes = size_of(key, flat);
  if (used_ + bytes <= taken_) return 0;
  const bool is_new_block = used_ + bytes > kBlock;
  if (is_new_block && !is_least && !blocks_.empty()) return kBlock;
  const std::size_t missing = is_new_block ? bytes : used_ + bytes - taken_;
  return std::min((missing + kStep - 1) / kStep * kStep, is_new_block ? kBlock : kBlock - taken_);
}

SeriesEntry& SeriesStore::append(std::uint32_t index, const SeriesKey& key, std::string_view flat, std::size_t bytes) {
  const std::size_t size = size_of(key, flat);
  if (used_ + size > kBlock) {
    if (blocks_.size() == kMostBlocks) throw std::bad_alloc{};
    blocks_.emplace_back(kBlock, bytes == kBlock);
    bases_[blocks_.size() - 1] = blocks_.back().data();
    used_ = taken_ = 0;
  }
  taken_ += bytes;
  std::byte* const at = blocks_.back().data() + used_;
  auto* const made = new (at) SeriesEntry;
  auto* const key_bytes = reinterpret_cast<char*>(at + sizeof(SeriesEntry));
  std::memcpy(key_bytes, flat.data(), flat.size());
  made->flat_size = static_cast<std::uint16_t>(flat.size());

  const char* text = key_bytes;
  made->name_size = static_cast<std::uint8_t>(take(text).size());
  auto* const tags = reinterpret_cast<Tag*>(key_bytes + SeriesEntry::tags_at(flat.size()));
  const std::size_t tag_count = key.tags().size();
  made->tag_count = static_cast<std::uint8_t>(tag_count & 63);  // all of it, as the compiler does not see
  for (std::size_t i = 0; i < tag_count; ++i) {
    const std::string_view tag_key = take(text);
    new (&tags[i]) Tag{tag_key, take(text)};
  }
  places()[index] = static_cast<std::uint32_t>((blocks_.size() - 1) * kUnitsPerBlock + used_ / kUnit);
  used_ += size;
  return *made;
}

}  // namespace pepper::detail
