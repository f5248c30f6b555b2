#pragma once

#include <atomic>
#include <cstddef>

namespace pepper::detail {

/// What one collector may hold, in bytes. All growth asks here first. Thread-safe, lock-free. Lives in a Place and so outlives the
/// collector: snapshots that are still kept give their bytes back to it.
class Budget {
 public:
  /// Not where less than `rest` would be left.
  [[nodiscard]] bool try_take(std::size_t bytes, std::size_t rest = 0) noexcept {
    std::size_t used = used_.load(std::memory_order_relaxed);  // [relaxed: a number, guards no data]
    do {
      if (bytes + rest > limit() || used > limit() - bytes - rest) return false;
    } while (!used_.compare_exchange_weak(used, used + bytes, std::memory_order_relaxed));  // [relaxed: a number, guards no data]
    return true;
  }
  /// For what exists already or cannot be refused.
  void take(std::size_t bytes) noexcept { used_.fetch_add(bytes, std::memory_order_relaxed); }       // [relaxed: a number, guards no data]
  void give_back(std::size_t bytes) noexcept { used_.fetch_sub(bytes, std::memory_order_relaxed); }  // [relaxed: a number, guards no data]

  [[nodiscard]] std::size_t used() const noexcept { return used_.load(std::memory_order_relaxed); }  // [relaxed: a number, guards no data]
  [[nodiscard]] std::size_t limit() const noexcept { return limit_.load(std::memory_order_relaxed); }  // [relaxed: set before threads]
  void set_limit(std::size_t bytes) noexcept { limit_.store(bytes, std::memory_order_relaxed); }       // [relaxed: set before threads]
  /// Three quarters full: time to return what only speeds things up.
  [[nodiscard]] bool is_tight() const noexcept { return used() > limit() / 4 * 3; }

 private:
  std::atomic<std::size_t> used_{0};
  std::atomic<std::size_t> limit_{0};
};

}  // namespace pepper::detail
