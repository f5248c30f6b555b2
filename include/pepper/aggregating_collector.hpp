#pragma once

#include <pepper/collector.hpp>
#if defined(PEPPER_DISABLED)
#include <pepper/detail/disabled_layers.hpp>
#else
#include <pepper/detail/eager_handle.hpp>
#include <pepper/detail/layer.hpp>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <limits>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace pepper {

/// Count, sum, min, max and last of the values of one series, as of now. A sum is compensated: it errs by a few units in its last place,
/// however many values there are.
class Aggregate {
 public:
  std::uint64_t count = 0;
  double min = std::numeric_limits<double>::quiet_NaN(), max = min, last = min;  ///< NaN while count is 0

  [[nodiscard]] double sum() const noexcept { return std::isfinite(sum_) ? sum_ + compensation_ : sum_; }
  /// NaN while count is 0.
  [[nodiscard]] double mean() const noexcept { return sum() / static_cast<double>(count); }

  /// NaN is not counted, as it is refused by a collector.
  void add(double value) noexcept {
    if (value != value) return;
    ++count;
    // Neumaier's sum: https://en.wikipedia.org/wiki/Kahan_summation_algorithm#Further_enhancements
    const double sum = sum_ + value;
    compensation_ += std::abs(sum_) >= std::abs(value) ? (sum_ - sum) + value : (value - sum) + sum_;
    sum_ = sum;
    if (!(value >= min)) min = value;
    if (!(value <= max)) max = value;
    last = value;
  }

 private:
  double sum_ = 0, compensation_ = 0;
};

namespace detail {

/// A handle whose values are aggregated here and now, and then go on.
template <class Handle>
class Aggregated : public EagerHandle<Aggregated<Handle>, Handle> {
 public:
  constexpr Aggregated() noexcept = default;
  Aggregated(Handle handle, Aggregate& aggregate) noexcept : handle_(handle), aggregate_(&aggregate) {}

 private:
  friend EagerHandle<Aggregated, Handle>;

  void take(double value) const noexcept {
    note(value);
    if constexpr (Adds<Handle>) {
      handle_.add(value);
    } else if constexpr (Sets<Handle>) {
      handle_.set(value);
    } else if constexpr (Times<Handle>) {
      handle_.record(std::chrono::duration<double>(value));
    } else {
      handle_.record(value);
    }
  }
  void take(std::span<const double> values) const noexcept {
    for (const double value : values) note(value);
    handle_.record(values);
  }
  void note(double value) const noexcept {
    if (Adds<Handle> && value < 0) return;  // the collector drops it, and counts that
    if (aggregate_ != nullptr) aggregate_->add(value);
  }

  Handle handle_;
  Aggregate* aggregate_ = nullptr;
};

/// Name and tags.
using AggregateKey = std::pair<std::string, Tags>;
struct AggregateKeyLess {
  bool operator()(const AggregateKey& a, const AggregateKey& b) const noexcept {
    if (a.first != b.first) return a.first < b.first;
    return std::ranges::lexicographical_compare(
        a.second, b.second, [](const Tag& x, const Tag& y) { return x.key != y.key ? x.key < y.key : x.value < y.value; });
  }
};
using Aggregates = std::map<AggregateKey, Aggregate, AggregateKeyLess>;
/// False: no memory.
[[nodiscard]] __attribute__((visibility("default"))) bool try_add(Aggregates& to, const DynamicRecord& record) noexcept;

}  // namespace detail

/// Aggregates by name and tags on the caller's own thread, and hands the originals on: for whoever wants the numbers of this request, or
/// of this loop, at once and of nobody else.
///
///     #include <pepper/pepper.hpp>
///
///     int main() {
///       pepper::MetricsCollector collector;
///       const pepper::Summary everybody = collector.summary("rows_read");
///       everybody.record(1000);
///
///       pepper::AggregatingCollector request{collector};
///       const auto rows = request.summary("rows_read");
///       rows.record(7);
///       rows.record(5);
///       const pepper::Aggregate mine = request.find("rows_read");
///       return mine.count == 2 && mine.sum() == 12 && collector.flush()->find("rows_read")->count == 3 ? 0 : 1;
///     }
///
/// Of what a layer above it lets through, each as one; what a layer below does with it makes no difference here. Owner thread only, its
/// handles included, which must not outlive it. What is wrapped by reference must outlive it. A scope is timed by `timer.scope()`.
template <detail::Wrappable Inner>
class AggregatingCollector : public detail::Layer<AggregatingCollector<Inner>, Inner> {
  using Base = detail::Layer<AggregatingCollector, Inner>;

 public:
  explicit AggregatingCollector(Inner inner) : Base(std::forward<Inner>(inner)), aggregates_(std::make_unique<detail::Aggregates>()) {}

  /// Of the values since the last clear(); of none where the series has had none. Throws std::bad_alloc.
  [[nodiscard]] Aggregate find(std::string_view name, TagsView tags = {}) const {
    const auto found = aggregates_->find(key(name, tags));
    return found == aggregates_->end() ? Aggregate{} : found->second;
  }
  /// All of them, by (name, tags): pairs of a pair of name and tags, and an Aggregate.
  [[nodiscard]] const detail::Aggregates& aggregates() const noexcept { return *aggregates_; }
  /// Begins anew; handles stay bound.
  void clear() noexcept {
    for (auto& [of, aggregate] : *aggregates_) aggregate = {};
  }

 private:
  friend detail::Layers;

  [[nodiscard]] static detail::AggregateKey key(std::string_view name, TagsView tags) {
    return {std::string(name), Tags(tags.data(), tags.size())};
  }
  template <class Handle>
  [[nodiscard]] auto bind(std::string_view name, TagsView tags, const SeriesOptions& options, double weight, bool& is_weighted) {
    auto handle = detail::Layers::bind<Handle>(this->inner(), name, tags, options, weight, is_weighted);
    return detail::Aggregated(handle, (*aggregates_)[key(name, tags)]);
  }
  bool record_weighted(const detail::DynamicRecord& record) noexcept {
    const bool is_recorded = detail::Layers::record(this->inner(), record);
    if (is_recorded && !detail::try_add(*aggregates_, record)) return false;
    return is_recorded;
  }

  std::unique_ptr<detail::Aggregates> aggregates_;
};
template <class Inner>
AggregatingCollector(Inner&&) -> AggregatingCollector<Inner>;

}  // namespace pepper
#endif  // PEPPER_DISABLED
