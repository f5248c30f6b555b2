#include "overload_set.hpp"

#include "mapping.hpp"

#include <algorithm>

namespace pepper::detail {

bool OverloadSet::reserve(std::uint32_t capacity, Budget& budget) noexcept {
  const std::size_t cells = round_up_to_pages(capacity * sizeof(Cell));
  const std::size_t log = round_up_to_pages(kChunkRecords * sizeof(Cell));
  const std::size_t touched = round_up_to_pages(capacity * sizeof(std::uint32_t));
  const std::size_t pages = round_up_to_pages(cells / kPageBytes);
  auto* const at = static_cast<unsigned char*>(map_pages(cells + log + touched + pages));
  if (at == nullptr || !buckets_.reserve(capacity, budget)) return false;
  cells_ = reinterpret_cast<Cell*>(at);
  log_ = reinterpret_cast<Cell*>(at + cells);
  touched_ = reinterpret_cast<std::uint32_t*>(at + cells + log);
  page_is_taken_ = at + cells + log + touched;
  capacity_ = capacity;
  budget_ = &budget;
  return true;
}

bool OverloadSet::take_page(std::uint32_t index) noexcept {
  std::uint8_t& taken = page_is_taken_[index / kCellsPerPage];
  if (taken == 0 && budget_->try_take(kPageCharge)) taken = 1;
  return taken != 0;
}

void OverloadSet::touch(std::uint32_t series, std::uint32_t distributions) noexcept {
  buckets_.touch(std::min(series, capacity_), std::min(distributions, capacity_));
  for (std::uint32_t index = 0; index < std::min(series, capacity_); index += kCellsPerPage) {
    if (!take_page(index)) break;
    touch_pages(&cells_[index], kPageBytes);
  }
  touch_pages(log_, kChunkRecords * sizeof(Cell));
  touch_pages(touched_, std::min(series, capacity_) * sizeof(std::uint32_t));
  touch_pages(page_is_taken_, std::min(series, capacity_) / kCellsPerPage + 1);
}

void OverloadSet::prepare(const Record* records, std::size_t count, const FoldTable& table) noexcept {
  tally_before_ = tally_;
  log_count_ = 0;
  needs_checks_ = has_refused_ = false;
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
      prepare_cell(index, local.stamp);
    }
  }
  touched_count_ = touched_by_owner_;
  needs_checks_ = needs_checks_ || extra_of(extras) != kExtraPlain;
  if (local.scales != nullptr) count_buckets(records, count, table);
  buckets_.end();
}

void OverloadSet::count_buckets(const Record* records, std::size_t count, const FoldTable& table) noexcept {
  if (!has_refused_) return buckets_.count(records, count, table);
  for (std::size_t i = 0; i < count; ++i) {  // not those that the budget had no cell for
    const std::uint32_t index = table.index_of(records[i].head);
    if (index < table.capacity && cells_[index].stamp == table.stamp) buckets_.count(&records[i], 1, table);
  }
}

/// Not inlined: once for each series of a chunk, and out of the way of its records.
[[gnu::noinline]] void OverloadSet::prepare_cell(std::uint32_t index, std::uint32_t stamp) noexcept {
  Cell& cell = cells_[index];
  if (cell.stamp == 0) {
    if (!take_page(index)) {
      needs_checks_ = has_refused_ = true;
      return;
    }
    cell.clear();
    touched_[touched_by_owner_++] = index;
  }
  log_[log_count_] = cell;
  log_index_[log_count_++] = index;
  cell.stamp = stamp;
}

void OverloadSet::fold_prepared(const Record* records, std::size_t count, const FoldTable& table) noexcept {
  FoldTable own = table;
  own.cells = cells_;
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
  if (first < last) release_pages(reinterpret_cast<unsigned char*>(cells_) + first * kPageBytes, (last - first) * kPageBytes);
}

void OverloadSet::start_over() noexcept {
  release();
  log_count_ = touched_count_ = touched_by_owner_ = touched_at_start_ = 0;
  buckets_.start_over();
  tally_ = tally_before_ = {};
}

}  // namespace pepper::detail
