#pragma once

#include <pepper/detail/record.hpp>

#include "budget.hpp"
#include "fold.hpp"
#include "mutex.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <vector>

namespace pepper::detail {

/// Records of one thread on their way to those who subscribe to them; or of none, to say what was missed.
struct RecordPiece {
  std::uint64_t number = 0;  ///< one more than the piece before
  std::uint64_t thread = 0;
  std::uint64_t missed = 0;
  std::chrono::system_clock::time_point drained_at{};
  std::uint32_t base = 0;         ///< number of the first series
  std::vector<Record> records{};  ///< timers in seconds
};

/// Keeps copies of the records that a drain folds until subscribers get them, and counts what it has no room for: nobody waits for those.
/// What was delivered and what was missed is what was aggregated, exactly, as the count of the one comes from what is here and that of the
/// other is the rest.
class RecordTap {
 public:
  explicit RecordTap(Budget& budget) noexcept : budget_(budget) {}
  RecordTap(const RecordTap&) = delete;
  RecordTap& operator=(const RecordTap&) = delete;
  ~RecordTap() = default;

  // Under the drain mutex. ----------------------------------------------------------------------------------------------------------

  [[nodiscard]] bool is_on() const noexcept { return room_ != 0; }
  /// For one subscriber more, with room for `bytes` if memory allows; `aggregated` so far. The number of its first piece. Throws
  /// std::bad_alloc.
  [[nodiscard]] std::uint64_t open(std::size_t bytes, std::uint64_t aggregated);
  /// There is no subscriber any more; or the collector ends.
  void close() noexcept;
  /// `folded` of these records are in their series' counts by now: takes those.
  void take(std::uint64_t thread, const Record* records, std::size_t count, const FoldTable& table, std::uint64_t folded) noexcept;
  /// A look is over: what it has aggregated and not given here was missed.
  void finish(std::uint64_t aggregated) noexcept;
  /// In a child: nothing was ever drained.
  void start_over() noexcept;

  // Whoever delivers. ---------------------------------------------------------------------------------------------------------------

  /// The number of the next piece there will be.
  [[nodiscard]] std::uint64_t next_number() const noexcept;
  /// The next piece, if its number is below `end`.
  [[nodiscard]] bool try_pop(RecordPiece& piece, std::uint64_t end) noexcept;
  [[nodiscard]] bool is_empty() const noexcept;

  /// So many chunks' worth there is room for at least, if memory allows.
  static constexpr std::size_t kLeastChunks = 64;
  /// Beside the records; what the allocator and the queue add to each piece included.
  static constexpr std::size_t kPieceBytes = sizeof(RecordPiece) + 64;

 private:
  void push(RecordPiece piece);

  Budget& budget_;
  // Drainer.
  std::size_t room_ = 0;  ///< bytes, on the budget
  std::uint64_t seen_ = 0, taken_ = 0;

  mutable Mutex mutex_;  // of what follows
  std::deque<RecordPiece> pieces_;
  std::size_t used_ = 0;
  std::uint64_t next_number_ = 0;
  std::uint64_t first_of_latest_ = 0;  ///< the latest subscriber's first piece
  std::uint64_t untold_ = 0;           ///< missed, and there was no memory to say it
};

}  // namespace pepper::detail
