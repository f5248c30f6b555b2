#pragma once

#include <pepper/collector.hpp>

#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <string_view>
#include <type_traits>
#include <utility>

namespace pepper {

// The collectors of the family where PEPPER_DISABLED is defined: they give out empty handles, and sample, limit, keep and aggregate
// nothing.
inline namespace disabled {

template <class Inner>
class Layer {
 public:
  Counter counter(std::string_view, TagsView = {}, const SeriesOptions& = {}) { return {}; }
  Gauge gauge(std::string_view, TagsView = {}, const SeriesOptions& = {}) { return {}; }
  Summary summary(std::string_view, TagsView = {}, const SeriesOptions& = {}) { return {}; }
  Histogram histogram(std::string_view, TagsView = {}, const SeriesOptions& = {}) { return {}; }
  Timer timer(std::string_view, TagsView = {}, const SeriesOptions& = {}) { return {}; }
  bool record(std::string_view, double, TagsView = {}, TagsView = {}) noexcept { return true; }
  bool record(const Metric&) noexcept { return true; }
  [[nodiscard]] std::shared_ptr<const Snapshot> snapshot() const { return inner_.snapshot(); }
  std::shared_ptr<const Snapshot> flush() { return inner_.flush(); }
  [[nodiscard]] CollectorStats stats() const { return inner_.stats(); }
  [[nodiscard]] std::remove_reference_t<Inner>& inner() noexcept { return inner_; }
  [[nodiscard]] MetricsCollector& core() noexcept {
    if constexpr (std::is_same_v<Inner, MetricsCollector&>) {
      return inner_;
    } else {
      return inner_.core();
    }
  }

 protected:
  explicit Layer(Inner&& inner) : inner_(std::forward<Inner>(inner)) {}

 private:
  Inner inner_;
};

template <class Inner>
class SamplingCollector : public Layer<Inner> {
 public:
  SamplingCollector(Inner inner, double, std::uint64_t = 0) : Layer<Inner>(std::forward<Inner>(inner)) {}
};
template <class Inner>
SamplingCollector(Inner&&, double) -> SamplingCollector<Inner>;
template <class Inner>
SamplingCollector(Inner&&, double, std::uint64_t) -> SamplingCollector<Inner>;

template <class Inner>
class RateLimitedCollector : public Layer<Inner> {
 public:
  RateLimitedCollector(Inner inner, double) : Layer<Inner>(std::forward<Inner>(inner)) {}
};
template <class Inner>
RateLimitedCollector(Inner&&, double) -> RateLimitedCollector<Inner>;

template <class Inner>
class BatchCollector : public Layer<Inner> {
 public:
  static constexpr std::size_t kMostRecords = std::size_t{1} << 20;
  explicit BatchCollector(Inner inner, std::size_t = 100) : Layer<Inner>(std::forward<Inner>(inner)) {}
  void hand_over() noexcept {}
};
template <class Inner>
BatchCollector(Inner&&) -> BatchCollector<Inner>;
template <class Inner>
BatchCollector(Inner&&, std::size_t) -> BatchCollector<Inner>;

struct Aggregate {
  std::uint64_t count = 0;
  double min = std::numeric_limits<double>::quiet_NaN(), max = min, last = min;
  void add(double) noexcept {}
  [[nodiscard]] double sum() const noexcept { return 0; }
  [[nodiscard]] double mean() const noexcept { return min; }
};

template <class Inner>
class AggregatingCollector : public Layer<Inner> {
 public:
  explicit AggregatingCollector(Inner inner) : Layer<Inner>(std::forward<Inner>(inner)) {}
  [[nodiscard]] Aggregate find(std::string_view, TagsView = {}) const { return {}; }
  void clear() noexcept {}
};
template <class Inner>
AggregatingCollector(Inner&&) -> AggregatingCollector<Inner>;

}  // namespace disabled
}  // namespace pepper
