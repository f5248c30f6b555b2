#include <pepper/snapshot.hpp>

#include "series_key.hpp"
#include "snapshot_data.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <new>

namespace pepper {

namespace {

/// What was recorded of a series at one weight.
struct Recorded {
  const detail::SeriesValues& values;
  const detail::Buckets* buckets;
  double weight;
};

/// The sum of the squares of the recorded values, each as exact as its bucket; of values that are in no bucket as of the others.
double sum_of_squares(const Recorded& recorded) noexcept {
  double sum = 0;
  const Distribution distribution(recorded.buckets, recorded.values.count, recorded.values.min, recorded.values.max);
  if (distribution.count() == 0) return 0;
  for (const Bucket bucket : distribution) {
    const double middle = bucket.lower == bucket.upper ? bucket.lower : bucket.lower / 2 + bucket.upper / 2;
    sum += static_cast<double>(bucket.count) * middle * middle;
  }
  return sum * static_cast<double>(recorded.values.count) / static_cast<double>(distribution.count());
}

/// Adds what was recorded at a weight: the Horvitz-Thompson estimators of count and sum, and of their variances, for records that are each
/// kept with probability 1 / weight. https://en.wikipedia.org/wiki/Horvitz-Thompson_estimator
void add(SeriesSnapshot& to, const Recorded& recorded, double& count, double& count_variance, double& sum_variance) noexcept {
  const detail::SeriesValues& values = recorded.values;
  if (values.count == 0) return;
  const double n = static_cast<double>(values.count), w = recorded.weight;
  to.recorded += values.count;
  count += w * n;
  to.sum += w * values.sum;
  if (!(values.min >= to.min)) to.min = values.min;
  if (!(values.max <= to.max)) to.max = values.max;
  to.last = values.last;
  count_variance += w * (w - 1) * n;
  if (w != 1) sum_variance += w * (w - 1) * sum_of_squares(recorded);
}

/// Puts a series together from the records of each weight.
void add_parts(SeriesSnapshot& series, const detail::SnapshotData& data, std::uint32_t index,
               std::span<const detail::SeriesPart> parts) noexcept {
  const auto recorded_at = [&](std::uint32_t at, double weight) -> Recorded { return {data.values[at], data.values.buckets(at), weight}; };
  const Recorded whole = recorded_at(index, 1);
  double count = 0, count_variance = 0, sum_variance = 0;
  const detail::SeriesValues nothing;
  series.recorded = 0;
  series.sum = 0;
  series.min = nothing.min, series.max = nothing.max, series.last = nothing.last;
  add(series, whole, count, count_variance, sum_variance);
  constexpr std::size_t kMostMerged = 64;  // of buckets: so many rates has no program
  const detail::Buckets* buckets[kMostMerged] = {whole.buckets};
  std::size_t bucket_count = whole.buckets != nullptr;
  for (const detail::SeriesPart& part : parts) {
    const Recorded recorded = recorded_at(part.index, part.weight);
    add(series, recorded, count, count_variance, sum_variance);
    series.violations += data.values.violations(part.index);
    if (recorded.buckets != nullptr && bucket_count < kMostMerged) buckets[bucket_count++] = recorded.buckets;
  }
  constexpr double kMost = 0x1p63;
  series.count = count < kMost ? static_cast<std::uint64_t>(std::llround(count)) : std::uint64_t{1} << 63;
  series.count_error = std::sqrt(count_variance);
  series.sum_error = std::sqrt(sum_variance);
  double heaviest = 1;
  for (const detail::SeriesPart& part : parts) heaviest = std::max(heaviest, part.weight);
  series.sample_rate = count > 0 ? static_cast<double>(series.recorded) / count : 1 / heaviest;
  if (series.kind == Kind::gauge && whole.values.count != 0) series.last = whole.values.last;  // a part is older than that kind
  if (series.kind != Kind::histogram && series.kind != Kind::timer) return;
  const detail::Buckets* const all = bucket_count <= 1 ? buckets[0] : data.merged.get(index, {buckets, bucket_count});
  series.distribution = {all, series.recorded, series.min, series.max};
}

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
  const detail::Buckets* const buckets = data.values.buckets(index);
  if (buckets != nullptr || series.kind == Kind::histogram || series.kind == Kind::timer)
    series.distribution = {buckets, values.count, values.min, values.max};
  series.recorded = values.count;
  if (!data.refused.empty()) [[unlikely]] {
    const auto found = std::ranges::lower_bound(data.refused, index, {}, &detail::Refused::series);
    if (found != data.refused.end() && found->series == index) series.refused = found->count;
  }
  if (const auto parts = data.order->parts_of(index); !parts.empty()) [[unlikely]]
    add_parts(series, data, index, parts);
  const auto exemplars = std::ranges::lower_bound(data.exemplars, index, {}, &detail::SeriesExemplars::index);
  if (exemplars != data.exemplars.end() && exemplars->index == index)
    series.exemplars = {&exemplars->exemplars[exemplars->largest], &exemplars->exemplars[exemplars->latest]};
  return series;
}

/// A series together with what keeps its views alive.
struct Found {
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

detail::MergedBuckets::~MergedBuckets() {
  Node* node = newest_.load(std::memory_order_relaxed);  // [relaxed: no other thread any more]
  while (node != nullptr) delete std::exchange(node, node->older);
}

const detail::Buckets* detail::MergedBuckets::get(std::uint32_t index, std::span<const Buckets* const> from) noexcept {
  const auto find = [index](Node* node) {
    while (node != nullptr && node->index != index) node = node->older;
    return node;
  };
  Node* newest = newest_.load(std::memory_order_acquire);  // [merged:acquire] pairs with [merged:release] below
  if (const Node* const known = find(newest)) return known->buckets.get();
  // A snapshot that is kept is its keeper's memory, on nobody's budget.
  static constinit Budget unlimited;
  unlimited.set_limit(std::numeric_limits<std::size_t>::max());
  static constinit BucketLease lease(unlimited);
  constexpr BucketLimits kLimits{.max_buckets = 1u << 20};
  std::unique_ptr<Node> made(new (std::nothrow) Node{index, {}, newest});
  if (made == nullptr) return nullptr;
  for (const Buckets* const buckets : from) {
    if (!BucketWriter(made->buckets, kLimits, lease).merge(*buckets)) return nullptr;
  }
  // [merged:release] [merged:acquire] the first of those who merge at once is kept; pairs with itself and with [merged:acquire] above
  while (!newest_.compare_exchange_weak(made->older, made.get(), std::memory_order_acq_rel, std::memory_order_acquire)) {
    if (const Node* const known = find(made->older)) return known->buckets.get();
  }
  return made.release()->buckets.get();
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
    if (likely < data_->order->size()) __builtin_prefetch(&data_->values[likely]);
  });
  if (index >= data_->order->size() || data_->registry->entry(index).is_part)
    return nullptr;  // there is none, or it is younger than this snapshot
  auto found = std::make_shared<const Found>(Found{read(*data_, index), shared_from_this()});
  const SeriesSnapshot* const series = &found->series;
  return {std::move(found), series};
}

}  // namespace pepper
