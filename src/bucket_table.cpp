#include "bucket_table.hpp"

#include <cstring>

namespace pepper::detail {

namespace {

constexpr std::size_t kPagesAtOnce = 15;  // 4 KiB
constexpr std::size_t kPagesBytes = round_up_to_pages(BucketTable::kMostPages * sizeof(BucketTable::Page));
constexpr std::size_t kKeysBytes = std::size_t{BucketTable::kMostPages} * 2 * sizeof(std::uint64_t);
constexpr std::size_t kCountsAtBytes = std::size_t{BucketTable::kMostPages} * 2 * sizeof(std::uint32_t);

}  // namespace

BucketPlace place_bucket_slow(std::uint64_t bits, std::uint32_t series, ScaleCode code) noexcept {
  constexpr std::uint64_t kInfinity = std::uint64_t{2047} << 52;
  const std::uint64_t magnitude = bits & ~(std::uint64_t{1} << 63);
  if (magnitude == 0 || magnitude >= kInfinity) {
    const PageKey::Special what = magnitude == 0    ? PageKey::zero
                                  : bits >> 63 == 0 ? PageKey::positive_infinity
                                                    : PageKey::negative_infinity;
    return {std::uint64_t{series} << PageKey::kSeriesShift | PageKey::kBias, what};
  }
  const std::int32_t index = bucket_index_slow(magnitude, scale_of(code));
  return place_of_index(index, (bits >> 63) != 0, series, code);
}

bool BucketTable::reserve(Budget& budget) noexcept {
  auto* const at = static_cast<unsigned char*>(map_pages(kPagesBytes + kKeysBytes + kCountsAtBytes));
  if (at == nullptr) return false;
  pages_ = reinterpret_cast<Page*>(at);
  keys_ = reinterpret_cast<std::uint64_t*>(at + kPagesBytes);
  counts_at_ = reinterpret_cast<std::uint32_t*>(at + kPagesBytes + kKeysBytes);
  budget_ = &budget;
  return true;
}

BucketTable::~BucketTable() {
  if (pages_ == nullptr) return;
  budget_->give_back(bytes_);
  unmap_pages(pages_, kPagesBytes + kKeysBytes + kCountsAtBytes);
}

void BucketTable::insert(std::uint64_t key, std::uint32_t number) noexcept {
  const std::size_t mask = (std::size_t{1} << (64 - shift_)) - 1;
  std::size_t slot = hash(key);
  while (keys_[slot] != 0) slot = (slot + 1) & mask;
  keys_[slot] = key;
  counts_at_[slot] = static_cast<std::uint32_t>(number * sizeof(Page) + offsetof(Page, counts));
}

bool BucketTable::try_take(std::size_t slots, std::size_t pages) noexcept {
  const std::size_t bytes = slots * kSlotBytes + pages * sizeof(Page);
  if (bytes != 0 && !budget_->try_take(bytes)) return false;
  bytes_ += bytes;
  page_room_ += pages;
  return true;
}

/// For one page more; the slots are half full at most.
bool BucketTable::make_room() noexcept {
  if (size_ == kMostPages) return false;
  const std::size_t slots = std::size_t{1} << (64 - shift_);
  const bool is_full = size_ * 2 == slots;
  if (!try_take(bytes_ == 0 || is_full ? slots : 0, size_ == page_room_ ? kPagesAtOnce : 0)) return false;
  if (!is_full) return true;
  std::memset(keys_, 0, slots * sizeof *keys_);
  --shift_;
  for (std::uint32_t number = 0; number < size_; ++number) insert(pages_[number].key, number);
  return true;
}

void BucketTable::touch(std::uint32_t pages) noexcept {
  if (bytes_ != 0 || !try_take(kFirstSlots, pages)) return;
  while (pages * 2 > std::size_t{1} << (64 - shift_)) {
    if (!try_take(std::size_t{1} << (64 - shift_), 0)) break;
    --shift_;
  }
  const std::size_t slots = std::size_t{1} << (64 - shift_);
  touch_pages(pages_, pages * sizeof(Page));
  touch_pages(keys_, slots * sizeof *keys_);
  touch_pages(counts_at_, slots * sizeof *counts_at_);
}

std::uint32_t* BucketTable::find_slow(const BucketPlace& place, std::size_t slot) noexcept {
  const std::size_t mask = (std::size_t{1} << (64 - shift_)) - 1;
  for (; keys_[slot] != 0; slot = (slot + 1) & mask) {
    if (keys_[slot] == place.key)
      return reinterpret_cast<std::uint32_t*>(reinterpret_cast<std::byte*>(pages_) + counts_at_[slot]) + place.at;
  }
  if (!make_room()) return nullptr;
  Page& page = pages_[size_];
  page.key = place.key;  // its counts are 0 since it was mapped or cleared
  insert(place.key, size_++);
  return &page.counts[place.at];
}

void BucketTable::clear(std::uint32_t size) noexcept {
  const std::size_t mask = (std::size_t{1} << (64 - shift_)) - 1;
  // The newest first, so that no search for an older one meets a gap.
  for (std::uint32_t number = size; number-- != 0;) {
    const std::uint64_t key = pages_[number].key;
    std::size_t slot = hash(key);
    while (keys_[slot] != key) slot = (slot + 1) & mask;
    keys_[slot] = 0;
  }
  std::memset(pages_, 0, size * sizeof(Page));
}

void BucketTable::release() noexcept {
  if (bytes_ == 0) return;
  release_pages(pages_, kPagesBytes + kKeysBytes + kCountsAtBytes);
  budget_->give_back(bytes_);
  bytes_ = page_room_ = 0;
  shift_ = 64 - std::countr_zero(kFirstSlots);
}

}  // namespace pepper::detail
