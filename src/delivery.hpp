#pragma once

#include <pepper/snapshot.hpp>

#include "busy.hpp"
#include "callback.hpp"
#include "errors.hpp"
#include "mutex.hpp"
#include "record_tap.hpp"

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace pepper::detail {

/// Runs users' callbacks: observers before a snapshot, subscribers after one, and those to raw records. On a thread of its own, so that
/// none of them holds up a flush; inline where the collector has no threads. Thread-safe.
class Delivery : public std::enable_shared_from_this<Delivery> {
 public:
  using Clock = std::chrono::steady_clock;

  /// `tap`: where raw records come from, may be null. `thread` names its thread, in at most 15 bytes; `subscriber`, in messages, who
  /// throws.
  Delivery(std::shared_ptr<Errors> errors, std::shared_ptr<RecordTap> tap, bool has_thread, const char* thread = "pepper-deliver",
           std::string subscriber = "on_snapshot callback")
      : errors_(std::move(errors)),
        tap_(std::move(tap)),
        thread_name_(thread),
        subscriber_(std::move(subscriber)),
        may_have_thread_(has_thread) {}

  /// On its own thread, where a callback has destroyed the collector: that thread then ends by itself.
  ~Delivery() {
    if (thread_.joinable()) thread_.detach();
  }
  Delivery(const Delivery&) = delete;
  Delivery& operator=(const Delivery&) = delete;

  [[nodiscard]] std::shared_ptr<Callback> add_subscriber(Callback::Function function);
  [[nodiscard]] std::shared_ptr<Callback> add_observer(Callback::Function function);
  [[nodiscard]] std::shared_ptr<Callback> add_record_subscriber(Callback::Function function);
  [[nodiscard]] bool has_record_subscriber();

  /// Has each observer asked once, on the thread; inline, before it returns. Does nothing inside a callback. The round that is_answered()
  /// knows.
  [[nodiscard]] std::uint64_t ask_observers();
  [[nodiscard]] bool is_answered(std::uint64_t round);
  /// Waits for a round until the deadline, and for a callback that runs already no longer than `patience` from its beginning on: of one
  /// that blocks, the first flush suffers and no other.
  void wait_for(std::uint64_t round, Clock::time_point deadline, std::chrono::nanoseconds patience);
  /// Hands a snapshot to the subscribers: to the mailbox, where the latest wins. What is flushed inside a callback is not delivered, or it
  /// would call itself.
  void deliver(std::shared_ptr<const Snapshot> snapshot);
  /// Hands what the tap holds to the subscribers to raw records. What is there inside a callback waits for the next call.
  void deliver_records();
  /// How many snapshots a later one has replaced in the mailbox.
  [[nodiscard]] std::uint64_t skipped() const;

  /// Has `task`, which calls a user's function, done on the thread; inline, before it returns. Throws std::bad_alloc.
  void run_aside(std::function<void()> task);

  /// Delivers what is in the mailbox and ends the thread; from now on it works inline. False: not done by then, and the thread was left to
  /// itself, to end after the callback it is in.
  bool stop(Clock::time_point deadline) noexcept;

  /// In a child: what the parent was about to deliver is the parent's, up to the snapshot `sequence`. The thread that forked may be in
  /// here.
  void start_over(std::uint64_t sequence) noexcept;
  /// After that: the thread, if it had one that is no more.
  void start_thread_again();

 private:
  using Callbacks = std::vector<std::shared_ptr<Callback>>;
  /// Shared with whoever runs them, so that running them takes no memory; copied where one is added meanwhile.
  using Shared = std::shared_ptr<Callbacks>;

  std::shared_ptr<Callback> add(Shared& to, Callback::Function function);
  void run_all(const Callbacks& callbacks, const Occasion& occasion, std::string_view what) noexcept;
  [[nodiscard]] bool runs_on_this_thread() const noexcept;
  /// The callbacks as they are now, without those that have ended.
  [[nodiscard]] static Shared living(const Shared& callbacks) noexcept;
  void start_thread();
  /// To the thread; inline, gives out all that is there.
  void hand_over(std::unique_lock<Mutex>& lock) noexcept;
  /// What is in the mailbox, unlocked meanwhile.
  void give_out(std::unique_lock<Mutex>& lock) noexcept;
  void give_out_records(std::unique_lock<Mutex>& lock) noexcept;
  void answer(std::unique_lock<Mutex>& lock) noexcept;
  void run_tasks(std::unique_lock<Mutex>& lock) noexcept;
  void run() noexcept;

  const std::shared_ptr<Errors> errors_;
  const std::shared_ptr<RecordTap> tap_;
  const char* const thread_name_;
  const std::string subscriber_;
  mutable Mutex mutex_;
  Condition to_thread_, from_thread_;
  Shared subscribers_ = std::make_shared<Callbacks>(), observers_ = std::make_shared<Callbacks>(),
         record_subscribers_ = std::make_shared<Callbacks>();
  std::shared_ptr<const Snapshot> mail_;
  std::vector<std::function<void()>> tasks_;
  std::uint64_t rounds_wanted_ = 0, rounds_done_ = 0;  ///< of observers
  std::uint64_t latest_sequence_ = 0, skipped_ = 0;
  Busy delivers_;  ///< inline: who comes meanwhile leaves it the mail
  bool may_have_thread_;
  std::thread thread_;
  std::shared_ptr<Delivery> self_;  ///< while the thread has not ended; here, so that a child can drop it for a thread it does not have
  Busy runs_;                       ///< held by the thread
  bool has_thread_ = false, is_stopping_ = false;
  bool has_records_ = false;        ///< the tap has
  Clock::time_point busy_since_{};  ///< the thread is in a callback; {}: it is not
};

}  // namespace pepper::detail
