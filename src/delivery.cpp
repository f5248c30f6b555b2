#include "delivery.hpp"

#include "fork.hpp"
#include "place.hpp"

#include <pthread.h>

#include <algorithm>
#include <exception>
#include <memory>
#include <mutex>
#include <system_error>
#include <utility>

namespace pepper::detail {

namespace {

/// Whose callbacks this thread is inside of, innermost first: one may flush another collector, whose callback flushes this one.
struct Inside {
  const Delivery* delivery;
  const Inside* outer;
};
constinit thread_local const Inside* inside = nullptr;

}  // namespace

bool Delivery::runs_on_this_thread() const noexcept {
  const Inside* at = inside;
  while (at != nullptr && at->delivery != this) at = at->outer;
  return at != nullptr;
}

Delivery::Shared Delivery::living(const Shared& callbacks) noexcept {
  if (callbacks.use_count() == 1) std::erase_if(*callbacks, [](const auto& callback) { return callback->has_ended(); });
  return callbacks;
}

std::shared_ptr<Callback> Delivery::add(Shared& to, Callback::Function function) {
  auto callback = std::make_shared<Callback>(std::move(function));
  const std::lock_guard lock(mutex_);
  if (to.use_count() != 1) to = std::make_shared<Callbacks>(*to);
  to->reserve(to->size() + 1);
  if (may_have_thread_ && !has_thread_) start_thread();
  to->push_back(callback);
  return callback;
}

std::shared_ptr<Callback> Delivery::add_subscriber(Callback::Function function) { return add(subscribers_, std::move(function)); }
std::shared_ptr<Callback> Delivery::add_observer(Callback::Function function) { return add(observers_, std::move(function)); }
std::shared_ptr<Callback> Delivery::add_record_subscriber(Callback::Function function) {
  return add(record_subscribers_, std::move(function));
}

bool Delivery::has_record_subscriber() {
  const std::lock_guard lock(mutex_);
  return !living(record_subscribers_)->empty();
}

void Delivery::start_thread() {
  try {
    thread_ = std::thread([this] { run(); });
    self_ = shared_from_this();
    has_thread_ = true;
  } catch (const std::system_error&) {  // no thread to be had: inline, and the next add() tries again
  }
}

void Delivery::run_all(const Callbacks& callbacks, const Occasion& occasion, std::string_view what) noexcept {
  const Inside here{this, inside};
  inside = &here;
  const std::uint32_t process = Busy::process();
  for (const std::shared_ptr<Callback>& callback : callbacks) {
    const bool is_of_something = occasion.snapshot != nullptr || occasion.records != nullptr;
    if (is_of_something && Busy::process() != process) break;  // one of them forked: in the child it is the parent's
    try {
      callback->try_run(occasion);
    } catch (const std::exception& error) {
      errors_->report_callback(what, error.what());
    } catch (...) {
      errors_->report_callback(what, "something that is no std::exception");
    }
  }
  inside = here.outer;
}

std::uint64_t Delivery::ask_observers() {
  std::unique_lock lock(mutex_);
  if (observers_->empty() || runs_on_this_thread() || runs_.is_held_here()) return rounds_done_;
  if (!has_thread_) {
    const Shared observers = living(observers_);
    lock.unlock();
    run_all(*observers, {}, "observer");
    return 0;
  }
  to_thread_.notify_all();
  return ++rounds_wanted_;
}

bool Delivery::is_answered(std::uint64_t round) {
  const std::lock_guard lock(mutex_);
  return rounds_done_ >= round || !has_thread_;
}

void Delivery::wait_for(std::uint64_t round, Clock::time_point deadline, std::chrono::nanoseconds patience) {
  std::unique_lock lock(mutex_);
  const Clock::time_point begin = busy_since_ == Clock::time_point{} ? Clock::now() : busy_since_;
  from_thread_.wait_until(lock, std::min(deadline, begin + patience), [&] { return rounds_done_ >= round || !has_thread_; });
}

void Delivery::deliver(std::shared_ptr<const Snapshot> snapshot) {
  std::unique_lock lock(mutex_);
  // Flushes may overtake each other on the way here: a later snapshot was given out already.
  if (subscribers_->empty() || snapshot->sequence() <= latest_sequence_ || runs_on_this_thread()) return;
  latest_sequence_ = snapshot->sequence();
  if (mail_ != nullptr) ++skipped_;
  mail_ = std::move(snapshot);
  hand_over(lock);
}

void Delivery::deliver_records() {
  std::unique_lock lock(mutex_);
  if (tap_ == nullptr || tap_->is_empty() || runs_on_this_thread()) return;
  has_records_ = true;
  hand_over(lock);
}

void Delivery::hand_over(std::unique_lock<Mutex>& lock) noexcept {
  if (has_thread_) {
    to_thread_.notify_all();
  } else if (!delivers_.is_held()) {
    Busy::Hold delivery(delivers_);
    delivery.begin();
    while (has_records_ || mail_ != nullptr) {
      if (has_records_) give_out_records(lock);
      if (mail_ != nullptr) give_out(lock);
    }
    delivery.end();
  }
}

std::uint64_t Delivery::skipped() const {
  const std::lock_guard lock(mutex_);
  return skipped_;
}

void Delivery::run_aside(std::function<void()> task) {
  std::unique_lock lock(mutex_);
  if (may_have_thread_ && !has_thread_) start_thread();
  if (has_thread_) {
    tasks_.push_back(std::move(task));
    to_thread_.notify_all();
  } else {
    lock.unlock();
    task();
  }
}

void Delivery::give_out(std::unique_lock<Mutex>& lock) noexcept {
  const std::shared_ptr<const Snapshot> snapshot = std::exchange(mail_, nullptr);
  const Shared subscribers = living(subscribers_);
  lock.unlock();
  run_all(*subscribers, {.snapshot = snapshot.get()}, subscriber_);
  (void)settle();  // one of them may have forked: what else is in the mail is the parent's
  lock.lock();
}

void Delivery::give_out_records(std::unique_lock<Mutex>& lock) noexcept {
  has_records_ = false;
  // First the end, then who gets what is before it: whoever subscribes later gets what is after it.
  const std::uint64_t end = tap_->next_number();
  const Shared subscribers = living(record_subscribers_);
  lock.unlock();
  const std::uint32_t process = Busy::process();
  RecordPiece piece;
  while (Busy::process() == process && tap_->try_pop(piece, end)) run_all(*subscribers, {.records = &piece}, "on_records callback");
  (void)settle();  // as in give_out()
  lock.lock();
}

void Delivery::answer(std::unique_lock<Mutex>& lock) noexcept {
  const std::uint64_t round = rounds_wanted_;
  const Shared observers = living(observers_);
  lock.unlock();
  run_all(*observers, {}, "observer");
  (void)settle();  // as in give_out()
  lock.lock();
  rounds_done_ = round;
  from_thread_.notify_all();
}

void Delivery::run_tasks(std::unique_lock<Mutex>& lock) noexcept {
  const auto tasks = std::exchange(tasks_, {});
  lock.unlock();
  for (const auto& task : tasks) task();
  (void)settle();  // as in give_out()
  lock.lock();
}

void Delivery::run() noexcept {
  is_service_thread = true;
  pthread_setname_np(pthread_self(), thread_name_);
  std::shared_ptr<Delivery> last;  // outlives the lock
  std::unique_lock lock(mutex_);
  Busy::Hold stay(runs_);
  stay.begin();
  for (bool is_last = false; !is_last;) {
    to_thread_.wait(
        lock, [this] { return mail_ != nullptr || has_records_ || rounds_done_ < rounds_wanted_ || !tasks_.empty() || is_stopping_; });
    is_last = is_stopping_;  // once more and no further, whatever comes in meanwhile
    busy_since_ = Clock::now();
    if (rounds_done_ < rounds_wanted_) answer(lock);
    if (!tasks_.empty()) run_tasks(lock);
    if (has_records_) give_out_records(lock);
    if (mail_ != nullptr) give_out(lock);
    busy_since_ = {};
  }
  has_thread_ = false;
  stay.end();
  last = std::move(self_);
  from_thread_.notify_all();
}

void Delivery::start_over(std::uint64_t sequence) noexcept {
  const std::lock_guard lock(mutex_);
  mail_ = nullptr;
  has_records_ = false;
  tasks_.clear();
  rounds_done_ = rounds_wanted_;
  latest_sequence_ = sequence;
  skipped_ = 0;
  if (runs_.is_held()) return;  // by the thread that forked: it goes on from there
  std::construct_at(&thread_);  // there is nobody to join
  has_thread_ = false;
  busy_since_ = {};
  self_ = nullptr;
}

void Delivery::start_thread_again() {
  const std::lock_guard lock(mutex_);
  if (may_have_thread_ && !has_thread_ && !(subscribers_->empty() && observers_->empty() && record_subscribers_->empty())) start_thread();
}

bool Delivery::stop(Clock::time_point deadline) noexcept {
  std::unique_lock lock(mutex_);
  may_have_thread_ = false;
  is_stopping_ = true;
  to_thread_.notify_all();
  if (runs_on_this_thread() || runs_.is_held_here()) return false;  // from inside a user's function: the thread ends once that returns
  const bool has_ended = from_thread_.wait_until(lock, deadline, [this] { return !has_thread_; });
  std::thread thread = std::move(thread_);  // the first to stop it has it
  const bool is_done =
      has_ended && mail_ == nullptr && !has_records_ && tasks_.empty();  // what came in during its last round is left for the next flush
  lock.unlock();
  if (!thread.joinable()) return is_done;
  if (has_ended) {
    thread.join();
  } else {
    thread.detach();  // a user's function holds it; it keeps this alive until that returns
  }
  return is_done;
}

}  // namespace pepper::detail
