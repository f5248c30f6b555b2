#pragma once

#include "budget.hpp"
#include "cell.hpp"
#include "fold.hpp"
#include "overload_buckets.hpp"
#include "tally.hpp"

#include <cstddef>
#include <cstdint>

namespace pepper::detail {

/// Where a thread folds its own records when no free chunk is left: one cell per series, dense, in address space that takes memory only
/// where it is touched, so that no record ever allocates. A ThreadBlock has two; who owns which, and when, is in ThreadBlock.
///
/// A fold has two passes. prepare() visits the cells that the records will change, and logs their old contents; fold_prepared() changes
/// exactly those. So a drainer that steals the set in the middle finds every cell either unchanged or in the log, without looking at what
/// is being changed. So it is with the violations of a series, where there are checks. Buckets, where a series has a distribution, are
/// counted while the fold prepares: see OverloadBuckets.
class OverloadSet {
 public:
  /// False: no address space.
  [[nodiscard]] bool reserve(std::uint32_t capacity, Budget& budget) noexcept;
  [[nodiscard]] std::uint32_t capacity() const noexcept { return capacity_; }
  /// Touches what folding `series` series needs, so many of them with a distribution, within the budget. Owner, before the set was ever
  /// used.
  void touch(std::uint32_t series, std::uint32_t distributions, bool has_checks) noexcept;

  // Owner thread. -------------------------------------------------------------------------------------------------------------------

  /// Before the fold is announced: `is_fresh` where the drainer has emptied the set since the last one. Touches nothing that a drainer
  /// reads.
  void begin(bool is_fresh) noexcept {
    if (is_fresh) {
      touched_by_owner_ = 0;
    }
    touched_at_start_ = touched_by_owner_;
    buckets_.begin(is_fresh);
  }
  void prepare(const Record* records, std::size_t count, const FoldTable& table) noexcept;
  void fold_prepared(const Record* records, std::size_t count, const FoldTable& table) noexcept;
  /// For a fold that changes no cell, but counts records as lost.
  void prepare_loss() noexcept {
    tally_before_ = tally_;
    log_count_ = 0;
  }
  void add_loss(Found cause, std::uint64_t count) noexcept { tally_[cause] += count; }
  /// See OverloadBuckets.
  [[nodiscard]] bool is_crowded() const noexcept { return buckets_.is_crowded(); }

  // Drainer, of a set it owns. ------------------------------------------------------------------------------------------------------

  /// Calls `visit(index, cell, violations)` for each series folded since the set was fresh; returns what was in no series.
  template <class Visit>
  [[nodiscard]] const Tally& visit_all(Visit&& visit) const noexcept {
    for (std::uint32_t i = 0; i < touched_count_; ++i) visit(touched_[i], cells_[touched_[i]], violations(touched_[i], tally_));
    return tally_;
  }
  /// The same as of before a fold that was stolen while it prepared.
  template <class Visit>
  [[nodiscard]] const Tally& visit_before_prepare(Visit&& visit) const noexcept {
    for (std::uint32_t i = 0; i < touched_at_start_; ++i) visit(touched_[i], cells_[touched_[i]], violations(touched_[i], tally_));
    return tally_;
  }
  /// The same as of before a fold with this stamp that was stolen while it folded, and may still be at it.
  template <class Visit>
  [[nodiscard]] const Tally& visit_before_fold(std::uint32_t stamp, Visit&& visit) const noexcept {
    for (std::uint32_t i = 0; i < touched_at_start_; ++i) {
      if (cells_[touched_[i]].stamp != stamp) visit(touched_[i], cells_[touched_[i]], violations(touched_[i], tally_before_));
    }
    for (std::uint32_t i = 0; i < log_count_; ++i) {
      if (log_[i].stamp != 0) visit(log_index_[i], log_[i], violations_before_[i]);
    }
    return tally_before_;
  }

  [[nodiscard]] const OverloadBuckets& buckets() const noexcept { return buckets_; }

  static constexpr std::uint32_t kCellsPerPage = kPageBytes / sizeof(Cell);
  static constexpr std::uint32_t kViolationsPerPage = kPageBytes / sizeof(std::uint64_t);
  static constexpr std::size_t kPageCharge = kPageBytes + kCellsPerPage * sizeof(std::uint32_t);  ///< with their share of the list

  /// Empties it; returns pages to the budget where that is tight.
  void clear() noexcept;
  /// Gives all its memory back and keeps its addresses. For a collector's end; an owner that folds into it meanwhile does no harm.
  void release() noexcept;
  /// The same whatever an owner that is no more was in the middle of.
  void start_over() noexcept;

 private:
  /// Where there are none, their pages are not looked at.
  [[nodiscard]] std::uint64_t violations(std::uint32_t index, const Tally& tally) const noexcept {
    return tally.violations() == 0 ? 0 : violations_[index];
  }
  [[nodiscard]] bool take_page(std::uint32_t index) noexcept;
  [[nodiscard]] bool take_violations_page(std::uint32_t index) noexcept;
  void prepare_cell(std::uint32_t index, const FoldTable& table) noexcept;
  void count_buckets(const Record* records, std::size_t count, const FoldTable& table) noexcept;

  Budget* budget_ = nullptr;
  std::uint32_t capacity_ = 0;
  Cell* cells_ = nullptr;
  std::uint32_t* touched_ = nullptr;       ///< indices of cells that are not empty
  std::uint8_t* page_is_taken_ = nullptr;  ///< of cells_, in the budget
  std::uint64_t* violations_ = nullptr;    ///< by series; changed where there are checks alone
  std::uint8_t* violations_page_is_taken_ = nullptr;
  Cell* log_ = nullptr;  ///< old contents of the cells that the fold under way changes; stamp 0: was empty
  std::uint32_t log_index_[kChunkRecords] = {};
  std::uint64_t violations_before_[kChunkRecords] = {};  ///< of log_
  std::uint32_t log_count_ = 0;
  std::uint32_t touched_count_ = 0;     ///< owner while preparing, drainer of a set it owns
  std::uint32_t touched_by_owner_ = 0;  ///< owner's own copy, as it may not look at a set that was flipped away
  std::uint32_t touched_at_start_ = 0;
  bool needs_checks_ = false, has_refused_ = false;
  bool may_violate_ = false;  ///< a series with a distribution that the fold under way changes has a check
  OverloadBuckets buckets_;
  Tally tally_, tally_before_;
};

}  // namespace pepper::detail
