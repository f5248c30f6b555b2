#include "overload_buckets.hpp"

#include "distributed.hpp"
#include "mapping.hpp"

#include <algorithm>

namespace pepper::detail {

namespace {

/// A series has a span of at most so many pages: at scale 6 as many octaves.
constexpr std::int32_t kMostInSpan = 32;

}  // namespace

std::size_t OverloadBuckets::bytes() const noexcept { return round_up_to_pages(capacity_ * kBytesOfSeries + groups()); }

bool OverloadBuckets::reserve(std::uint32_t capacity, Budget& budget) noexcept {
  capacity_ = (capacity + kGroup - 1) / kGroup * kGroup;
  auto* at = static_cast<unsigned char*>(map_pages(bytes()));
  if (at == nullptr) return false;
  spans_ = reinterpret_cast<BucketSpan*>(at);
  reaches_ = reinterpret_cast<Reach*>(at += capacity_ * sizeof *spans_);
  opened_ = reinterpret_cast<std::uint32_t*>(at += capacity_ * sizeof *reaches_);
  group_is_taken_ = at + capacity_ * sizeof *opened_;
  budget_ = &budget;
  return table_.reserve(budget);
}

OverloadBuckets::~OverloadBuckets() {
  if (spans_ != nullptr) unmap_pages(spans_, bytes());
}

bool OverloadBuckets::take_group(std::uint32_t index) noexcept {
  std::uint8_t& taken = group_is_taken_[index / kGroup];
  if (taken == 0 && budget_->try_take(kGroup * kBytesOfSeries)) taken = 1;
  return taken != 0;
}

void OverloadBuckets::touch(std::uint32_t series, std::uint32_t distributions) noexcept {
  if (distributions == 0) return;
  // At scale 6 three decades of each series; and of a few all nine of the widest span, with the narrower ones before it, 1, 3, 7, 15 and 31
  // pages at most: nobody foresees how long a scope takes whose thread is preempted in it.
  constexpr std::uint32_t kPagesEach = 12, kWide = 4, kPagesOfWide = 3 * kMostInSpan, kMost = 1536;
  const std::uint32_t pages = distributions * kPagesEach + std::min(distributions, kWide) * (kPagesOfWide - kPagesEach);
  table_.touch(std::min(pages, kMost));
  for (std::uint32_t index = 0; index < series && take_group(index); index += kGroup) {
    touch_pages(spans_ + index, kGroup * sizeof *spans_);
    touch_pages(reaches_ + index, kGroup * sizeof *reaches_);
  }
  touch_pages(opened_, distributions * sizeof *opened_);
}

void OverloadBuckets::begin(bool is_fresh) noexcept {
  if (is_fresh) {
    for (; opened_count_ != 0; --opened_count_) {
      const std::uint32_t index = opened_[opened_count_ - 1];
      if (group_is_taken_[index / kGroup] != 0) spans_[index] = {};  // else it was given back, as zeros
    }
    table_.note_empty();
    chunks_ = 0;
  }
  ++chunks_;
  pages_at_start_ = table_.size();
  logged_end_.store(log_, std::memory_order_relaxed);  // [relaxed: published with the fold's announcement]
}

void OverloadBuckets::count(const Record* records, std::size_t count, const FoldTable& table) noexcept {
  // Counts have four bytes, so many chunks, all in one bucket: the thread has not been looked at for as long.
  if (chunks_ > (std::uint32_t{1} << 24)) return;
  Logged* logged = logged_end_.load(std::memory_order_relaxed);  // [relaxed: owner writes it]
  const auto base = reinterpret_cast<std::uintptr_t>(table_.counts());
  const auto add = [&](std::uint32_t* counted) {
    const std::uint32_t before = *counted;
    *logged++ = {static_cast<std::uint32_t>(reinterpret_cast<std::uintptr_t>(counted) - base), before};
    logged_end_.store(logged, std::memory_order_release);  // [log:release] pairs with [log:acquire] in Before
    // [counted:release] pairs with [counted:acquire] in Before::page(): who sees the new count sees it logged
    std::atomic_ref(*counted).store(before + 1, std::memory_order_release);
  };
  for_each_distributed(records, count, table, spans_, add, [&](std::uint32_t index, std::uint64_t bits, ScaleCode code) {
    if (std::uint32_t* const counted = find_slow(index, bits, code)) add(counted);
  });
}

[[gnu::noinline]] std::uint32_t* OverloadBuckets::find_slow(std::uint32_t index, std::uint64_t bits, ScaleCode code) noexcept {
  if (is_nan(bits)) return nullptr;
  const BucketPlace place = place_bucket(bits, index, code);
  if (is_normal(bits) && (bits & kSignBit) == 0 && has_table(code)) {
    const std::uint32_t number = bucket_number::of(bits, bucket_number::Scale(code));
    const bool can_be_in_span = number >= bucket_number::first_normal(code) && number < bucket_number::last(code);
    if (can_be_in_span && open_span(index, place)) return spans_[index].counts + spans_[index].place_of(number);
  }
  return table_.find(place);
}

/// A span that has the place's page, and those that the one before it had, with as many more on that side if it grows. False: it cannot
/// be, or there is one already.
bool OverloadBuckets::open_span(std::uint32_t index, const BucketPlace& place) noexcept {
  const std::int32_t page = PageKey::first_index(place.key) / static_cast<std::int32_t>(kBucketsPerPage);
  const ScaleCode code = PageKey::code(place.key);
  Reach& reach = reaches_[index];
  const bool has_reach = reach.pages != 0 && reach.code == code;
  std::int32_t first = has_reach ? reach.first : page, end = has_reach ? first + reach.pages : page + 1;
  if (page >= first && page < end) {
    if (has_reach && spans_[index].size != 0) return false;
  } else {
    if (spans_[index].size == 0 && (page < end - kMostInSpan || page >= first + kMostInSpan))
      first = page, end = page + 1;  // is elsewhere now
    const std::int32_t least = std::min(first, page), most = std::max(end, page + 1), room = kMostInSpan - (most - least);
    if (room < 0) return false;
    const std::int32_t more = std::min(room, std::max(0, (end - first) - (page < first ? first - page : most - end)));
    first = page < first ? least - more : least;
    end = page < end ? most : most + more;
  }
  if (!take_group(index)) return false;
  std::uint32_t* const counts =
      table_.make_run(place.key - static_cast<std::uint64_t>(page - first), static_cast<std::uint32_t>(end - first));
  if (counts == nullptr) return false;
  reach = {first, static_cast<std::uint16_t>(end - first), code};
  if (spans_[index].size == 0) opened_[opened_count_++] = index;
  constexpr auto kEach = static_cast<std::int32_t>(kBucketsPerPage);
  spans_[index] = BucketSpan::of(counts, first * kEach, static_cast<std::uint32_t>((end - first) * kEach), code);
  return true;
}

OverloadBuckets::Before::Before(const OverloadBuckets& of) noexcept
    : of_(of), logged_(of.logged_end_.load(std::memory_order_acquire)) {  // [log:acquire] pairs with [log:release] in count()
  sorted_end_ = std::copy(static_cast<const Logged*>(of.log_), logged_, sorted_);
  std::sort(sorted_, sorted_end_, [](const Logged& a, const Logged& b) { return a.offset < b.offset; });
}

void OverloadBuckets::Before::undo(const Logged& logged) noexcept {
  std::uint32_t& count = counts_[logged.offset / sizeof(std::uint32_t) % kBucketsPerPage];
  count = std::min(count, logged.before);
}

BucketTable::Page OverloadBuckets::Before::page(std::uint32_t number) noexcept {
  std::uint32_t* const counts = of_.table_.counts() + std::size_t{number} * kBucketsPerPage;
  for (std::uint32_t at = 0; at < kBucketsPerPage; ++at)
    counts_[at] = std::atomic_ref(counts[at]).load(std::memory_order_acquire);  // [counted:acquire] pairs with [counted:release] in count()
  for (; next_ != sorted_end_ && next_->page() <= number; ++next_) {
    if (next_->page() == number) undo(*next_);
  }
  // [log:acquire] pairs with [log:release] in count(): what the owner, who does not know of the theft, has logged since
  const Logged* const end = of_.logged_end_.load(std::memory_order_acquire);
  for (const Logged* logged = logged_; logged != end; ++logged) {
    if (logged->page() == number) undo(*logged);
  }
  return {of_.table_.page(number).key, counts_};
}

void OverloadBuckets::clear() noexcept {
  if (page_count_ > kCrowded) {
    table_.release();  // others need the memory more
  } else {
    table_.clear(page_count_);
  }
  page_count_ = 0;
}

void OverloadBuckets::release() noexcept {
  table_.release();
  for (std::uint32_t group = 0; group < groups(); ++group) {
    if (group_is_taken_[group] == 0) continue;
    group_is_taken_[group] = 0;
    budget_->give_back(kGroup * kBytesOfSeries);
    release_pages(spans_ + group * kGroup, kGroup * sizeof *spans_);
    release_pages(reaches_ + group * kGroup, kGroup * sizeof *reaches_);
  }
}

void OverloadBuckets::start_over() noexcept {
  opened_count_ = 0;  // release() came before
  table_.note_empty();
  page_count_ = pages_at_start_ = chunks_ = 0;
  logged_end_.store(log_, std::memory_order_relaxed);  // [relaxed: no fold is under way]
}

}  // namespace pepper::detail
