#pragma once

#include "busy.hpp"
#include "mutex.hpp"

#include <functional>

namespace pepper {
class Snapshot;
struct SeriesSnapshot;
}  // namespace pepper

namespace pepper::detail {

struct RecordPiece;

/// What a user's function runs for: a snapshot, raw records, or a series; none of them for what runs before a snapshot is taken.
struct Occasion {
  const Snapshot* snapshot = nullptr;
  const RecordPiece* records = nullptr;
  const SeriesSnapshot* series = nullptr;
};

/// A user's function between registration and the end of its Subscription. Thread-safe; the function runs with no lock held, on one thread
/// at a time.
class Callback {
 public:
  using Function = std::function<void(const Occasion&)>;

  explicit Callback(Function function) : function_(std::move(function)) {}

  /// False: it has ended, or runs on another thread right now. Rethrows what the function throws.
  bool try_run(const Occasion& occasion);
  /// Afterwards it is not running and never runs again. Waits for a run in progress, except from inside it.
  void end() noexcept;
  [[nodiscard]] bool has_ended() const noexcept;

 private:
  mutable Mutex mutex_;
  Condition stopped_running_;
  Function function_;
  Busy runs_;
  bool has_ended_ = false;
};

}  // namespace pepper::detail
