#pragma once

#include "bucket_table.hpp"
#include "budget.hpp"

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <new>

namespace pepper::detail {

/// What a series' buckets may be.
struct BucketLimits {
  std::uint32_t max_buckets = 2048;
  double expected_interval = 0;  ///< in the series' unit; 0: none
  friend bool operator==(const BucketLimits&, const BucketLimits&) = default;
};

/// The distribution of one series: a dense window of counts for each sign, at one scale. Immutable once it is shared with a snapshot;
/// whoever reads a snapshot may read it. Its bytes are on a lease: see BucketLease.
class Buckets {
 public:
  /// A stretch of neighbouring buckets' counts. `first`: index of the first one.
  struct Window {
    std::int32_t first = 0;
    std::uint32_t size = 0;
    friend bool operator==(const Window&, const Window&) = default;
    [[nodiscard]] std::int64_t end() const noexcept { return std::int64_t{first} + size; }
  };

  [[nodiscard]] int scale() const noexcept { return scale_; }
  [[nodiscard]] const Window& window(bool is_negative) const noexcept { return windows_[is_negative]; }
  [[nodiscard]] std::uint64_t count(bool is_negative, std::uint32_t at) const noexcept {
    const std::uint32_t i = (is_negative ? windows_[0].size : 0) + at;
    return is_wide_ ? wide()[i] : narrow()[i];
  }
  /// Counts have eight bytes, and not four.
  [[nodiscard]] bool is_wide() const noexcept { return is_wide_; }
  /// Zeros, infinities.
  [[nodiscard]] std::uint64_t special(PageKey::Special what) const noexcept { return special_[what]; }
  /// Of all counts, back-filled ones included.
  [[nodiscard]] std::uint64_t total() const noexcept { return total_; }
  /// Part of the total that nobody recorded: see SeriesOptions::expected_interval.
  [[nodiscard]] std::uint64_t backfilled() const noexcept { return backfilled_; }
  /// The least value of those; infinite where there is none.
  [[nodiscard]] double least_filled() const noexcept { return least_filled_; }
  [[nodiscard]] std::size_t bytes() const noexcept { return bytes_of(windows_[0].size + windows_[1].size, is_wide_); }

  /// The least x so that records up to it are more than `rank`, by buckets: see Distribution::quantile().
  [[nodiscard]] double value_at(std::uint64_t rank) const noexcept;
  /// Records up to x; of those in x's own bucket a part, in proportion.
  [[nodiscard]] double count_up_to(double x) const noexcept;

  void share() const noexcept { references_.fetch_add(1, std::memory_order_relaxed); }  // [relaxed: who copies holds one]
  void let_go() const noexcept {
    // [buckets:release] [buckets:acquire] who deletes comes after all who read; pairs with itself
    if (references_.fetch_sub(1, std::memory_order_acq_rel) == 1) destroy();
  }

 private:
  friend class BucketWriter;
  Buckets(int scale, const Window& positive, const Window& negative, bool is_wide, BucketLease& lease, std::uint64_t tenant) noexcept;
  ~Buckets() = default;
  void destroy() const noexcept;

  [[nodiscard]] static std::size_t bytes_of(std::size_t buckets, bool is_wide) noexcept {
    // Into as many any distribution fits at the least scale, if it has four bytes a count: see BucketLease.
    constexpr std::size_t kLeast = 8 * sizeof(std::uint32_t);
    return sizeof(Buckets) + std::max(kLeast, buckets * (is_wide ? sizeof(std::uint64_t) : sizeof(std::uint32_t)));
  }
  /// So many buckets have no more bytes; 0 where none has.
  [[nodiscard]] static std::size_t size_in(std::size_t bytes, bool is_wide) noexcept {
    return bytes <= sizeof(Buckets) ? 0 : (bytes - sizeof(Buckets)) / (is_wide ? sizeof(std::uint64_t) : sizeof(std::uint32_t));
  }
  [[nodiscard]] std::uint32_t* narrow() const noexcept { return reinterpret_cast<std::uint32_t*>(const_cast<Buckets*>(this) + 1); }
  [[nodiscard]] std::uint64_t* wide() const noexcept { return reinterpret_cast<std::uint64_t*>(const_cast<Buckets*>(this) + 1); }
  [[nodiscard]] std::uint64_t sum(std::uint32_t from, std::uint32_t to) const noexcept;

  mutable std::atomic<std::uint32_t> references_{1};
  std::int8_t scale_;
  bool is_wide_;
  Window windows_[2];  ///< positive, negative
  std::uint64_t special_[3] = {};
  std::uint64_t total_ = 0, backfilled_ = 0;
  double least_filled_ = std::numeric_limits<double>::infinity();
  BucketLease& lease_;
  std::uint64_t tenant_;
};

/// The part of a window that counts something.
[[nodiscard]] Buckets::Window occupied(const Buckets& of, bool is_negative) noexcept;

/// Holds one share of a Buckets, or none. Thread-compatible.
class SharedBuckets {
 public:
  SharedBuckets() noexcept = default;
  explicit SharedBuckets(Buckets* made) noexcept : at_(made) {}
  SharedBuckets(const SharedBuckets& other) noexcept : at_(other.at_) {
    if (at_ != nullptr) at_->share();
  }
  SharedBuckets(SharedBuckets&& other) noexcept : at_(other.at_) { other.at_ = nullptr; }
  SharedBuckets& operator=(SharedBuckets other) noexcept {
    Buckets* const mine = at_;
    at_ = other.at_;
    other.at_ = mine;
    return *this;
  }
  ~SharedBuckets() {
    if (at_ != nullptr) at_->let_go();
  }
  [[nodiscard]] const Buckets* get() const noexcept { return at_; }

 private:
  friend class BucketWriter;
  Buckets* at_ = nullptr;
};

/// Adds counts to the distribution of one series, in place where nobody shares it, else in a copy. Drainer only.
class BucketWriter {
 public:
  BucketWriter(SharedBuckets& buckets, const BucketLimits& limits, BucketLease& lease) noexcept
      : shared_(buckets), limits_(limits), lease_(lease) {}

  /// Adds what a page of the series counts; no `page.marked` is looked at. At a lower scale where the limits or the budget want it.
  /// False: there is no memory at any scale, nothing was added. What they make missing is another matter, here and below: fill_back().
  bool add(const BucketTable::Page& page) noexcept;
  /// The same for one bucket at that scale.
  bool add(bool is_negative, std::int32_t index, int scale, std::uint64_t count) noexcept;
  /// The same for one place of a page.
  bool add(const BucketPlace& place, std::uint64_t count) noexcept;
  /// Adds the values that so many records of a place of a page say are missing, with a positive BucketLimits::expected_interval. Takes the
  /// time of as many additions as are missing, or as there are buckets between, whichever is less. False: there is no memory at any scale,
  /// nothing was added.
  bool fill_back(const BucketPlace& place, std::uint64_t count) noexcept;
  /// There is one, and nobody shares it: then its counts may be changed in place, 2^31 times before settle().
  [[nodiscard]] bool is_own() const noexcept;
  /// Adds one to a count in place, of the bucket with that index at its scale. False: it has none.
  [[nodiscard]] bool add_one(bool is_negative, std::int32_t index) noexcept;
  /// Where they have four bytes; of positive buckets, then of negative ones.
  [[nodiscard]] std::uint32_t* counts() const noexcept { return shared_.at_->narrow(); }
  /// Adds up what was changed in place.
  void settle() noexcept;
  /// Of another series, or collector. Keeps the lower scale. False: there was no memory for a part of it.
  [[nodiscard]] bool merge(const Buckets& from) noexcept;

 private:
  [[nodiscard]] bool make_room(bool is_negative, std::int32_t first, std::int32_t last, int scale, std::uint64_t most) noexcept;
  [[nodiscard]] bool add_special(PageKey::Special what, std::uint64_t count) noexcept;
  void put(bool is_negative, std::int32_t index, int scale, std::uint64_t count) noexcept;

  SharedBuckets& shared_;
  const BucketLimits limits_;
  BucketLease& lease_;
};

}  // namespace pepper::detail
