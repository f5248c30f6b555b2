#include <pepper/snapshot.hpp>

#include "sampled.hpp"
#include "series_key.hpp"
#include "snapshot_data.hpp"

#include <algorithm>
#include <limits>

namespace pepper {

namespace {

SeriesSnapshot read(const detail::SnapshotData& data, std::uint32_t index) noexcept {
  const detail::SeriesEntry& entry = data.registry->entry(index);
  const detail::SeriesValues& values = data.values[index];
  SeriesSnapshot series;
  series.name = entry.name();
  series.tags = entry.tags();
  series.kind = entry.first_kind;
  // [text:acquire] pairs with [text:release] in Registry::describe()
  const detail::SeriesText* const text = entry.text.load(std::memory_order_acquire);
  // [relaxed: set before that snapshot was published]
  if (text != nullptr && text->since.load(std::memory_order_relaxed) <= data.sequence) {
    series.kind = text->kind;
    series.unit = text->unit;
    series.help = text->help;
  }
  series.count = values.count;
  series.sum = values.sum;
  series.min = values.min;
  series.max = values.max;
  series.last = values.last;
  series.violations = data.values.violations(index);
  series.recorded = values.count;
  if (!data.refused.empty()) [[unlikely]] {
    const auto found = std::ranges::lower_bound(data.refused, index, {}, &detail::Refused::series);
    if (found != data.refused.end() && found->series == index) series.refused = found->count;
  }
  const detail::Buckets* buckets = data.values.buckets(index);
  const bool has_distribution = buckets != nullptr || series.kind == Kind::histogram || series.kind == Kind::timer;
  if (const auto parts = data.order->parts_of(index); !parts.empty()) [[unlikely]] {
    detail::add_up(series, data, parts);
    if (has_distribution) buckets = data.merged.get(data.order->parts(), parts, data.values);
  }
  if (has_distribution) series.distribution = {buckets, series.recorded, series.min, series.max};
  const auto exemplars = std::ranges::lower_bound(data.exemplars, index, {}, &detail::SeriesExemplars::index);
  if (exemplars != data.exemplars.end() && exemplars->index == index)
    series.exemplars = {&exemplars->exemplars[exemplars->largest], &exemplars->exemplars[exemplars->latest]};
  return series;
}

/// A series together with what keeps its views alive.
struct Found {
  Found(const detail::SnapshotData& data, std::uint32_t index, std::shared_ptr<const Snapshot> of)
      : series(read(data, index)), snapshot(std::move(of)) {}

  SeriesSnapshot series;
  std::shared_ptr<const Snapshot> snapshot;
};

}  // namespace

double SeriesSnapshot::mean() const noexcept {
  return count == 0 ? std::numeric_limits<double>::quiet_NaN() : sum / static_cast<double>(count);
}

double SeriesSnapshot::quantile(double q) const noexcept { return distribution.quantile(q); }

detail::SeriesOrder::SeriesOrder(std::shared_ptr<const Registry> registry, std::uint32_t size)
    : registry_(std::move(registry)), size_(size) {
  for (const Registry::PartNode* node = registry_->newest_part(); node != nullptr; node = node->older) {
    if (node->part.index < size_) parts_.push_back(node->part);
  }
  std::ranges::sort(parts_,
                    [](const SeriesPart& a, const SeriesPart& b) { return a.whole != b.whole ? a.whole < b.whole : a.index < b.index; });
}

std::span<const detail::SeriesPart> detail::SeriesOrder::parts_of(std::uint32_t index) const noexcept {
  if (parts_.empty()) [[likely]]
    return {};
  const auto first = std::ranges::lower_bound(parts_, index, {}, &SeriesPart::whole);
  const auto end = std::ranges::upper_bound(first, parts_.end(), index, {}, &SeriesPart::whole);
  return {first, end};
}

detail::SeriesOrder::~SeriesOrder() { delete indices_.load(std::memory_order_relaxed); }  // [relaxed: no other thread any more]

const std::vector<std::uint32_t>& detail::SeriesOrder::indices() const {
  const std::vector<std::uint32_t>* known = indices_.load(std::memory_order_acquire);  // [order:acquire] pairs with [order:release] below
  if (known != nullptr) return *known;
  auto made = std::make_unique<std::vector<std::uint32_t>>();
  made->reserve(whole());
  for (std::uint32_t index = 0; index < size_; ++index) {
    if (!registry_->entry(index).is_part) made->push_back(index);
  }
  std::ranges::sort(*made, [this](std::uint32_t a, std::uint32_t b) {
    const SeriesEntry &x = registry_->entry(a), &y = registry_->entry(b);
    const int names = x.name().compare(y.name());
    return names != 0 ? names < 0 : tags_less(x.tags(), y.tags());
  });
  // [order:release] [order:acquire] the first of those who sort at once is kept; pairs with itself and with [order:acquire] above
  if (indices_.compare_exchange_strong(known, made.get(), std::memory_order_acq_rel, std::memory_order_acquire)) return *made.release();
  return *known;
}

Snapshot::Snapshot(const detail::SnapshotAccess&, std::unique_ptr<detail::SnapshotData> data) noexcept : data_(std::move(data)) {}
Snapshot::~Snapshot() = default;

std::uint64_t Snapshot::sequence() const noexcept { return data_->sequence; }
std::chrono::system_clock::time_point Snapshot::taken_at() const noexcept { return data_->taken_at; }
std::size_t Snapshot::size() const noexcept { return data_->order->whole(); }
const CollectorStats& Snapshot::stats() const noexcept { return data_->stats; }

Snapshot::Iterator Snapshot::begin() const {
  (void)data_->order->indices();
  return {this, 0};
}
Snapshot::Iterator Snapshot::end() const { return {this, static_cast<std::ptrdiff_t>(size())}; }

SeriesSnapshot Snapshot::in_order(std::size_t position) const noexcept { return read(*data_, data_->order->indices()[position]); }

std::shared_ptr<const SeriesSnapshot> Snapshot::find(std::string_view name, TagsView tags) const {
  const detail::SeriesKey key(name, tags);
  const std::uint32_t index = data_->registry->find(key, [this](std::uint32_t likely) {
    if (likely < data_->order->size()) data_->values.prefetch(likely);
  });
  if (index >= data_->order->size() || data_->registry->entry(index).is_part)
    return nullptr;  // there is none, or it is younger than this snapshot
  auto found = std::make_shared<const Found>(*data_, index, shared_from_this());
  const SeriesSnapshot* const series = &found->series;
  return {std::move(found), series};
}

}  // namespace pepper
