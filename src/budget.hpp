#pragma once

#include <algorithm>
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
  [[nodiscard]] bool is_tight() const noexcept {
    const std::size_t aside = set_aside_.load(std::memory_order_relaxed);  // [relaxed: a number, guards no data]
    return used() - std::min(used(), aside) > limit() / 4 * 3;
  }
  /// Of what is used, so much is only set aside.
  void note_set_aside(std::size_t bytes) noexcept { set_aside_.store(bytes, std::memory_order_relaxed); }  // [relaxed: a number]

 private:
  std::atomic<std::size_t> used_{0};
  std::atomic<std::size_t> limit_{0};
  std::atomic<std::uint32_t> refusals_{0};
  std::atomic<std::size_t> set_aside_{0};
};

/// What distributions have taken of a budget. A snapshot may keep them when their collector is gone and another has the budget: so what is
/// given back must be the present tenant's. Thread-safe, lock-free.
///
/// A distribution that the latest snapshot shares is copied by its next record, and the old one is given back when the next snapshot is
/// there. So that this, or a smaller copy, can always be made, however little the budget has left, as much again is set aside as all
/// present distributions have, and as the largest one has, for one that grows or shrinks meanwhile. What is given back goes there first.
class BucketLease {
 public:
  enum class Reserve : bool { none, for_copies };
  explicit constexpr BucketLease(Budget& budget, Reserve reserve = Reserve::for_copies) noexcept
      : budget_(budget), has_reserve_(reserve == Reserve::for_copies) {}

  /// Whose bytes those are that are taken from now on.
  [[nodiscard]] std::uint64_t tenant() const noexcept {
    return word_.load(std::memory_order_relaxed) >> kBytesBits;  // [relaxed: a number, guards no data]
  }
  /// Part of what the budget says is used: set aside, and not in use.
  [[nodiscard]] std::size_t reserved() const noexcept {
    return reserved_.load(std::memory_order_relaxed);  // [relaxed: a number, guards no data]
  }
  /// For a distribution that takes the place of one of `replaced` bytes, which is still to be given back; 0: of none. With a reserve:
  /// drainer only.
  [[nodiscard]] bool try_take(std::size_t bytes, std::size_t replaced) noexcept {
    std::size_t more = bytes;
    if (has_reserve_) {
      const std::size_t from_reserve = std::min({reserved(), bytes, replaced});
      const std::size_t set_aside = bytes - std::min(bytes, replaced) + (std::max(largest_, bytes) - largest_);
      more = bytes - from_reserve + set_aside;
      if (more != 0 && !budget_.try_take(more)) return false;
      reserved_.fetch_add(set_aside - from_reserve, std::memory_order_relaxed);  // [relaxed: a number, guards no data]
      largest_ = std::max(largest_, bytes);
      present_ += bytes - replaced;
      set_wanted();
    } else if (!budget_.try_take(more)) {
      return false;
    }
    word_.fetch_add(bytes, std::memory_order_relaxed);  // [relaxed: a number, guards no data]
    return true;
  }
  /// What try_take() took, and was not used.
  void undo(std::size_t bytes, std::size_t replaced) noexcept {
    if (has_reserve_) {
      present_ += replaced - bytes;
      set_wanted();
    }
    give_back(tenant(), bytes);
  }
  void give_back(std::uint64_t tenant, std::size_t bytes) noexcept {
    std::uint64_t word = word_.load(std::memory_order_relaxed);  // [relaxed: a number, guards no data]
    do {
      if (word >> kBytesBits != tenant) return;
    } while (!word_.compare_exchange_weak(word, word - bytes, std::memory_order_relaxed));  // [relaxed: a number, guards no data]
    const std::size_t wanted = wanted_.load(std::memory_order_relaxed);                     // [relaxed: a number, guards no data]
    std::size_t reserved = reserved_.load(std::memory_order_relaxed), kept = 0;             // [relaxed: a number, guards no data]
    do {
      kept = std::min(bytes, wanted - std::min(wanted, reserved));
    } while (!reserved_.compare_exchange_weak(reserved, reserved + kept, std::memory_order_relaxed));  // [relaxed: a number]
    budget_.give_back(bytes - kept);
  }
  /// No distribution is the drainer's any more: nothing is to be set aside. Drainer only.
  void none_is_present() noexcept {
    present_ = largest_ = 0;
    set_wanted();
  }
  /// All that is still out is on nobody's budget from now on. When no drainer is at it.
  void end() noexcept {
    none_is_present();
    std::uint64_t word = word_.load(std::memory_order_relaxed);  // [relaxed: a number, guards no data]
    while (!word_.compare_exchange_weak(word, ((word >> kBytesBits) + 1) << kBytesBits, std::memory_order_relaxed))  // [relaxed: a number]
      continue;
    budget_.give_back(word & ((std::uint64_t{1} << kBytesBits) - 1));
  }

 private:
  static constexpr int kBytesBits = 44;

  /// Gives back what is set aside in vain. Others may only add to it.
  void set_wanted() noexcept {
    const std::size_t wanted = present_ + largest_;
    wanted_.store(wanted, std::memory_order_relaxed);  // [relaxed: a number, guards no data]
    const std::size_t reserved = this->reserved(), excess = reserved - std::min(reserved, wanted);
    reserved_.fetch_sub(excess, std::memory_order_relaxed);  // [relaxed: a number, guards no data]
    budget_.note_set_aside(reserved - excess);
    budget_.give_back(excess);
  }

  Budget& budget_;
  const bool has_reserve_;
  std::atomic<std::uint64_t> word_{0};  ///< the tenant's number above the bytes
  std::atomic<std::size_t> reserved_{0}, wanted_{0};
  std::size_t present_ = 0, largest_ = 0;  ///< the drainer's; of all together, and of one at most since none was
};

}  // namespace pepper::detail
