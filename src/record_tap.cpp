#include "record_tap.hpp"

#include <algorithm>
#include <mutex>
#include <new>
#include <utility>

namespace pepper::detail {

std::uint64_t RecordTap::open(std::size_t bytes, std::uint64_t aggregated) {
  if (!is_on()) {
    const std::size_t free = budget_.limit() - std::min(budget_.limit(), budget_.used());
    const std::size_t room = std::min(bytes, free / 4);
    if (room == 0 || !budget_.try_take(room)) throw std::bad_alloc{};
    room_ = room;
    seen_ = aggregated;
    taken_ = 0;
  }
  const std::lock_guard lock(mutex_);
  if (untold_ != 0) {  // not the new one's
    push({});
    pieces_.back().missed = std::exchange(untold_, 0);
  }
  return first_of_latest_ = next_number_;
}

void RecordTap::close() noexcept {
  budget_.give_back(std::exchange(room_, 0));
  const std::lock_guard lock(mutex_);
  pieces_.clear();
  used_ = untold_ = 0;
}

void RecordTap::push(RecordPiece piece) {
  piece.number = next_number_;
  pieces_.push_back(std::move(piece));
  ++next_number_;
  used_ += kPieceBytes + pieces_.back().records.capacity() * sizeof(Record);
}

void RecordTap::take(std::uint64_t thread, const Record* records, std::size_t count, const FoldTable& table,
                     std::uint64_t folded) noexcept {
  if (folded == 0) return;
  {
    const std::lock_guard lock(mutex_);
    if (used_ + kPieceBytes + folded * sizeof(Record) > room_) return;
  }
  RecordPiece piece{.thread = thread, .drained_at = std::chrono::system_clock::now(), .base = table.base};
  try {
    piece.records.reserve(folded);
    for (const Record *record = records, *end = records + count; record != end && piece.records.size() < folded; ++record) {
      auto [head, value] = *record;
      if (table.index_of(head) >= table.capacity) continue;
      if (extra_of(head) == kExtraTicks) {
        value = table.seconds(value);
        head = make_head(id_of(head), kExtraPlain);
      }
      if (table.checks != nullptr) value = table.checks->judged(table.index_of(head), value);
      // What the fold has refused.
      if (value != value || (value < 0 && table.kind_of(head) == Kind::counter)) continue;
      piece.records.push_back({head, value});
    }
    const std::size_t taken = piece.records.size();
    const std::lock_guard lock(mutex_);
    push(std::move(piece));
    taken_ += taken;
  } catch (const std::bad_alloc&) {  // missed
  }
}

void RecordTap::finish(std::uint64_t aggregated) noexcept {
  const std::uint64_t missed = aggregated - std::exchange(seen_, aggregated) - std::exchange(taken_, 0);
  const std::lock_guard lock(mutex_);
  untold_ += missed;
  if (untold_ == 0) return;
  // Said by the last piece that waits, unless a subscriber is younger than that: he has missed these as well.
  if (pieces_.empty() || pieces_.back().number < first_of_latest_) {
    try {
      push({});
    } catch (const std::bad_alloc&) {
      return;
    }
  }
  pieces_.back().missed += std::exchange(untold_, 0);
}

void RecordTap::start_over() noexcept {
  const std::lock_guard lock(mutex_);
  pieces_.clear();
  used_ = seen_ = taken_ = untold_ = 0;
}

std::uint64_t RecordTap::next_number() const noexcept {
  const std::lock_guard lock(mutex_);
  return next_number_;
}

bool RecordTap::try_pop(RecordPiece& piece, std::uint64_t end) noexcept {
  const std::lock_guard lock(mutex_);
  if (pieces_.empty() || pieces_.front().number >= end) return false;
  piece = std::move(pieces_.front());
  pieces_.pop_front();
  used_ -= kPieceBytes + piece.records.capacity() * sizeof(Record);
  return true;
}

bool RecordTap::is_empty() const noexcept {
  const std::lock_guard lock(mutex_);
  return pieces_.empty();
}

}  // namespace pepper::detail
