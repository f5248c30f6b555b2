#pragma once

#include <pepper/collector.hpp>
#if defined(PEPPER_DISABLED)
#include <pepper/detail/disabled_layers.hpp>
#else
#include <pepper/detail/gated.hpp>
#include <pepper/detail/layer.hpp>
#include <pepper/detail/sample_gate.hpp>

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace pepper {

/// Records a random share of the calls, and estimates the rest: count and sum in the snapshot are of all calls, unbiased, with a standard
/// error; min, max and distribution are of what was kept, as it was. A skipped call is a decrement. Gauges are never sampled.
///
///     #include <pepper/pepper.hpp>
///     #include <cmath>
///
///     int main() {
///       pepper::MetricsCollector collector;
///       pepper::SamplingCollector sampled{collector, 0.01};
///       const auto cells = sampled.counter("cells_updated");
///       for (int i = 0; i < 1'000'000; ++i) cells.add();
///
///       const auto found = sampled.flush()->find("cells_updated");
///       const double count = static_cast<double>(found->count);  // about a million, of about ten thousand that were recorded
///       return std::abs(count - 1e6) < 6 * found->count_error && found->recorded < 20'000 ? 0 : 1;
///     }
///
/// The same series may be recorded at other rates, and without one, elsewhere: the snapshot adds them up. A sampled series takes two of
/// max_series, one more for each rate; where there is no room its handles record every call (of rate 0: none), and its record(name, ...)
/// refuses. What was kept of a sampled series is not filled back: SeriesOptions::expected_interval is for what is recorded without.
/// Thread-safe as `Inner` is; what is wrapped by reference must outlive it. Handles that outlive it record nothing.
template <detail::Wrappable Inner>
class SamplingCollector : public detail::Layer<SamplingCollector<Inner>, Inner> {
  using Base = detail::Layer<SamplingCollector, Inner>;

 public:
  /// Each call is kept with probability `rate`: 0 (none: what is bound has a sample_rate of 0 until others record it), 1 (all), or 1e-9 to
  /// 1. With a `seed` other than 0 the same calls are kept at each run, in each thread by the order in which threads first record: a child
  /// that fork() makes records as one more thread of its parent's. Without one no thread, run or child keeps the same calls as another.
  /// Throws std::invalid_argument, std::length_error where 1,023 of these live.
  SamplingCollector(Inner inner, double rate, std::uint64_t seed = 0)
      : Base(std::forward<Inner>(inner)), rate_(detail::checked_sample_rate(rate)), sampler_(rate, seed) {}

 private:
  friend detail::Layers;

  template <class Handle>
  [[nodiscard]] auto bind(std::string_view name, TagsView tags, const SeriesOptions& options, double weight, bool& is_weighted) {
    const bool is_sampled = !std::same_as<Handle, Gauge> && rate_ != 1;
    const double own = rate_ == 0 ? 0 : weight / rate_;
    auto handle = detail::Layers::bind<Handle>(this->inner(), name, tags, options, is_sampled ? own : weight, is_weighted);
    return detail::Gated(handle, is_sampled && (is_weighted || rate_ == 0) ? sampler_.gate() : detail::SampleGate{});
  }
  bool record_weighted(const detail::DynamicRecord& record) noexcept {
    // Nor is what would be refused.
    if (rate_ == 1 || !detail::Layers::may_sample(this->core(), record)) return detail::Layers::record(this->inner(), record);
    if (!sampler_.gate().pass()) return true;
    detail::DynamicRecord kept = record;
    kept.weight /= rate_;
    return detail::Layers::record(this->inner(), kept);
  }

  double rate_;
  detail::Sampler sampler_;
};
template <class Inner>
SamplingCollector(Inner&&, double) -> SamplingCollector<Inner>;
template <class Inner>
SamplingCollector(Inner&&, double, std::uint64_t) -> SamplingCollector<Inner>;

}  // namespace pepper
#endif  // PEPPER_DISABLED
