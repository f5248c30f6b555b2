#include "signal_series.hpp"

#include <algorithm>
#include <utility>

namespace pepper::detail {

Cell SignalSeries::take() noexcept {
  Cell taken;
  taken.clear();
  const std::uint64_t ones = cell.ones.load(std::memory_order_relaxed);  // [relaxed: a number, guards no data]
  if (const std::uint64_t more = ones - std::exchange(seen_ones, ones); more != 0) {
    taken.count = more;
    taken.sum = static_cast<double>(more);
    taken.min = taken.max = taken.last = 1;
  }
  // [signal:acquire] pairs with [signal:release] in SignalCell::add(): what is read below has all that these calls brought
  const std::uint64_t calls = cell.calls.load(std::memory_order_acquire);
  if (const std::uint64_t more = calls - std::exchange(seen_calls, calls); more != 0) {
    const std::uint64_t amount = cell.amount.load(std::memory_order_relaxed);  // [relaxed: acquired with calls]
    taken.count += more;
    taken.add_to_sum(static_cast<double>(amount - std::exchange(seen_amount, amount)));
    // Begun anew, so that what is discarded leaves no trace. A call under way may have said its amount before and its call after: then the
    // amount is in here and the call in the next.
    const std::uint64_t largest = cell.largest.exchange(0, std::memory_order_relaxed);               // [relaxed: acquired with calls]
    const std::uint64_t smallest = ~cell.largest_complement.exchange(0, std::memory_order_relaxed);  // [relaxed: acquired with calls]
    taken.min = std::min(taken.min, static_cast<double>(smallest));
    taken.max = std::max(taken.max, static_cast<double>(largest));
    taken.last = static_cast<double>(cell.last.load(std::memory_order_relaxed));  // [relaxed: acquired with calls]
  }
  return taken;
}

/// Not take(): that leaves what a call has brought until the call itself is counted, which a call of the parent's never will be.
void SignalSeries::forget() noexcept {
  seen_ones = cell.ones.load(std::memory_order_relaxed);        // [relaxed: no other thread]
  seen_calls = cell.calls.load(std::memory_order_relaxed);      // [relaxed: no other thread]
  seen_amount = cell.amount.load(std::memory_order_relaxed);    // [relaxed: no other thread]
  cell.largest.store(0, std::memory_order_relaxed);             // [relaxed: no other thread]
  cell.largest_complement.store(0, std::memory_order_relaxed);  // [relaxed: no other thread]
}

}  // namespace pepper::detail
