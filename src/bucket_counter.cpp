#include "bucket_counter.hpp"

#include "distributed.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <new>
#include <utility>

namespace pepper::detail {

namespace {

/// A narrow count may take so many records between two looks at it: see BucketWriter.
constexpr std::uint64_t kMostRecords = std::uint64_t{1} << 31;

/// So many series' counts may be in a cache.
constexpr std::size_t kCached = 4096;
constexpr std::size_t kAhead = 64;

constexpr std::size_t kMostToFillBack = 4096;

/// The index of the first bucket, or the one before, whose records say that others are missing.
std::int64_t first_to_fill_back(double interval, int scale) noexcept {
  const double least = 2 * interval;
  if (!std::isfinite(least)) return std::numeric_limits<std::int32_t>::max();
  return bucket_index_slow(std::bit_cast<std::uint64_t>(least), scale);
}

}  // namespace

BucketCounter::BucketCounter(SeriesRange& series, BucketLease& lease)
    : series_(series),
      lease_(lease),
      capacity_(series.capacity()),
      spans_pages_(capacity_ * sizeof(BucketSpan), false),
      series_pages_(capacity_ * sizeof(SeriesBuckets), false),
      spans_(reinterpret_cast<BucketSpan*>(spans_pages_.data())),
      series_buckets_(reinterpret_cast<SeriesBuckets*>(series_pages_.data())) {}

void BucketCounter::count(const Record* records, std::size_t count, const FoldTable& table) noexcept {
  if (distributed_.size() <= kCached) {
    for_each_distributed(
        records, count, table, spans_, [](std::uint32_t* counted) { ++*counted; },
        [this](std::uint32_t index, std::uint64_t bits, ScaleCode code) { add_slow(index, bits, code); });
  } else {
    // Counts of so many series are far away: all are sent for before the first is changed.
    std::uint32_t* pending[kAhead];
    std::size_t pending_count = 0;
    const auto change = [&] {
      for (std::size_t i = 0; i < pending_count; ++i) ++*pending[i];
      pending_count = 0;
    };
    for (std::size_t at = 0; at < count; at += kAhead) {
      for_each_distributed(
          records + at, std::min(kAhead, count - at), table, spans_,
          [&](std::uint32_t* counted) {
            __builtin_prefetch(counted, 1);
            pending[pending_count++] = counted;
          },
          [&](std::uint32_t index, std::uint64_t bits, ScaleCode code) {
            change();  // this may move them
            add_slow(index, bits, code);
          });
      change();
    }
  }
  counted_records_ += count;
  if (counted_records_ > kMostRecords) settle();
}

template <class Add>
bool BucketCounter::write(std::uint32_t index, Add&& add) noexcept {
  constexpr BucketLimits kUsual{};
  SeriesBuckets& of = series_buckets_[index];
  try {
    if (!of.is_known) distributed_.push_back(index);
    of.is_known = true;
    if (!of.is_open) open_.push_back(index);
    of.is_open = true;
  } catch (const std::bad_alloc&) {
    return false;  // as below
  }
  const BucketLimits* const limits = series_.limits_of(index);
  BucketWriter writer(of.buckets, limits == nullptr ? kUsual : *limits, lease_);
  // Where there is no memory at all it is missing in the distribution, which a snapshot says.
  const bool is_added = add(writer);
  if (of.buckets.get() == nullptr) return is_added;
  const ScaleCode code = scale_code(of.buckets.get()->scale());
  if (code < series_.scale_of(index)) series_.set_scale(index, code);
  // In place only what nobody shares, at the scale at which records come.
  const Buckets& buckets = *of.buckets.get();
  of.is_direct = writer.is_own() && code == series_.scale_of(index);
  of.fills_back = limits != nullptr && limits->expected_interval > 0;
  const Buckets::Window& positive = buckets.window(false);
  std::uint32_t size = of.is_direct && !buckets.is_wide() ? positive.size : 0;
  if (of.fills_back) {  // and not without a look at those that say that others are missing
    const std::int64_t end = first_to_fill_back(limits->expected_interval, buckets.scale());
    size = static_cast<std::uint32_t>(std::clamp<std::int64_t>(end - positive.first, 0, size));
  }
  spans_[index] = size != 0 ? BucketSpan::of(writer.counts(), positive.first, size, code) : BucketSpan{};
  return is_added;
}

bool BucketCounter::add_in_place(SeriesBuckets& of, std::uint64_t bits, ScaleCode code) noexcept {
  const std::uint64_t magnitude = bits & ~kSignBit;
  if (!of.is_direct || !is_normal(bits) || scale_code(of.buckets.get()->scale()) != code) return false;
  const std::int32_t index =
      has_table(code) ? bucket_index_by_table(magnitude, kScaleTables[code]) : bucket_index_slow(magnitude, scale_of(code));
  return BucketWriter(of.buckets, {}, lease_).add_one((bits & kSignBit) != 0, index);
}

[[gnu::noinline]] void BucketCounter::add_slow(std::uint32_t index, std::uint64_t bits, ScaleCode code) noexcept {
  if (is_nan(bits)) return;
  SeriesBuckets& of = series_buckets_[index];
  const bool is_in_place = add_in_place(of, bits, code);
  if (is_in_place && !of.fills_back) return;
  const BucketPlace place = place_bucket(bits, index, code);
  if (!is_in_place && !write(index, [&](BucketWriter& writer) { return writer.add(place, 1); })) return;
  if (of.fills_back) fill_back_later(place, 1);
}

void BucketCounter::fill_back_later(const BucketPlace& place, std::uint32_t count) noexcept {
  const ScaleCode code = PageKey::code(place.key);
  if (code == 0 || PageKey::is_negative(place.key)) return;
  const std::uint32_t series = PageKey::series(place.key);
  if (to_fill_back_.size() == kMostToFillBack) fill_back();
  try {
    to_fill_back_.push_back({place, count});
  } catch (const std::bad_alloc&) {
    write(series, [&](BucketWriter& writer) { return writer.fill_back(place, count); });
  }
}

void BucketCounter::fill_back() noexcept {
  const auto order = [](const FillBack& of) { return std::pair(of.place.key, of.place.at); };
  std::ranges::sort(to_fill_back_, {}, order);
  for (std::size_t i = 0; i < to_fill_back_.size();) {
    const BucketPlace place = to_fill_back_[i].place;
    std::uint64_t count = 0;
    for (; i < to_fill_back_.size() && order(to_fill_back_[i]) == std::pair(place.key, place.at); ++i) count += to_fill_back_[i].count;
    write(PageKey::series(place.key), [&](BucketWriter& writer) { return writer.fill_back(place, count); });
  }
  to_fill_back_.clear();
}

void BucketCounter::merge(const BucketTable::Page& page) noexcept {
  const std::uint32_t index = PageKey::series(page.key);
  if (index >= capacity_ || !write(index, [&](BucketWriter& writer) { return writer.add(page); })) return;
  if (!series_buckets_[index].fills_back) return;
  for (std::uint32_t at = 0; at < kBucketsPerPage; ++at) {
    if (page.counts[at] != 0) fill_back_later({page.key, at}, page.counts[at]);
  }
}

void BucketCounter::settle() noexcept {
  fill_back();
  for (const std::uint32_t index : open_) {
    SeriesBuckets& of = series_buckets_[index];
    of.is_open = false;
    of.is_direct = false;
    spans_[index] = {};
    BucketWriter(of.buckets, {}, lease_).settle();
  }
  open_.clear();
  counted_records_ = 0;
}

void BucketCounter::start_over() noexcept {
  lease_.none_is_present();
  for (const std::uint32_t index : distributed_) {
    series_buckets_[index].buckets = SharedBuckets{};
    series_buckets_[index].is_known = series_buckets_[index].is_open = series_buckets_[index].is_direct = false;
    spans_[index] = {};
  }
  distributed_.clear();
  open_.clear();
  to_fill_back_.clear();
  counted_records_ = 0;
}

}  // namespace pepper::detail
