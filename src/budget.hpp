#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace pepper::detail {

/// What one collector may hold, in bytes. All growth asks here first. Thread-safe, lock-free. Lives in a Place and so outlives the
/// collector: snapshots that are still kept give their bytes back to it.
class Budget {
 public:
  /// Not where less than `rest` would be left.
  [[nodiscard]] bool try_take(std::size_t bytes, std::size_t rest = 0) noexcept {
    if (refusals_.load(std::memory_order_relaxed) != 0) return false;  // [relaxed: a number, guards no data]
    const std::size_t most = limit();
    std::size_t used = used_.load(std::memory_order_relaxed);  // [relaxed: a number, guards no data]
    do {
      if (bytes + rest > most || used > most - bytes - rest) return false;
    } while (!used_.compare_exchange_weak(used, used + bytes, std::memory_order_relaxed));  // [relaxed: a number, guards no data]
    return true;
  }
  /// For what exists already or cannot be refused.
  void take(std::size_t bytes) noexcept { used_.fetch_add(bytes, std::memory_order_relaxed); }       // [relaxed: a number, guards no data]
  void give_back(std::size_t bytes) noexcept { used_.fetch_sub(bytes, std::memory_order_relaxed); }  // [relaxed: a number, guards no data]

  [[nodiscard]] std::size_t used() const noexcept { return used_.load(std::memory_order_relaxed); }  // [relaxed: a number, guards no data]
  [[nodiscard]] std::size_t limit() const noexcept {
    return limit_.load(std::memory_order_relaxed);  // [relaxed: a number, guards no data]
  }
  /// Where more is used already, nothing is taken back: nothing grows until less is.
  void set_limit(std::size_t bytes) noexcept { limit_.store(bytes, std::memory_order_relaxed); }  // [relaxed: a number, guards no data]
  /// As if all were used, until as many times let go. For tests of users' programs.
  void refuse_all() noexcept { refusals_.fetch_add(1, std::memory_order_relaxed); }      // [relaxed: a number, guards no data]
  void refuse_no_more() noexcept { refusals_.fetch_sub(1, std::memory_order_relaxed); }  // [relaxed: a number, guards no data]
  /// Three quarters full: time to return what only speeds things up.
  [[nodiscard]] bool is_tight() const noexcept { return used() > limit() / 4 * 3; }

 private:
  std::atomic<std::size_t> used_{0};
  std::atomic<std::size_t> limit_{0};
  std::atomic<std::uint32_t> refusals_{0};
};

/// What distributions have taken of a budget. A snapshot may keep them when their collector is gone and another has the budget: so what is
/// given back must be the present tenant's. Thread-safe, lock-free.
class BucketLease {
 public:
  explicit constexpr BucketLease(Budget& budget) noexcept : budget_(budget) {}

  /// Whose bytes those are that are taken from now on.
  [[nodiscard]] std::uint64_t tenant() const noexcept {
    return word_.load(std::memory_order_relaxed) >> kBytesBits;  // [relaxed: a number, guards no data]
  }
  [[nodiscard]] bool try_take(std::size_t bytes) noexcept {
    if (!budget_.try_take(bytes)) return false;
    word_.fetch_add(bytes, std::memory_order_relaxed);  // [relaxed: a number, guards no data]
    return true;
  }
  void give_back(std::uint64_t tenant, std::size_t bytes) noexcept {
    std::uint64_t word = word_.load(std::memory_order_relaxed);  // [relaxed: a number, guards no data]
    do {
      if (word >> kBytesBits != tenant) return;
    } while (!word_.compare_exchange_weak(word, word - bytes, std::memory_order_relaxed));  // [relaxed: a number, guards no data]
    budget_.give_back(bytes);
  }
  /// All that is still out is on nobody's budget from now on.
  void end() noexcept {
    std::uint64_t word = word_.load(std::memory_order_relaxed);  // [relaxed: a number, guards no data]
    while (!word_.compare_exchange_weak(word, ((word >> kBytesBits) + 1) << kBytesBits, std::memory_order_relaxed))  // [relaxed: a number]
      continue;
    budget_.give_back(word & ((std::uint64_t{1} << kBytesBits) - 1));
  }

 private:
  static constexpr int kBytesBits = 44;

  Budget& budget_;
  std::atomic<std::uint64_t> word_{0};  ///< the tenant's number above the bytes
};

}  // namespace pepper::detail
