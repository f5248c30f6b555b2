#include "overload_set.hpp"

#include "distributed.hpp"
#include "mapping.hpp"

#include <algorithm>

namespace pepper::detail {

bool OverloadSet::reserve(std::uint32_t capacity, Budget& budget) noexcept {
  const std::size_t cells = round_up_to_pages(capacity * sizeof(Cell));
  const std::size_t log = round_up_to_pages(kChunkRecords * sizeof(Cell));
  const std::size_t touched = round_up_to_pages(capacity * sizeof(std::uint32_t));
  const std::size_t pages = round_up_to_pages(cells / kPageBytes);
  const std::size_t violations = round_up_to_pages(capacity * sizeof(std::uint64_t));
  const std::size_t all = cells + log + touched + pages + violations + round_up_to_pages(violations / kPageBytes);
  auto* const at = static_cast<unsigned char*>(map_pages(all));
  if (at == nullptr || !buckets_.reserve(capacity, budget)) return false;
  cells_ = reinterpret_cast<Cell*>(at);
  log_ = reinterpret_cast<Cell*>(at + cells);
  touched_ = reinterpret_cast<std::uint32_t*>(at + cells + log);
  page_is_taken_ = at + cells + log + touched;
  violations_ = reinterpret_cast<std::uint64_t*>(at + cells + log + touched + pages);
  violations_page_is_taken_ = at + cells + log + touched + pages + violations;
  capacity_ = capacity;
  budget_ = &budget;
  return true;
}

bool OverloadSet::take_page(std::uint32_t index) noexcept {
  std::uint8_t& taken = page_is_taken_[index / kCellsPerPage];
  if (taken == 0 && budget_->try_take(kPageCharge)) taken = 1;
  return taken != 0;
}

bool OverloadSet::take_violations_page(std::uint32_t index) noexcept {
  std::uint8_t& taken = violations_page_is_taken_[index / kViolationsPerPage];
  if (taken == 0 && budget_->try_take(kPageBytes)) taken = 1;
  return taken != 0;
}

void OverloadSet::touch(std::uint32_t series, std::uint32_t distributions, bool has_checks) noexcept {
  buckets_.touch(std::min(series, capacity_), std::min(distributions, capacity_));
  for (std::uint32_t index = 0; index < std::min(series, capacity_); index += kCellsPerPage) {
    if (!take_page(index)) break;
    touch_pages(&cells_[index], kPageBytes);
  }
  for (std::uint32_t index = 0; has_checks && index < std::min(series, capacity_); index += kViolationsPerPage) {
    if (!take_violations_page(index)) break;
    touch_pages(&violations_[index], kPageBytes);
  }
  touch_pages(log_, kChunkRecords * sizeof(Cell));
  touch_pages(touched_, std::min(series, capacity_) * sizeof(std::uint32_t));
  touch_pages(page_is_taken_, std::min(series, capacity_) / kCellsPerPage + 1);
  touch_pages(violations_page_is_taken_, std::min(series, capacity_) / kViolationsPerPage + 1);
}

void OverloadSet::prepare(const Record* records, std::size_t count, const FoldTable& table) noexcept {
  tally_before_ = tally_;
  log_count_ = 0;
  needs_checks_ = has_refused_ = may_violate_ = false;
  std::uint64_t extras = 0;
  // Copies, as the stores to cells could change the originals for all the compiler knows.
  const FoldTable local = table;
  Cell* const cells = cells_;
#pragma GCC unroll 4
  for (const Record *record = records, *end = records + count; record != end; ++record) {
    extras |= record->head;
    const std::uint32_t index = local.index_of(record->head);
    if (index >= local.capacity) [[unlikely]] {
      needs_checks_ = true;
    } else if (cells[index].stamp != local.stamp) {
      prepare_cell(index, table);
    }
  }
  touched_count_ = touched_by_owner_;
  needs_checks_ = needs_checks_ || extra_of(extras) != kExtraPlain;
  if (local.scales != nullptr) count_buckets(records, count, table);
  buckets_.end();
}

void OverloadSet::count_buckets(const Record* records, std::size_t count, const FoldTable& table) noexcept {
  if (!has_refused_ && !may_violate_) return buckets_.count(records, count, table);
  for_each_valid(
      records, count, table,
      [&](std::uint32_t index) { return cells_[index].stamp == table.stamp; },  // not those that the budget had no cell for
      [&](const Record* valid, std::size_t valid_count) { buckets_.count(valid, valid_count, table); });
}

/// Not inlined: once for each series of a chunk, and out of the way of its records.
[[gnu::noinline]] void OverloadSet::prepare_cell(std::uint32_t index, const FoldTable& table) noexcept {
  Cell& cell = cells_[index];
  if (table.checks != nullptr) {
    if (!take_violations_page(index)) {
      needs_checks_ = has_refused_ = true;
      return;
    }
    may_violate_ = may_violate_ || (table.scales != nullptr && table.scale_of(index) != 0 && table.checks->of(index) != ValueCheck{});
  }
  if (cell.stamp == 0) {
    if (!take_page(index)) {
      needs_checks_ = has_refused_ = true;
      return;
    }
    cell.clear();
    touched_[touched_by_owner_++] = index;
  }
  violations_before_[log_count_] = table.checks == nullptr ? 0 : violations_[index];
  log_[log_count_] = cell;
  log_index_[log_count_++] = index;
  cell.stamp = table.stamp;
}

void OverloadSet::fold_prepared(const Record* records, std::size_t count, const FoldTable& table) noexcept {
  FoldTable own = table;
  own.cells = cells_;
  own.violations = violations_;
  Tally found;
  const auto refuse = [](std::uint32_t, Cell&) { return false; };  // prepare() did not touch it: the budget had no page
  if (needs_checks_) {
    fold<true>(records, count, own, found, refuse);
  } else {
    fold<false>(records, count, own, found, refuse);
  }
  tally_ += found;
}

void OverloadSet::clear() noexcept {
  for (std::uint32_t i = 0; i < touched_count_; ++i) cells_[touched_[i]].stamp = 0;
  if (tally_.violations() != 0) {
    for (std::uint32_t i = 0; i < touched_count_; ++i) violations_[touched_[i]] = 0;
  }
  touched_count_ = 0;
  tally_ = {};
  buckets_.clear();
  if (budget_->is_tight()) release();
}

void OverloadSet::release() noexcept {
  buckets_.release();
  const std::uint32_t pages = (capacity_ + kCellsPerPage - 1) / kCellsPerPage;
  std::uint32_t first = pages, last = 0;
  for (std::uint32_t page = 0; page < pages; ++page) {
    if (page_is_taken_[page] == 0) continue;
    first = std::min(first, page);
    last = page + 1;
    page_is_taken_[page] = 0;
    budget_->give_back(kPageCharge);
  }
  for (std::uint32_t page = 0; page < (capacity_ + kViolationsPerPage - 1) / kViolationsPerPage; ++page) {
    if (violations_page_is_taken_[page] == 0) continue;
    violations_page_is_taken_[page] = 0;
    budget_->give_back(kPageBytes);
    release_pages(violations_ + page * kViolationsPerPage, kPageBytes);
  }
  if (first < last) release_pages(reinterpret_cast<unsigned char*>(cells_) + first * kPageBytes, (last - first) * kPageBytes);
}

void OverloadSet::start_over() noexcept {
  release();
  log_count_ = touched_count_ = touched_by_owner_ = touched_at_start_ = 0;
  buckets_.start_over();
  tally_ = tally_before_ = {};
}

}  // namespace pepper::detail
