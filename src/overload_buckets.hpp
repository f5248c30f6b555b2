#pragma once

#include "bucket_span.hpp"
#include "bucket_table.hpp"
#include "budget.hpp"
#include "chunk.hpp"
#include "fold.hpp"
#include "mapping.hpp"

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace pepper::detail {

/// The buckets of an OverloadSet. Counts of a series are where a span has them, or else on pages that a hash finds.
///
/// A fold changes counts one by one, each after its old value is in the log. So a drainer that steals the set, at any moment, copies a
/// count first, and then finds in the log what it was before, if that is not what it copied: as counts only grow, the least of all that it
/// sees.
class OverloadBuckets {
 public:
  OverloadBuckets() noexcept = default;
  OverloadBuckets(const OverloadBuckets&) = delete;
  OverloadBuckets& operator=(const OverloadBuckets&) = delete;
  ~OverloadBuckets();

  /// False: no address space.
  [[nodiscard]] bool reserve(std::uint32_t capacity, Budget& budget) noexcept;
  /// Touches what counting needs for so many series, so many of them with a distribution. Owner, before any use.
  void touch(std::uint32_t series, std::uint32_t distributions) noexcept;

  // Owner thread. -------------------------------------------------------------------------------------------------------------------

  /// See OverloadSet::begin().
  void begin(bool is_fresh) noexcept;
  /// What finds no page stays in its series' count, and is not in its distribution.
  void count(const Record* records, std::size_t count, const FoldTable& table) noexcept;
  /// All that this fold has to count is counted.
  void end() noexcept { page_count_ = table_.size(); }
  /// So much is kept that a look should take it: 16 MiB of counts.
  [[nodiscard]] bool is_crowded() const noexcept { return table_.size() > kCrowded; }

  // Drainer, of a set it owns. ------------------------------------------------------------------------------------------------------

  /// Calls `visit(page)` for each page that may count something.
  template <class Visit>
  void visit_all(Visit&& visit) const noexcept {
    for (std::uint32_t i = 0; i < page_count_; ++i) visit(table_.page(i));
  }
  /// The same as of before the fold in which the set was stolen.
  template <class Visit>
  void visit_before(Visit&& visit) const noexcept {
    Before before(*this);
    for (std::uint32_t i = 0; i < pages_at_start_; ++i) visit(before.page(i));
  }
  /// See OverloadSet.
  void clear() noexcept;
  void release() noexcept;
  /// After release().
  void start_over() noexcept;

 private:
  struct Logged {
    std::uint32_t offset;  ///< in bytes, in table_.counts()
    std::uint32_t before;
    [[nodiscard]] std::uint32_t page() const noexcept { return offset / sizeof(std::uint32_t) / kBucketsPerPage; }
  };
  /// The pages that a span of a series was made of last, and at which scale: as many are made at once the next time.
  struct Reach {
    std::int32_t first;
    std::uint16_t pages;
    ScaleCode code;
  };
  static constexpr std::uint32_t kCrowded = 1u << 16;
  static constexpr std::size_t kBytesOfSeries = sizeof(BucketSpan) + sizeof(Reach) + sizeof(std::uint32_t);
  /// So many neighbouring series share the flag of being in the budget.
  static constexpr std::uint32_t kGroup = kPageBytes / sizeof(Reach);

  /// Pages as they were before the fold under way, one after another.
  class Before {
   public:
    explicit Before(const OverloadBuckets& of) noexcept;
    [[nodiscard]] BucketTable::Page page(std::uint32_t number) noexcept;

   private:
    void undo(const Logged& logged) noexcept;
    const OverloadBuckets& of_;
    const Logged* const logged_;    ///< end of the log at first
    Logged sorted_[kChunkRecords];  ///< what was in it then, in the order of places
    Logged *sorted_end_ = nullptr, *next_ = sorted_;
    std::uint32_t counts_[kBucketsPerPage];
  };

  [[nodiscard]] std::uint32_t groups() const noexcept { return capacity_ / kGroup; }
  [[nodiscard]] std::size_t bytes() const noexcept;
  [[nodiscard]] std::uint32_t* find_slow(std::uint32_t index, std::uint64_t bits, ScaleCode code) noexcept;
  [[nodiscard]] bool take_group(std::uint32_t index) noexcept;
  [[nodiscard]] bool open_span(std::uint32_t index, const BucketPlace& place) noexcept;

  BucketTable table_;
  Budget* budget_ = nullptr;
  std::uint32_t capacity_ = 0;
  BucketSpan* spans_ = nullptr;             ///< by series; owner's
  Reach* reaches_ = nullptr;                ///< by series; owner's
  std::uint32_t* opened_ = nullptr;         ///< series that have a span; owner's
  std::uint8_t* group_is_taken_ = nullptr;  ///< in the budget
  std::uint32_t opened_count_ = 0;
  std::uint32_t chunks_ = 0;  ///< folded since it was fresh; owner's
  std::uint32_t page_count_ = 0, pages_at_start_ = 0;
  Logged log_[kChunkRecords] = {};  ///< of the fold under way
  std::atomic<Logged*> logged_end_{log_};
};

}  // namespace pepper::detail
