#pragma once

#include "busy.hpp"
#include "mutex.hpp"

#include <functional>

namespace pepper {
class Snapshot;
}

namespace pepper::detail {

/// A user's function between registration and the end of its Subscription. Thread-safe; the function runs with no lock held, on one thread
/// at a time.
class Callback {
 public:
  /// The snapshot is null for what runs before one is taken.
  using Function = std::function<void(const Snapshot*)>;

  explicit Callback(Function function) : function_(std::move(function)) {}

  /// False: it has ended, or runs on another thread right now. Rethrows what the function throws.
  bool try_run(const Snapshot* snapshot);
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
