#pragma once

#include "bucket_span.hpp"
#include "bucket_table.hpp"
#include "buckets.hpp"
#include "budget.hpp"
#include "fold.hpp"
#include "mapping.hpp"

#include <cstddef>
#include <cstdint>
#include <vector>

namespace pepper::detail {

/// The distributions of all series of a collector. One that no snapshot shares yet is changed in place, an addition for each record; one
/// that is shared is copied at its first record after. Under the collector's drain mutex.
class BucketCounter {
 public:
  /// For the series numbers of `series`, whose scale it lowers where a distribution has to. Throws std::bad_alloc.
  BucketCounter(SeriesRange& series, BucketLease& lease);
  ~BucketCounter() { start_over(); }
  BucketCounter(const BucketCounter&) = delete;
  BucketCounter& operator=(const BucketCounter&) = delete;

  /// Counts what fold() has taken of these records, where table.scales is there.
  void count(const Record* records, std::size_t count, const FoldTable& table) noexcept;
  /// Counts what a thread has counted itself.
  void merge(const BucketTable::Page& page) noexcept;
  /// What was counted so far may be shared from now on.
  void settle() noexcept;
  /// The distribution of a series as of the last settle(); none where it has none, or nothing was recorded.
  [[nodiscard]] const SharedBuckets& buckets(std::uint32_t index) const noexcept { return series_buckets_[index].buckets; }
  /// No series has one.
  void start_over() noexcept;

 private:
  struct SeriesBuckets {
    SharedBuckets buckets;
    bool is_known;   ///< is in distributed_
    bool is_open;    ///< is in open_
    bool is_direct;  ///< its counts may be changed in place, each by itself
    bool fills_back;
  };
  /// Records whose missing values are not in the buckets yet.
  struct FillBack {
    BucketPlace place;
    std::uint32_t count;
  };

  /// Counts what is in none of `spans_`.
  void add_slow(std::uint32_t index, std::uint64_t bits, ScaleCode code) noexcept;
  [[nodiscard]] bool add_in_place(SeriesBuckets& of, std::uint64_t bits, ScaleCode code) noexcept;
  /// Has a writer change the series' distribution by add(writer), and returns what that does. False: no memory.
  template <class Add>
  bool write(std::uint32_t index, Add&& add) noexcept;
  /// Not at once, as records of one bucket have the same values missing.
  void fill_back_later(const BucketPlace& place, std::uint32_t count) noexcept;
  void fill_back() noexcept;

  SeriesRange& series_;
  BucketLease& lease_;
  const std::uint32_t capacity_;
  const Pages spans_pages_, series_pages_;
  BucketSpan* const spans_;  ///< of counts that may be changed in place and have four bytes
  SeriesBuckets* const series_buckets_;
  std::vector<std::uint32_t> distributed_, open_;  ///< series that have had one; that were changed since settle()
  std::vector<FillBack> to_fill_back_;
  std::uint64_t counted_records_ = 0;
};

}  // namespace pepper::detail
