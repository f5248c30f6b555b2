#pragma once

#include "bucket_index.hpp"
#include "budget.hpp"
#include "mapping.hpp"

#include <bit>
#include <cstddef>
#include <cstdint>

namespace pepper::detail {

/// How the buckets of a series are scaled, in one byte: 0, it has none; else the scale, counted from the least.
using ScaleCode = std::uint8_t;
[[nodiscard]] constexpr ScaleCode scale_code(int scale) noexcept { return static_cast<ScaleCode>(scale - kMinScale + 1); }
[[nodiscard]] constexpr int scale_of(ScaleCode code) noexcept { return code + kMinScale - 1; }

/// A bucket of some series: the page it is counted on, and where on it.
struct BucketPlace {
  std::uint64_t key;
  std::uint32_t at;
};

inline constexpr std::uint32_t kBucketsPerPage = 64;

/// Pages are numbered by series (31 bits), scale (5), sign (1) and index / 64 (27, biased): never 0. Scale code 0: the page of what has no
/// bucket.
struct PageKey {
  enum Special : std::uint32_t { zero, positive_infinity, negative_infinity };
  static constexpr int kSeriesShift = 33, kScaleShift = 28;
  static constexpr std::uint64_t kNegative = 1u << 27, kBias = 1u << 26;

  [[nodiscard]] static constexpr std::uint32_t series(std::uint64_t key) noexcept {
    return static_cast<std::uint32_t>(key >> kSeriesShift);
  }
  [[nodiscard]] static constexpr ScaleCode code(std::uint64_t key) noexcept { return static_cast<ScaleCode>(key >> kScaleShift & 31); }
  [[nodiscard]] static constexpr bool is_negative(std::uint64_t key) noexcept { return (key & kNegative) != 0; }
  [[nodiscard]] static constexpr std::int32_t first_index(std::uint64_t key) noexcept {
    return (static_cast<std::int32_t>(key & (kNegative - 1)) - static_cast<std::int32_t>(kBias)) *
           static_cast<std::int32_t>(kBucketsPerPage);
  }
};

[[nodiscard]] inline BucketPlace place_of_index(std::int32_t index, bool is_negative, std::uint32_t series, ScaleCode code) noexcept {
  const auto page = static_cast<std::uint64_t>(static_cast<std::int64_t>(index >> 6) + static_cast<std::int64_t>(PageKey::kBias));
  return {
      (std::uint64_t{series} << PageKey::kSeriesShift | std::uint64_t{code} << PageKey::kScaleShift | std::uint64_t{is_negative} << 27) +
          page,
      static_cast<std::uint32_t>(index) % kBucketsPerPage};
}

/// Of zero, denormals, infinities, and at scales that have no table. `bits` of no NaN.
[[nodiscard]] BucketPlace place_bucket_slow(std::uint64_t bits, std::uint32_t series, ScaleCode code) noexcept;

inline constexpr std::uint64_t kSignBit = std::uint64_t{1} << 63;

/// A double that bucket_index_by_table() takes: no zero, denormal, infinity or NaN.
[[gnu::always_inline]] inline bool is_normal(std::uint64_t bits) noexcept {
  constexpr std::uint64_t kLeast = std::uint64_t{1} << 52, kInfinity = std::uint64_t{2047} << 52;
  return (bits & ~kSignBit) - kLeast < kInfinity - kLeast;
}
[[nodiscard]] constexpr bool is_nan(std::uint64_t bits) noexcept { return (bits & ~kSignBit) > std::uint64_t{2047} << 52; }
[[nodiscard]] constexpr bool has_table(ScaleCode code) noexcept { return code >= scale_code(0) && code <= scale_code(kTableScale); }

/// Where a value of a series is counted; `bits` are those of any double but NaN, `code` is not 0.
[[gnu::always_inline]] inline BucketPlace place_bucket(std::uint64_t bits, std::uint32_t series, ScaleCode code) noexcept {
  if (!is_normal(bits) || !has_table(code)) [[unlikely]]
    return place_bucket_slow(bits, series, code);
  return place_of_index(bucket_index_by_table(bits & ~kSignBit, kScaleTables[code]), (bits & kSignBit) != 0, series, code);
}

/// Counts of buckets, of any series, since it was last emptied: pages of 64 buckets, found by a hash, dense in address space that takes
/// memory only where it is touched, so that counting never allocates. One owner at a time; see OverloadSet.
class BucketTable {
 public:
  struct Page {
    std::uint64_t key;
    const std::uint32_t* counts;
  };

  /// 64 MiB of counts.
  static constexpr std::uint32_t kMostPages = 1u << 18;
  /// Past so many there are no more runs: they are quicker to count in, and take two or three times the pages.
  static constexpr std::uint32_t kMostInRuns = 1u << 15;

  BucketTable() noexcept = default;
  BucketTable(const BucketTable&) = delete;
  BucketTable& operator=(const BucketTable&) = delete;
  ~BucketTable();

  /// False: no address space.
  [[nodiscard]] bool reserve(Budget& budget) noexcept;

  /// The count of a bucket, whose page is made where there is none. Null: the budget has no page, or it is full.
  [[nodiscard]] std::uint32_t* find(const BucketPlace& place) noexcept;
  /// The first count of so many neighbouring pages, made in a row, so that who keeps it needs no hash. Where a bucket has a page already,
  /// both count. Null: the budget has no pages, or they are more than kMostInRuns.
  [[nodiscard]] std::uint32_t* make_run(std::uint64_t first_key, std::uint32_t pages) noexcept;

  /// Pages so far. Changed by who counts alone, who may not look at a table that was taken away: so it is told of the emptying later.
  [[nodiscard]] std::uint32_t size() const noexcept { return size_; }
  void note_empty() noexcept { size_ = 0; }
  [[nodiscard]] Page page(std::uint32_t number) const noexcept { return {keys_[number], counts_ + std::size_t{number} * kBucketsPerPage}; }
  /// Of all pages, one after another.
  [[nodiscard]] std::uint32_t* counts() const noexcept { return counts_; }

  /// Takes and touches memory for so many pages, or half as many, a quarter... as the budget has. Before it was ever used.
  void touch(std::uint32_t pages) noexcept;
  /// Forgets the first `size` pages, which is all there are. note_empty() is to follow, here and below.
  void clear(std::uint32_t size) noexcept;
  /// Gives all memory back and keeps the addresses.
  void release() noexcept;

 private:
  static constexpr std::size_t kFirstSlots = 512;

  [[nodiscard]] std::size_t slots() const noexcept { return std::size_t{1} << (64 - shift_); }
  [[nodiscard]] std::size_t hash(std::uint64_t key) const noexcept { return key * 0x9e3779b97f4a7c15u >> shift_; }
  [[nodiscard]] bool make_room(std::uint32_t pages) noexcept;
  [[nodiscard]] bool try_take(std::size_t slots, std::size_t pages) noexcept;
  void add_page(std::uint64_t key) noexcept;
  void insert(std::uint64_t key, std::uint32_t number) noexcept;

  std::uint32_t* counts_ = nullptr;                 ///< by page; all 0 where no page is
  std::uint64_t* keys_ = nullptr;                   ///< by page
  std::uint64_t* slot_keys_ = nullptr;              ///< by slot of the hash; 0: free
  std::uint32_t* slot_pages_ = nullptr;             ///< by slot
  int shift_ = 64 - std::countr_zero(kFirstSlots);  ///< of the hash: slots in use are a power of two
  std::uint32_t size_ = 0;
  std::size_t bytes_ = 0, page_room_ = 0;  ///< taken from the budget; pages that are
  Budget* budget_ = nullptr;
};

}  // namespace pepper::detail
