#pragma once

#include <pepper/collector.hpp>
#if defined(PEPPER_DISABLED)
#include <pepper/detail/disabled_layers.hpp>
#else
#include <pepper/detail/gated.hpp>
#include <pepper/detail/layer.hpp>
#include <pepper/detail/rate_gate.hpp>

#include <string>
#include <string_view>
#include <utility>

namespace pepper {

/// Records at most so many values a second of each series, and counts the calls it refuses: SeriesSnapshot::refused, and
/// Cause::rate_limited in the ledger; count + refused is how many there were. For a series that must not crowd out the others.
///
///     #include <pepper/pepper.hpp>
///
///     int main() {
///       pepper::MetricsCollector collector;
///       pepper::RateLimitedCollector limited{collector, 100.0};
///       const auto errors = limited.counter("errors_logged");
///       for (int i = 0; i < 10'000; ++i) errors.add();
///
///       const auto found = limited.flush()->find("errors_logged");
///       return found->count >= 100 && found->count + found->refused == 10'000 ? 0 : 1;
///     }
///
/// A second's worth of calls may come at once, after that they pass as the budget fills up. Threads share the budget of a series; each may
/// hold back a millisecond's worth of it, one call at least. What comes in is seen when the flusher next looks, within 50 ms; with
/// FlushMode::manual, and after shutdown(), a refused call reads the clock itself. Over a SamplingCollector it refuses calls, under one
/// records. Thread-safe as `Inner` is; what is wrapped by reference must outlive it. Handles that outlive it record nothing.
template <detail::Wrappable Inner>
class RateLimitedCollector : public detail::Layer<RateLimitedCollector<Inner>, Inner> {
  using Base = detail::Layer<RateLimitedCollector, Inner>;

 public:
  /// `max_per_second`: 0 (nothing passes), or 1e-6 to 1e12. Throws std::invalid_argument.
  RateLimitedCollector(Inner inner, double max_per_second)
      : Base(std::forward<Inner>(inner)), limiter_(this->core(), detail::checked_rate_limit(max_per_second)) {}

 private:
  friend detail::Layers;

  template <class Handle>
  [[nodiscard]] auto bind(std::string_view name, TagsView tags, const SeriesOptions& options, double weight, bool& is_weighted) {
    auto handle = detail::Layers::bind<Handle>(this->inner(), name, tags, options, weight, is_weighted);
    return detail::Gated(handle, limiter_.gate(name, tags));
  }
  /// Looks for the limit by name and tags at each call, under a mutex: to record often, bind.
  bool record_weighted(const detail::DynamicRecord& record) noexcept {
    const auto verdict = limiter_.judge(record);
    if (verdict == detail::RateLimiter::Verdict::refuse) return true;
    if (verdict == detail::RateLimiter::Verdict::no_room) return detail::Layers::refuse(this->core());
    return detail::Layers::record(this->inner(), record);
  }

  detail::RateLimiter limiter_;
};
template <class Inner>
RateLimitedCollector(Inner&&, double) -> RateLimitedCollector<Inner>;

}  // namespace pepper
#endif  // PEPPER_DISABLED
