#pragma once

#include "registry.hpp"
#include "values_page.hpp"

#include <atomic>
#include <span>

namespace pepper::detail {

/// The distributions that a snapshot had to put together from those of a series' parts: made when first asked for, then kept as long as the
/// snapshot is. Thread-safe, lock-free.
class MergedBuckets {
 public:
  MergedBuckets() noexcept = default;
  ~MergedBuckets();
  MergedBuckets(const MergedBuckets&) = delete;
  MergedBuckets& operator=(const MergedBuckets&) = delete;

  /// Of a series and all its `parts`, which are neighbours in `all`, the parts of all series: the same at each call. O(parts of the series)
  /// but for the call that merges. Null: there are none, or no memory.
  [[nodiscard]] const Buckets* get(std::span<const SeriesPart> all, std::span<const SeriesPart> parts, const Values& values) noexcept;

 private:
  struct Slot {
    Slot() noexcept = default;
    ~Slot();
    Slot(const Slot&) = delete;
    Slot& operator=(const Slot&) = delete;

    std::atomic<const Buckets*> buckets{nullptr};  ///< one share of them
  };
  [[nodiscard]] Slot* made_slots(std::size_t size) noexcept;

  std::atomic<Slot*> slots_{nullptr};  ///< one for each of `all`, of which a series uses that of its first
};

}  // namespace pepper::detail
