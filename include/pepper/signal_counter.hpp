#pragma once

#include <pepper/handles.hpp>

#include <atomic>
#include <cstdint>

#pragma GCC visibility push(default)
namespace pepper {

class MetricsCollector;

namespace detail {

/// What a series' signal counters add to, any thread and any handler at once. All zero: nothing was added. Memory that is never freed or
/// used again, as handles outlive collectors.
struct SignalCell {
  using Word = std::atomic<std::uint64_t>;
  static_assert(Word::is_always_lock_free, "a handler that interrupts a locked add would wait for itself");

  Word ones{0};                                     ///< calls with amount 1: one add is all there is to say of them
  Word calls{0}, amount{0};                         ///< calls with other amounts, and their total
  Word largest{0}, largest_complement{0}, last{0};  ///< of those amounts; the complement of the smallest is the largest of complements

  void add(std::uint64_t n) noexcept {
    raise(largest, n);
    raise(largest_complement, ~n);
    last.store(n, std::memory_order_relaxed);        // [relaxed: published by calls]
    amount.fetch_add(n, std::memory_order_relaxed);  // [relaxed: published by calls]
    calls.fetch_add(1, std::memory_order_release);   // [signal:release] pairs with [signal:acquire] in SignalSeries::take()
  }

 private:
  static void raise(Word& to, std::uint64_t n) noexcept {
    std::uint64_t is = to.load(std::memory_order_relaxed);                                   // [relaxed: published by calls]
    while (is < n && !to.compare_exchange_weak(is, n, std::memory_order_relaxed)) continue;  // [relaxed: published by calls]
  }
};

}  // namespace detail

#if !defined(PEPPER_DISABLED)
/// A Counter for signal handlers: async-signal-safe, as add() reaches neither the thread's chunk nor anything else of the thread; errno
/// stays. One series may have both kinds of counter, they add up. Trivially copyable, thread-safe. A default-constructed one is unbound
/// and counts nothing; one that outlives its collector counts for nobody. fork() in a signal handler is not supported.
///
/// Elsewhere use a Counter: it costs a fifth, and many threads adding to one SignalCounter share a cache line.
class SignalCounter {
 public:
  constexpr SignalCounter() noexcept = default;

  /// Counts one call that amounts to `n`. Amount 1 is one lock-free fetch_add. Of another amount, a snapshot that is taken in the middle of
  /// the call may have `n` in the sum already and the call not yet in the count; never the other way round. The amounts between two looks
  /// of the collector add up modulo 2^64.
  void add(std::uint64_t n = 1) const noexcept {
    if (cell_ == nullptr) return;
    if (n != 1) return cell_->add(n);
    cell_->ones.fetch_add(1, std::memory_order_relaxed);  // [relaxed: a number, guards no data]
  }

 private:
  friend MetricsCollector;
  explicit constexpr SignalCounter(detail::SignalCell* cell) noexcept : cell_(cell) {}
  detail::SignalCell* cell_ = nullptr;
};
#endif

}  // namespace pepper
#pragma GCC visibility pop
