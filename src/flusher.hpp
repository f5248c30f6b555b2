#pragma once

#include "busy.hpp"
#include "pressure.hpp"

#include <atomic>
#include <chrono>
#include <memory>
#include <thread>

namespace pepper::detail {

class Collector;

/// How long to sleep between two looks. Idle, twice as long each time up to 50 ms, as a wake-up costs more than a look; under load, so that
/// the next look finds the pool about half full; saturated, seldom: threads fold their own records then, which is cheaper than handing them
/// over, and each look disturbs them.
class Pace {
 public:
  static constexpr std::chrono::nanoseconds kShortest = std::chrono::milliseconds{1}, kLongest = std::chrono::milliseconds{50},
                                            kSaturated = std::chrono::milliseconds{10};

  /// `seen` of `pool` chunks were waiting at this look, and threads had to fold themselves since the one before.
  [[nodiscard]] std::chrono::nanoseconds next(std::size_t seen, std::size_t pool, bool has_spilled) noexcept;

 private:
  std::chrono::nanoseconds sleep_ = kShortest;
};

/// The one background thread of a collector: looks, and publishes every flush_interval. Thread-safe.
class Flusher {
 public:
  using Clock = std::chrono::steady_clock;

  explicit Flusher(Pressure& pressure) noexcept : pressure_(pressure) {}
  /// On its own thread, where a user's function has destroyed the collector: that thread then ends by itself.
  ~Flusher() {
    if (thread_.joinable()) thread_.detach();
  }
  Flusher(const Flusher&) = delete;
  Flusher& operator=(const Flusher&) = delete;

  /// Starts the thread unless it runs or was stopped for good. `collector` lives until the thread has ended. Throws std::system_error.
  void start(std::shared_ptr<Collector> collector);
  /// In a child: it does not run, unless the thread that forked is it and goes on from there. True: it ran in the parent.
  bool start_over() noexcept;
  /// Ends it; never starts again. False: it had not ended by the deadline (a user's function holds it), and was left to itself.
  bool stop(Clock::time_point deadline) noexcept;

 private:
  void run(Collector& collector) noexcept;

  Pressure& pressure_;
  Mutex mutex_;
  Condition from_thread_;
  std::thread thread_;
  std::shared_ptr<Collector>
      collector_;  ///< while the thread has not ended; here, so that a child can drop it for a thread it does not have
  Busy runs_;      ///< held by the thread
  bool is_running_ = false, is_stopped_ = false;
  std::atomic<bool> has_begun_{false};  ///< started, or about to be
};

}  // namespace pepper::detail
