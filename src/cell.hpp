#pragma once

#include "mapping.hpp"

#include <cmath>
#include <cstdint>
#include <limits>

namespace pepper::detail {

/// What is known of one series: one cache line. Whoever owns the table it stands in owns it; no concurrent access.
///
/// The sum is kept in two stages. `delta` is a plain sum of at most kDeltaTerms values, so that the fold's inner loop costs one addition;
/// it is then added to `sum` + `comp` by Knuth's TwoSum, which loses nothing worth counting. With u = 2^-53, summing n values plainly errs
/// by at most (n - 1) u sum|x| (Higham, Accuracy and Stability of Numerical Algorithms, 4.2), so |error| <= (kDeltaTerms + 2) u sum|x| <
/// 2^-46 sum|x| whatever the count.
struct alignas(kCacheLine) Cell {
  std::uint64_t count;
  double delta, sum, comp;
  double min, max, last;
  std::uint32_t stamp;   ///< of the pass that touched it last; 0: empty, the other fields mean nothing
  std::uint32_t ticket;  ///< of `last`, where a gauge set it; 0: none

  static constexpr std::uint64_t kDeltaTerms = 64;

  void clear() noexcept {
    count = 0;
    delta = sum = comp = last = 0;
    min = std::numeric_limits<double>::infinity();
    max = -min;
    stamp = ticket = 0;
  }

  void add_to_sum(double x) noexcept {
    const double total = sum + x;
    if (std::isfinite(total)) {
      const double x_part = total - sum;
      comp += (sum - (total - x_part)) + (x - x_part);
    } else {
      comp = 0;  // infinity minus infinity would be NaN here; the sum itself says infinite, or NaN where both signs met
    }
    sum = total;
  }

  void settle() noexcept {
    add_to_sum(delta);
    delta = 0;
  }

  /// To count and sum.
  void add(double value) noexcept {
    delta += value;
    if ((++count & (kDeltaTerms - 1)) == 0) settle();
  }

  [[nodiscard]] double total() const noexcept { return sum + (comp + delta); }

  /// A wrapping 31-bit order: tickets have their top bit set.
  [[nodiscard]] static bool is_newer(std::uint32_t ticket, std::uint32_t than) noexcept {
    return than == 0 || static_cast<std::int32_t>((ticket - than) << 1) > 0;
  }

  /// Takes in what another table counted of the same series, later than this one where neither has tickets.
  void merge(const Cell& from) noexcept {
    if (from.count == 0) return;
    count += from.count;
    settle();
    add_to_sum(from.sum);
    add_to_sum(from.comp);
    add_to_sum(from.delta);
    if (from.min < min) min = from.min;
    if (from.max > max) max = from.max;
    if (from.ticket == 0 ? ticket == 0 : is_newer(from.ticket, ticket)) {
      last = from.last;
      ticket = from.ticket;
    }
  }
};
static_assert(sizeof(Cell) == kCacheLine);

}  // namespace pepper::detail
