#pragma once

#include <pepper/collector.hpp>

#include <concepts>
#include <cstdint>
#include <memory>
#include <string_view>
#include <type_traits>
#include <utility>

#pragma GCC visibility push(default)
namespace pepper::detail {

/// The way down from a layer to the collector at its bottom. A collector is held by reference and must outlive the layer; another layer
/// may be moved in.
class Layers {
 public:
  /// Each record of what is bound stands for `weight` of them, 0: none is to be made; where there is no room for that, `is_weighted`
  /// becomes false, and each is to be recorded.
  template <class Handle>
  [[nodiscard]] static Handle bind(MetricsCollector& inner, std::string_view name, TagsView tags, const SeriesOptions& options,
                                   double weight, bool& is_weighted) {
    return inner.bind<Handle>(name, tags, options, weight, is_weighted);
  }
  template <class Handle, class Layer>
  [[nodiscard]] static auto bind(Layer& inner, std::string_view name, TagsView tags, const SeriesOptions& options, double weight,
                                 bool& is_weighted) {
    return inner.template bind<Handle>(name, tags, options, weight, is_weighted);
  }

  static bool record(MetricsCollector& inner, const DynamicRecord& record) noexcept { return inner.record_weighted(record); }
  template <class Layer>
  static bool record(Layer& inner, const DynamicRecord& record) noexcept {
    return inner.record_weighted(record);
  }

  /// False for what the collector would refuse, and of a gauge.
  [[nodiscard]] static bool may_sample(MetricsCollector& core, const DynamicRecord& record) noexcept { return core.may_sample(record); }
  /// Counts it in CollectorStats::rejected. False.
  static bool refuse(MetricsCollector& core) noexcept { return core.refuse(); }

  /// Of a handle of the collector itself: where its records go, and what the next one carries beside its value.
  template <class Handle>
  [[nodiscard]] static const Target& target(const Handle& handle) noexcept {
    return handle.target_;
  }
  template <class Handle>
  [[nodiscard]] static std::uint32_t next_extra(const Handle& handle) noexcept {
    if constexpr (std::same_as<Handle, Gauge>) {
      if (handle.tickets_ != nullptr) return next_gauge_ticket(*handle.tickets_);
    }
    return kExtraPlain;
  }

  [[nodiscard]] static MetricsCollector& core(MetricsCollector& inner) noexcept { return inner; }
  template <class Layer>
  [[nodiscard]] static MetricsCollector& core(const Layer& inner) noexcept {
    return inner.core();
  }
};

/// What the collectors of the family have in common: binds and reads as MetricsCollector does, by `Self::bind<Handle>(...)` and
/// `Self::record_weighted(...)`, which are the layer's own. `Inner` is a reference, or a layer.
template <class Self, class Inner>
class Layer {
 public:
  // As those of MetricsCollector; what they return has the members of the handle it is named after, and is copied as freely.
  [[nodiscard]] auto counter(std::string_view name, TagsView tags = {}, SeriesOptions options = {}) {
    return bind_all<Counter>(name, tags, options);
  }
  [[nodiscard]] auto gauge(std::string_view name, TagsView tags = {}, SeriesOptions options = {}) {
    return bind_all<Gauge>(name, tags, options);
  }
  [[nodiscard]] auto summary(std::string_view name, TagsView tags = {}, SeriesOptions options = {}) {
    return bind_all<Summary>(name, tags, options);
  }
  [[nodiscard]] auto histogram(std::string_view name, TagsView tags = {}, SeriesOptions options = {}) {
    return bind_all<Histogram>(name, tags, options);
  }
  [[nodiscard]] auto timer(std::string_view name, TagsView tags = {}, SeriesOptions options = {}) {
    return bind_all<Timer>(name, tags, options);
  }
  /// As MetricsCollector::record(): true also where the layer keeps it from being recorded, as it is meant to.
  bool record(std::string_view name, double value, TagsView tags = {}, TagsView metadata = {}) noexcept {
    return Layers::record(static_cast<Self&>(*this), {name, value, tags, metadata});
  }
  bool record(const Metric& metric) noexcept {
    return Layers::record(static_cast<Self&>(*this), {metric.name, metric.value, metric.tags, metric.metadata, metric.timestamp});
  }

  [[nodiscard]] std::shared_ptr<const Snapshot> snapshot() const { return core().snapshot(); }
  std::shared_ptr<const Snapshot> flush() { return inner_.flush(); }
  [[nodiscard]] CollectorStats stats() const { return core().stats(); }
  /// The collector at the bottom.
  [[nodiscard]] MetricsCollector& core() const noexcept { return Layers::core(inner_); }
  [[nodiscard]] std::remove_reference_t<Inner>& inner() noexcept { return inner_; }

 protected:
  explicit Layer(Inner&& inner) noexcept(std::is_nothrow_constructible_v<Inner, Inner&&>) : inner_(std::forward<Inner>(inner)) {}

 private:
  template <class Handle>
  [[nodiscard]] auto bind_all(std::string_view name, TagsView tags, const SeriesOptions& options) {
    bool is_weighted = true;
    return Layers::bind<Handle>(static_cast<Self&>(*this), name, tags, options, 1, is_weighted);
  }

  Inner inner_;
};

/// What a layer can wrap: a collector by reference, or another layer.
template <class Inner>
concept Wrappable = std::same_as<Inner, MetricsCollector&> || requires(std::remove_reference_t<Inner>& inner) {
  { inner.core() } -> std::same_as<MetricsCollector&>;
};

}  // namespace pepper::detail
#pragma GCC visibility pop
