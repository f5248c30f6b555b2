#pragma once

#include <pepper/config.hpp>

#include "mapping.hpp"

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <limits>

namespace pepper::detail {

/// Which values a collector's series take, by index. By value and mapped for good, as a place is: a thread that is late may read them for a
/// collector that is gone. Any thread reads; written under the registry's mutex.
class ValueChecks {
 public:
  /// Room for so many series. Throws std::bad_alloc.
  explicit ValueChecks(std::uint32_t room) : verdicts_(map_array<std::atomic<Verdict>>(room)), bounds_(map_array<Bounds>(room)) {}

  /// For another collector, whose series say their checks anew.
  void start_over() noexcept { has_any_.store(false, std::memory_order_relaxed); }  // [relaxed: published with the series' base]
  /// Null: no series of this collector has one.
  [[nodiscard]] const ValueChecks* if_any() const noexcept {
    return has_any_.load(std::memory_order_relaxed) ? this : nullptr;  // [relaxed: a handle that reaches another thread brings it along]
  }

  void set(std::uint32_t index, const ValueCheck& check) noexcept {
    const Verdict verdict = check == ValueCheck{} ? Verdict::take : check.clamp ? Verdict::clamp : Verdict::refuse;
    // Written only where it changes, as it is memory that few series need.
    if (verdict == Verdict::take && verdict_of(index) == Verdict::take) return;
    bounds_[index].least.store(check.least, std::memory_order_relaxed);  // [relaxed: published with the verdict]
    bounds_[index].most.store(check.most, std::memory_order_relaxed);    // [relaxed: published with the verdict]
    verdicts_[index].store(verdict, std::memory_order_release);          // [check:release] pairs with [check:acquire] in verdict_of()
    has_any_.store(true, std::memory_order_relaxed);                     // [relaxed: as in if_any()]
  }

  [[nodiscard]] ValueCheck of(std::uint32_t index) const noexcept {
    const Verdict verdict = verdict_of(index);
    if (verdict == Verdict::take) return {};
    return {bounds_[index].least.load(std::memory_order_relaxed),  // [relaxed: published with the verdict]
            bounds_[index].most.load(std::memory_order_relaxed),   // [relaxed: published with the verdict]
            verdict == Verdict::clamp};
  }
  /// What the series takes where this value, no NaN, is recorded: itself, the nearest one that is valid, or, as NaN, nothing.
  [[nodiscard]] double judged(std::uint32_t index, double value) const noexcept {
    const ValueCheck check = of(index);
    const double valid = std::clamp(value, check.least, check.most);
    return valid == value || check.clamp ? valid : std::numeric_limits<double>::quiet_NaN();
  }

 private:
  enum class Verdict : std::uint8_t { take, refuse, clamp };  ///< on what is outside the bounds; take: there are none
  struct Bounds {
    std::atomic<double> least, most;
  };

  [[nodiscard]] Verdict verdict_of(std::uint32_t index) const noexcept {
    return verdicts_[index].load(std::memory_order_acquire);  // [check:acquire] pairs with [check:release] in set()
  }

  std::atomic<Verdict>* const verdicts_;
  Bounds* const bounds_;
  std::atomic<bool> has_any_{false};
};

}  // namespace pepper::detail
