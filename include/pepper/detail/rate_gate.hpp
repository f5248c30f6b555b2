#pragma once

#include <pepper/collector.hpp>
#include <pepper/detail/thread_slots.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

#pragma GCC visibility push(default)
namespace pepper::detail {

/// What it is given, where that is one. Throws std::invalid_argument: see RateLimitedCollector. Here and not in a template, as programs
/// without exceptions include that.
[[nodiscard]] double checked_rate_limit(double rate);

class Collector;
class RateLimitGroup;

/// Goes up whenever a flusher looks, 20 times a second at least: so a thread whose credit is used up need not read a clock to know that no
/// time has passed. Never 0.
extern std::atomic<std::uint64_t> rate_tick;

/// Whether a call is within the rate of its series. A thread takes credit from the series' budget, as much as comes in within a
/// millisecond, at least one, and counts down; it counts what it refuses, for the flusher to add up. Trivially copyable. A
/// default-constructed gate lets all pass; one whose limit is gone, none.
class RateGate {
 public:
  constexpr RateGate() noexcept = default;
  RateGate(std::uint32_t index, std::uint64_t number) noexcept
      : page_(offsetof(ThreadSlots, rates) + index / RatePage::kSlots * sizeof(std::atomic<RatePage*>)),
        slot_(index % RatePage::kSlots),
        number_(number) {}

  /// Lock-free, wait-free where it takes no credit; owner thread only of the slot it finds; allocates for the first of 128 limits that a
  /// thread meets.
  [[nodiscard, gnu::always_inline]] bool pass() const noexcept {
    // [relaxed: this and what follows is written by its owner only, and read by the flusher one number at a time]
    auto& known = *reinterpret_cast<std::atomic<RatePage*>*>(reinterpret_cast<char*>(this_thread_slots()) + page_);
    if (RatePage* const page = known.load(std::memory_order_relaxed)) [[likely]] {  // [relaxed: owner only]
      RateSlot& slot = page->slots[slot_];
      if (slot.number.load(std::memory_order_relaxed) == number_) [[likely]] {           // [relaxed: owner only]
        if (const std::uint64_t credit = slot.credit.load(std::memory_order_relaxed)) {  // [relaxed: owner only]
          slot.credit.store(credit - 1, std::memory_order_relaxed);                      // [relaxed: owner only]
          return true;
        }
        // Now and then it looks at the clock all the same: there may be no flusher. [relaxed: owner only; a tick says only: look again]
        const std::uint64_t refused = slot.refused.load(std::memory_order_relaxed) + 1;
        if (slot.tick.load(std::memory_order_relaxed) == rate_tick.load(std::memory_order_relaxed) && refused % 256 != 0) {
          // [slot_refused:release] pairs with [slot_refused:acquire] in refused_of()
          slot.refused.store(refused, std::memory_order_release);
          return false;
        }
      }
    }
    return pass_slow();
  }

 private:
  [[nodiscard]] std::uint32_t index() const noexcept {
    return static_cast<std::uint32_t>((page_ - offsetof(ThreadSlots, rates)) / sizeof(std::atomic<RatePage*>) * RatePage::kSlots + slot_);
  }
  [[nodiscard]] bool pass_slow() const noexcept;

  std::uint64_t page_ = offsetof(ThreadSlots, rates);
  std::uint32_t slot_ = 0;
  std::uint64_t number_ = 0;
};

/// The limits of one RateLimitedCollector, one for each series. Move-only; thread-safe but for moves.
class RateLimiter {
 public:
  RateLimiter(MetricsCollector& core, double max_per_second);
  RateLimiter(RateLimiter&& other) noexcept = default;
  RateLimiter& operator=(RateLimiter&& other) noexcept = default;
  ~RateLimiter();

  /// The same for every bind of a series. Throws std::bad_alloc, std::length_error where 131,071 limits live.
  [[nodiscard]] RateGate gate(std::string_view name, TagsView tags) const;
  enum class Verdict : std::uint8_t {
    pass,     ///< also what the collector will refuse: it counts that
    refuse,   ///< and it is counted
    no_room,  ///< for one more limit
  };
  /// Finds or makes the limit of the record's series, and asks it. Takes a mutex; thread-safe.
  [[nodiscard]] Verdict judge(const DynamicRecord& record) const noexcept;

 private:
  std::shared_ptr<RateLimitGroup> group_;
};

}  // namespace pepper::detail
#pragma GCC visibility pop
