#pragma once

#include <cstddef>
#include <cstdint>
#include <iterator>

#pragma GCC visibility push(default)
namespace pepper {

namespace detail {
class Buckets;
}

/// Records between two values: in (lower, upper] where they are positive, in [lower, upper) where negative; zeros, and infinities of each
/// sign, have one of their own whose borders are equal. The borders are exact: OpenTelemetry's, at Distribution::scale().
struct Bucket {
  double lower, upper;
  std::uint64_t count;
};

/// The counts of neighbouring buckets of one sign, from the first that has any to the last, as OpenTelemetry's exponential histograms have
/// them: the one at `i` is of magnitudes in (2^(k / 2^scale), 2^((k + 1) / 2^scale)] with k = offset() + i. A Prometheus native histogram,
/// whose schema is the scale, numbers the same bucket k + 1. A view that lives as long as its snapshot. Immutable, thread-safe; no member
/// allocates.
class ExponentialBuckets {
 public:
  /// None.
  ExponentialBuckets() noexcept = default;
  /// Private to the library: these come from Distribution.
  ExponentialBuckets(const detail::Buckets* buckets, bool is_negative, int max_scale) noexcept;

  [[nodiscard]] int scale() const noexcept { return scale_; }
  [[nodiscard]] std::int32_t offset() const noexcept { return offset_; }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  /// 0 from size() on. Adds up the buckets of the distribution that lie in it, 2^(Distribution::scale() - scale()).
  [[nodiscard]] std::uint64_t operator[](std::size_t i) const noexcept;

 private:
  const detail::Buckets* buckets_ = nullptr;
  bool is_negative_ = false;
  int scale_ = 20;
  std::int32_t offset_ = 0;
  std::uint32_t size_ = 0;
};

/// How the records of a histogram or timer are distributed: a base-2 exponential histogram, as OpenTelemetry's data model defines it, at
/// the scale that SeriesOptions::relative_error asks for, or a lower one where SeriesOptions::max_buckets or memory_limit_bytes wants it.
/// A view that lives as long as its snapshot. Immutable, thread-safe; no member allocates.
class Distribution {
 public:
  class Iterator;

  /// Of no record.
  Distribution() noexcept = default;
  /// Private to the library: distributions come from SeriesSnapshot.
  Distribution(const detail::Buckets* buckets, std::uint64_t count, double min, double max) noexcept
      : buckets_(buckets), records_(count), min_(min), max_(max) {}

  /// Records in the buckets, those of `backfilled()` included. 0: there is no distribution.
  [[nodiscard]] std::uint64_t count() const noexcept;
  /// Records of the series that are missing here: memory_limit_bytes had no room for their buckets at any scale, as may be where snapshots
  /// before the latest are kept; a thread kept 64 MiB of them without a flush; or they came by record(name, ...) before the series was
  /// bound. All else that the series says has them.
  [[nodiscard]] std::uint64_t undistributed() const noexcept;
  /// Values that nobody recorded: see SeriesOptions::expected_interval. They are counted down from the value that stands for a record's
  /// bucket, so that one which is a multiple of the interval within relative_error() may have one fewer.
  [[nodiscard]] std::uint64_t backfilled() const noexcept;
  /// Of the buckets: there are 2^scale in an octave. -10 to 20.
  [[nodiscard]] int scale() const noexcept;
  /// What quantile() errs by at most, relative to the exact value, at the present scale; of values that are denormal, it may be more.
  [[nodiscard]] double relative_error() const noexcept;

  /// The value whose rank among the n = count() records, in ascending order, is ceil(q n), within relative_error() of it, and within
  /// [least, max]: the least is the series' min, or what was filled back where that is less. Monotone in q; q <= 0 is the least, q >= 1 is
  /// max. NaN where there is no record, or q is NaN. O(buckets).
  [[nodiscard]] double quantile(double q) const noexcept;
  /// The share of the records that are at most x, 0 to 1: exact at borders of buckets, linear between them. (At a negative border it is
  /// the share below x, as that bucket begins with x.) A bucket that ends at an infinity counts as one that ends at the largest double.
  /// NaN where there is no record, or x is NaN. O(buckets).
  [[nodiscard]] double cdf(double x) const noexcept;
  /// Records that are not at most x, as cdf() has it; rounded where x is no border of a bucket. 0 for NaN. O(buckets).
  [[nodiscard]] std::uint64_t count_above(double x) const noexcept;
  /// The end of the bucket that x lies in, or would: the least border that is at least x, or, where x is negative, above it. NaN for NaN.
  [[nodiscard]] double bucket_end(double x) const noexcept;

  /// The buckets that are not empty, in ascending order.
  [[nodiscard]] Iterator begin() const noexcept;
  [[nodiscard]] Iterator end() const noexcept;

  // The same as OpenTelemetry and Prometheus send it: buckets of either sign and the zeros, at the present scale, or at `max_scale` where
  // that is less, to which buckets merge exactly; below -10 it counts as -10. (Prometheus takes -4 to 8.) All of them together are count()
  // less the infinite records, whose counts begin() and end() give: OpenTelemetry has no place for these, Prometheus puts them into the
  // bucket behind the largest double's.
  [[nodiscard]] ExponentialBuckets positive(int max_scale = 20) const noexcept;
  [[nodiscard]] ExponentialBuckets negative(int max_scale = 20) const noexcept;
  [[nodiscard]] std::uint64_t zero_count() const noexcept;

 private:
  [[nodiscard]] double least() const noexcept;

  const detail::Buckets* buckets_ = nullptr;
  std::uint64_t records_ = 0;
  double min_ = 0, max_ = 0;
};

class Distribution::Iterator {
 public:
  using iterator_concept = std::forward_iterator_tag;
  using iterator_category = std::input_iterator_tag;  // its reference is a value
  using value_type = Bucket;
  using difference_type = std::ptrdiff_t;
  using reference = Bucket;
  using pointer = void;

  Iterator() noexcept = default;
  [[nodiscard]] Bucket operator*() const noexcept;
  Iterator& operator++() noexcept {
    ++at_;
    skip_empty();
    return *this;
  }
  Iterator operator++(int) noexcept {
    const Iterator before = *this;
    ++*this;
    return before;
  }
  friend bool operator==(const Iterator& a, const Iterator& b) noexcept { return a.at_ == b.at_; }

 private:
  friend Distribution;
  Iterator(const detail::Buckets* buckets, std::uint64_t at) noexcept : buckets_(buckets), at_(at) { skip_empty(); }
  void skip_empty() noexcept;

  const detail::Buckets* buckets_ = nullptr;
  std::uint64_t at_ = 0;  ///< -infinity, the negative ones from the largest magnitude on, zero, the positive ones, infinity
};

}  // namespace pepper
#pragma GCC visibility pop
