#include "bucket_table.hpp"

#include <algorithm>

namespace pepper::detail {

namespace {

constexpr std::uint32_t kMostPages = BucketTable::kMostPages, kPagesAtOnce = 16;
constexpr std::size_t kMostSlots = std::size_t{kMostPages} * 2;
constexpr std::size_t kBytesOfPage = kBucketsPerPage * sizeof(std::uint32_t) + sizeof(std::uint64_t);  // with its key
constexpr std::size_t kBytesOfSlot = sizeof(std::uint64_t) + sizeof(std::uint32_t);
constexpr std::size_t kAllBytes = round_up_to_pages(kMostPages * kBytesOfPage + kMostSlots * kBytesOfSlot);

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
  auto* at = static_cast<unsigned char*>(map_pages(kAllBytes));
  if (at == nullptr) return false;
  counts_ = reinterpret_cast<std::uint32_t*>(at);
  keys_ = reinterpret_cast<std::uint64_t*>(at += kMostPages * kBucketsPerPage * sizeof *counts_);
  slot_keys_ = reinterpret_cast<std::uint64_t*>(at += kMostPages * sizeof *keys_);
  slot_pages_ = reinterpret_cast<std::uint32_t*>(at += kMostSlots * sizeof *slot_keys_);
  budget_ = &budget;
  return true;
}

BucketTable::~BucketTable() {
  if (counts_ == nullptr) return;
  budget_->give_back(bytes_);
  unmap_pages(counts_, kAllBytes);
}

void BucketTable::insert(std::uint64_t key, std::uint32_t number) noexcept {
  const std::size_t mask = slots() - 1;
  std::size_t slot = hash(key);
  while (slot_keys_[slot] != 0) slot = (slot + 1) & mask;
  slot_keys_[slot] = key;
  slot_pages_[slot] = number;
}

bool BucketTable::try_take(std::size_t slots, std::size_t pages) noexcept {
  const std::size_t bytes = slots * kBytesOfSlot + pages * kBytesOfPage;
  if (bytes != 0 && !budget_->try_take(bytes)) return false;
  bytes_ += bytes;
  page_room_ += pages;
  return true;
}

/// For so many pages more; the slots are half full at most.
bool BucketTable::make_room(std::uint32_t pages) noexcept {
  const std::size_t size = std::size_t{size_} + pages;
  if (size > kMostPages) return false;
  int shift = shift_;
  while (size * 2 > std::size_t{1} << (64 - shift)) --shift;
  const std::size_t more_slots = (std::size_t{1} << (64 - shift)) - (bytes_ == 0 ? 0 : slots());
  if (!try_take(more_slots, size <= page_room_ ? 0 : std::max<std::size_t>(size - page_room_, kPagesAtOnce))) return false;
  if (shift == shift_) return true;
  std::fill_n(slot_keys_, slots(), 0);
  shift_ = shift;
  for (std::uint32_t number = 0; number < size_; ++number) insert(keys_[number], number);
  return true;
}

void BucketTable::touch(std::uint32_t pages) noexcept {
  if (bytes_ != 0) return;
  while (pages != 0 && !make_room(pages)) pages /= 2;
  if (pages == 0) return;
  touch_pages(counts_, pages * kBucketsPerPage * sizeof *counts_);
  touch_pages(keys_, pages * sizeof *keys_);
  touch_pages(slot_keys_, slots() * sizeof *slot_keys_);
  touch_pages(slot_pages_, slots() * sizeof *slot_pages_);
}

void BucketTable::add_page(std::uint64_t key) noexcept {
  keys_[size_] = key;  // its counts are 0 since it was mapped or cleared
  insert(key, size_++);
}

std::uint32_t* BucketTable::find(const BucketPlace& place) noexcept {
  const std::size_t mask = slots() - 1;
  std::size_t slot = hash(place.key);
  while (slot_keys_[slot] != place.key) {
    if (slot_keys_[slot] == 0) {
      if (!make_room(1)) return nullptr;
      add_page(place.key);
      return counts_ + std::size_t{size_ - 1} * kBucketsPerPage + place.at;
    }
    slot = (slot + 1) & mask;
  }
  return counts_ + std::size_t{slot_pages_[slot]} * kBucketsPerPage + place.at;
}

std::uint32_t* BucketTable::make_run(std::uint64_t first_key, std::uint32_t pages) noexcept {
  if (size_ + pages > kMostInRuns || !make_room(pages)) return nullptr;
  const std::uint32_t first = size_;
  for (std::uint32_t i = 0; i < pages; ++i) add_page(first_key + i);
  return counts_ + std::size_t{first} * kBucketsPerPage;
}

void BucketTable::clear(std::uint32_t size) noexcept {
  const std::size_t mask = slots() - 1;
  // Each page is in the hash, so that a search needs no free slot to end. It may end at the slot of a page with the same key, which goes
  // too.
  for (std::uint32_t number = size; number-- != 0;) {
    std::size_t slot = hash(keys_[number]);
    while (slot_keys_[slot] != keys_[number]) slot = (slot + 1) & mask;
    slot_keys_[slot] = 0;
  }
  std::fill_n(counts_, std::size_t{size} * kBucketsPerPage, 0);
}

void BucketTable::release() noexcept {
  if (bytes_ == 0) return;
  release_pages(counts_, kAllBytes);
  budget_->give_back(bytes_);
  bytes_ = page_room_ = 0;
  shift_ = 64 - std::countr_zero(kFirstSlots);
}

}  // namespace pepper::detail
