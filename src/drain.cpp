#include "drain.hpp"

#include "distributed.hpp"
#include "signal_series.hpp"

#include <algorithm>
#include <new>

namespace pepper::detail {

Drain::Drain(Place& place, RecordTap& tap)
    : place_(place),
      tap_(tap),
      capacity_(place.series().capacity()),
      cell_pages_(capacity_ * sizeof(Cell), false),
      changed_pages_(capacity_ * sizeof(std::uint32_t), false),
      violations_pages_(capacity_ * sizeof(std::uint64_t), false),
      cells_(reinterpret_cast<Cell*>(cell_pages_.data())),
      changed_(reinterpret_cast<std::uint32_t*>(changed_pages_.data())),
      violations_(reinterpret_cast<std::uint64_t*>(violations_pages_.data())),
      buckets_(place.series(), place.bucket_lease()),
      left_(place.left()) {
  // Threads may be recording for a collector that was here before, in chunks that are theirs: begin where they are.
  is_discarding_ = true;
  drain_queue(mark(true));
  discarded_ = 0;
  for (const ThreadBlock* block = place_.first_block(); block != nullptr; block = block->next) discarded_ += block->taken_position();
  for (const SignalSeries* series = place_.first_signal_series(); series != nullptr; series = series->next) discarded_ += series->seen();
  is_discarding_ = false;
}

void Drain::start_over() noexcept {
  release_pages(cells_, capacity_ * sizeof(Cell));
  release_pages(violations_, capacity_ * sizeof(std::uint64_t));
  out_of_bounds_.clear();
  buckets_.start_over();
  changed_count_ = 0;
  stamp_ = 1;
  open_.clear();
  later_.clear();
  left_.clear();
  aggregated_ = spilled_ = discarded_ = 0;
  for (const SignalSeries* series = place_.first_signal_series(); series != nullptr; series = series->next) discarded_ += series->seen();
  chunks_seen_ = 0;
  tally_ = {};
}

void Drain::look() {
  drain_queue(mark(false));
  if (tap_.is_on()) tap_.finish(aggregated_);
}

void Drain::make_ready(const ThreadBlock* first) {
  std::size_t blocks = 0;
  for (const ThreadBlock* block = first; block != nullptr; block = block->next) ++blocks;
  open_.clear();
  later_.clear();
  open_.reserve(blocks);
  // Every chunk there is may be on its way here: those of all pools so far, and each thread's own.
  later_.reserve(place_.all_chunks() + 2 * blocks);
  left_.reserve(place_.all_chunks() + 2 * blocks);
  copies_.reserve(blocks);
  while (copies_.size() < blocks) copies_.emplace_back(sizeof(Chunk));
}

ThreadBlock* Drain::mark(bool always_exchange) {
  ThreadBlock* const first = place_.first_block();
  make_ready(first);
  for (ThreadBlock* block = first; block != nullptr; block = block->next) {
    auto* const copy = reinterpret_cast<Chunk*>(copies_[open_.size()].data());
    const ThreadBlock::Claim claim = block->claim(copy->records, always_exchange);
    if (claim.records != 0 || claim.how != ThreadBlock::Claim::How::no_set) open_.push_back({block, claim, copy});
  }
  return first;
}

void Drain::drain_queue(ThreadBlock* first) {
  chunks_seen_ = 0;
  for (ThreadBlock* block = first; block != nullptr; block = block->next) {
    // Thread by thread: the queue as a whole would give out one thread's newest before another's oldest.
    Chunk* chunk = block->pop_sealed(place_.sealed());
    while (chunk != nullptr) {
      ++chunks_seen_;
      // The chunk of the mark itself may have been sealed since: what is left of it comes after the part that was claimed.
      if (chunk->epoch.load(std::memory_order_relaxed) >= block->marked_epoch()) {  // [relaxed: acquired with the chunk]
        later_.push_back(chunk);
        break;
      }
      Chunk* const next = block->pop_sealed(place_.sealed());
      take_chunk(chunk, next == nullptr ? nullptr : next->records);
      chunk = next;
    }
  }
  for (const Open& open : open_) take_set(open);
  for (const Open& open : open_) take_records(*open.block, open.copy->records, open.claim.records, nullptr);
  for (Chunk* const chunk : later_) take_chunk(chunk, nullptr);
  take_signals();
  recycle_left();
}

void Drain::take_chunk(Chunk* chunk, const Record* next) noexcept {
  ThreadBlock* const owner = chunk->owner.load(std::memory_order_relaxed);   // [relaxed: acquired with the chunk]
  const std::uint64_t epoch = chunk->epoch.load(std::memory_order_relaxed);  // [relaxed: acquired with the chunk]
  const std::uint32_t taken = owner->taken_of(epoch);
  take_records(*owner, chunk->records + taken, kChunkRecords - taken, next);
  // While the owner's word still shows this epoch, the next look must not find it again under the cursor.
  if (epoch >= owner->claimed_epoch()) owner->note_taken(epoch, kChunkRecords);
  left_.push_back(chunk);
}

void Drain::recycle_left() {
  for (std::size_t i = 0; i < left_.size();) {
    Chunk* const chunk = left_[i];
    const ThreadBlock* const owner = chunk->owner.load(std::memory_order_relaxed);  // [relaxed: acquired with the chunk]
    // Belt and braces: note_taken() in take_chunk() already keeps looks from taking anything of it under its owner's cursor.
    if (!owner->has_left(chunk->epoch.load(std::memory_order_relaxed))) {  // [relaxed: acquired with the chunk]
      ++i;
      continue;
    }
    place_.recycle(chunk);  // may throw, and then it is still here
    left_[i] = left_.back();
    left_.pop_back();
  }
}

bool Drain::touch(std::uint32_t index, Cell& cell) noexcept {
  if (cell.stamp == 0) cell.clear();
  cell.stamp = stamp_;
  changed_[changed_count_++] = index;
  keep_to_check(index, cell);
  return true;
}

/// What stands for all values so far must let a fold see each that the check minds: those that nobody checked, as they came before the
/// series was bound, or by a signal handler, are kept apart.
void Drain::keep_to_check(std::uint32_t index, Cell& cell) noexcept {
  const ValueChecks* const checks = place_.series().checks().if_any();
  if (checks == nullptr || cell.count == 0) return;
  const ValueCheck check = checks->of(index);
  if (cell.min >= check.least && cell.max <= check.most) return;
  try {
    Extremes& kept = out_of_bounds_.try_emplace(index, Extremes{cell.min, cell.max}).first->second;
    kept = {std::min(kept.min, cell.min), std::max(kept.max, cell.max)};
  } catch (const std::bad_alloc&) {
    return;  // tried again with the next look; until then values between these pass
  }
  cell.min = std::max(cell.min, check.least);
  cell.max = std::min(cell.max, check.most);
}

Drain::Extremes Drain::extremes(std::uint32_t index) const noexcept {
  const Extremes checked{cells_[index].min, cells_[index].max};
  const auto kept = out_of_bounds_.find(index);
  if (kept == out_of_bounds_.end()) return checked;
  return {std::min(checked.min, kept->second.min), std::max(checked.max, kept->second.max)};
}

void Drain::merge(std::uint32_t index, const Cell& from) noexcept {
  Cell& cell = cells_[index];
  if (cell.stamp != stamp_) (void)touch(index, cell);
  cell.merge(from);
  keep_to_check(index, cell);
}

void Drain::take_records(const ThreadBlock& owner, const Record* records, std::size_t count, const Record* next) noexcept {
  if (is_discarding_) {
    discarded_ += count;
    return;
  }
  FoldTable table = place_.series().table(cells_, stamp_);
  table.violations = violations_;
  const std::uint64_t violations_before = tally_.violations();
  const std::uint64_t folded = fold<true>(
      records, count, table, tally_, [this](std::uint32_t index, Cell& cell) { return touch(index, cell); }, next);
  aggregated_ += folded;
  if (tap_.is_on()) [[unlikely]]
    tap_.take(reinterpret_cast<std::uintptr_t>(&owner), records, count, table, folded);
  if (table.scales == nullptr) return;
  if (tally_.violations() == violations_before) return buckets_.count(records, count, table);
  for_each_valid(
      records, count, table, [](std::uint32_t) { return true; },
      [&](const Record* valid, std::size_t valid_count) { buckets_.count(valid, valid_count, table); });
}

void Drain::take_set(const Open& open) noexcept {
  if (open.claim.how == ThreadBlock::Claim::How::no_set) return;
  std::uint64_t folded = 0;
  const Tally& tally = open.block->visit(open.claim, [&](std::uint32_t index, const Cell& from, std::uint64_t violations) {
    folded += from.count;
    if (is_discarding_ || index >= capacity_) return;
    merge(index, from);
    if (violations != 0) violations_[index] += violations;
  });
  if (is_discarding_) {
    discarded_ += folded;
    discarded_ += tally.records();
  } else {
    open.block->visit_buckets(open.claim, [this](const BucketTable::Page& page) { buckets_.merge(page); });
    aggregated_ += folded;
    spilled_ += folded;
    tally_ += tally;
  }
  open.block->finish(open.claim);
}

void Drain::take_signals() noexcept {
  for (SignalSeries* series = place_.first_signal_series(); series != nullptr; series = series->next) {
    const Cell from = series->take();
    if (from.count == 0) continue;
    if (is_discarding_) {
      discarded_ += from.count;
      continue;
    }
    merge(series->index, from);
    aggregated_ += from.count;
  }
}

void Drain::forget_changed() noexcept {
  changed_count_ = 0;
  if (++stamp_ != 0) return;
  stamp_ = 1;  // after 2^32 snapshots: old stamps must not look new
  for (std::uint32_t i = 0; i < capacity_; ++i) {
    if (cells_[i].stamp != 0) cells_[i].stamp = ~std::uint32_t{0};
  }
}

Ledger Drain::ledger() const noexcept {
  Ledger ledger;
  ledger.aggregated = aggregated_;
  ledger.spilled = spilled_;
  ledger.tally = tally_;
  ledger.dropped =
      tally_[Found::negative] + tally_[Found::overflow] + tally_[Found::after_shutdown] + tally_[Found::memory] + tally_[Found::invalid];
  std::uint64_t refused = 0;
  for (const Cause cause : {Cause::overflow, Cause::threads, Cause::negative, Cause::after_shutdown, Cause::memory})
    refused += place_.refused(cause);
  ledger.dropped += refused;
  // Read after the folds' counts, so that it is never behind them.
  std::uint64_t position = 0;
  for (const ThreadBlock* block = place_.first_block(); block != nullptr; block = block->next) position += block->position();
  for (const SignalSeries* series = place_.first_signal_series(); series != nullptr; series = series->next) position += series->calls();
  ledger.recorded = position - discarded_ - tally_[Found::nan] - tally_[Found::foreign] + refused;
  ledger.pending = ledger.recorded - ledger.aggregated - ledger.dropped;
  return ledger;
}

}  // namespace pepper::detail
