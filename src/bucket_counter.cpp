#include "bucket_counter.hpp"

#include <new>

namespace pepper::detail {

namespace {

/// A narrow count may take so many records between two looks at it: see BucketWriter.
constexpr std::uint64_t kMostRecords = std::uint64_t{1} << 31;

}  // namespace

BucketCounter::BucketCounter(SeriesRange& series, BucketLease& lease)
    : series_(series),
      lease_(lease),
      capacity_(series.capacity()),
      entries_pages_(capacity_ * sizeof(Entry), false),
      series_pages_(capacity_ * sizeof(SeriesBuckets), false),
      entries_(reinterpret_cast<Entry*>(entries_pages_.data())),
      series_buckets_(reinterpret_cast<SeriesBuckets*>(series_pages_.data())) {}

void BucketCounter::count(const Record* records, std::size_t count, const FoldTable& table) noexcept {
  Entry* const entries = entries_;
  for_each_distributed(records, count, table, [&](std::uint32_t index, std::uint64_t bits, ScaleCode code) {
    if (is_normal(bits)) [[likely]] {
      // At a scale that has no table the sizes are 0.
      const std::int32_t bucket = bucket_index_by_table(bits & ~kSignBit, kScaleTables[code]);
      const std::size_t sign = bits >> 63;
      const Entry& entry = entries[index];
      const auto at = static_cast<std::uint32_t>(bucket - entry.first[sign]);
      if (at < entry.size[sign]) [[likely]] {
        entry.add(sign == 0 ? at : std::size_t{entry.size[0]} + at);
        return;
      }
    }
    add_slow(index, bits, code);
  });
  counted_records_ += count;
  if (counted_records_ > kMostRecords) settle();
}

template <class Add>
void BucketCounter::write(std::uint32_t index, Add&& add) noexcept {
  constexpr BucketLimits kUsual{};
  SeriesBuckets& of = series_buckets_[index];
  try {
    if (!of.is_known) distributed_.push_back(index);
    of.is_known = true;
    if (!of.is_open) open_.push_back(index);
    of.is_open = true;
  } catch (const std::bad_alloc&) {
    return;  // as below
  }
  const BucketLimits* const limits = series_.limits_of(index);
  BucketWriter writer(of.buckets, limits == nullptr ? kUsual : *limits, lease_);
  // Where there is no memory at all it is missing in the distribution, which a snapshot says.
  add(writer);
  if (of.buckets.get() == nullptr) return;
  const ScaleCode code = scale_code(of.buckets.get()->scale());
  if (code < series_.scale_of(index)) series_.set_scale(index, code);
  // In place only at the scale at which records come, without what is to be filled back, and if nobody shares it.
  Entry& entry = entries_[index];
  const bool is_direct =
      writer.is_own() && has_table(code) && code == series_.scale_of(index) && (limits == nullptr || limits->expected_interval == 0);
  entry.counts = writer.counts();
  entry.is_wide = of.buckets.get()->is_wide();
  for (const bool sign : {false, true}) {
    const Buckets::Window& window = of.buckets.get()->window(sign);
    entry.first[sign] = window.first;
    entry.size[sign] = is_direct ? window.size : 0;
  }
}

[[gnu::noinline]] void BucketCounter::add_slow(std::uint32_t index, std::uint64_t bits, ScaleCode code) noexcept {
  if (is_nan(bits)) return;
  const BucketPlace place = place_bucket(bits, index, code);
  write(index, [&](BucketWriter& writer) { writer.add(place, 1); });
}

void BucketCounter::merge(const BucketTable::Page& page) noexcept {
  const std::uint32_t index = PageKey::series(page.key);
  if (index < capacity_) write(index, [&](BucketWriter& writer) { writer.add(page); });
}

void BucketCounter::settle() noexcept {
  for (const std::uint32_t index : open_) {
    SeriesBuckets& of = series_buckets_[index];
    of.is_open = false;
    entries_[index].size[0] = entries_[index].size[1] = 0;
    BucketWriter(of.buckets, {}, lease_).settle();
  }
  open_.clear();
  counted_records_ = 0;
}

void BucketCounter::start_over() noexcept {
  for (const std::uint32_t index : distributed_) {
    series_buckets_[index].buckets = SharedBuckets{};
    series_buckets_[index].is_known = series_buckets_[index].is_open = false;
    entries_[index].size[0] = entries_[index].size[1] = 0;
  }
  distributed_.clear();
  open_.clear();
  counted_records_ = 0;
}

}  // namespace pepper::detail
