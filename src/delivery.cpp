#include "delivery.hpp"

#include "place.hpp"

#include <pthread.h>

#include <exception>
#include <system_error>
#include <utility>

namespace pepper::detail {

namespace {

/// Which delivery's callbacks this thread is inside of.
constinit thread_local const Delivery* runs_callbacks_of = nullptr;

}  // namespace

Delivery::Callbacks Delivery::living(Callbacks& callbacks) {
  std::erase_if(callbacks, [](const auto& callback) { return callback->has_ended(); });
  return callbacks;
}

std::shared_ptr<Callback> Delivery::add(Callbacks& to, Callback::Function function) {
  auto callback = std::make_shared<Callback>(std::move(function));
  const std::lock_guard lock(mutex_);
  to.push_back(callback);
  if (may_have_thread_ && !has_thread_) start_thread();
  return callback;
}

std::shared_ptr<Callback> Delivery::add_subscriber(Callback::Function function) { return add(subscribers_, std::move(function)); }
std::shared_ptr<Callback> Delivery::add_observer(Callback::Function function) { return add(observers_, std::move(function)); }

void Delivery::start_thread() {
  try {
    thread_ = std::thread([self = shared_from_this()] { self->run(); });
    has_thread_ = true;
  } catch (const std::system_error&) {  // no thread to be had: inline, and the next add() tries again
  }
}

void Delivery::run_all(const Callbacks& callbacks, const Snapshot* snapshot, std::string_view what) noexcept {
  const Delivery* const outer = std::exchange(runs_callbacks_of, this);
  for (const std::shared_ptr<Callback>& callback : callbacks) {
    try {
      callback->try_run(snapshot);
    } catch (const std::exception& error) {
      errors_->report_callback(what, error.what());
    } catch (...) {
      errors_->report_callback(what, "something that is no std::exception");
    }
  }
  runs_callbacks_of = outer;
}

void Delivery::observe(Clock::time_point deadline) {
  std::unique_lock lock(mutex_);
  if (runs_callbacks_of == this || observers_.empty()) return;
  if (!has_thread_) {
    const Callbacks observers = living(observers_);
    lock.unlock();
    return run_all(observers, nullptr, "observer");
  }
  const std::uint64_t round = ++rounds_wanted_;
  to_thread_.notify_one();
  from_thread_.wait_until(lock, deadline, [&] { return rounds_done_ >= round || !has_thread_; });
}

void Delivery::deliver(std::shared_ptr<const Snapshot> snapshot) {
  std::unique_lock lock(mutex_);
  // Flushes may overtake each other on the way here: a later snapshot was given out already.
  if (subscribers_.empty() || snapshot->sequence() <= latest_sequence_) return;
  if (!has_thread_ && runs_callbacks_of == this) return;
  latest_sequence_ = snapshot->sequence();
  mail_ = std::move(snapshot);
  if (has_thread_) {
    to_thread_.notify_one();
  } else if (!is_delivering_) {
    is_delivering_ = true;
    while (mail_ != nullptr) give_out(lock);
    is_delivering_ = false;
  }
}

void Delivery::give_out(std::unique_lock<std::mutex>& lock) noexcept {
  const std::shared_ptr<const Snapshot> snapshot = std::exchange(mail_, nullptr);
  const Callbacks subscribers = living(subscribers_);
  lock.unlock();
  run_all(subscribers, snapshot.get(), "on_snapshot callback");
  lock.lock();
}

void Delivery::run() noexcept {
  is_service_thread = true;
  pthread_setname_np(pthread_self(), "pepper-deliver");
  std::unique_lock lock(mutex_);
  for (;;) {
    to_thread_.wait(lock, [this] { return mail_ != nullptr || rounds_done_ < rounds_wanted_ || is_stopping_; });
    if (rounds_done_ < rounds_wanted_) {
      const std::uint64_t round = rounds_wanted_;
      const Callbacks observers = living(observers_);
      lock.unlock();
      run_all(observers, nullptr, "observer");
      lock.lock();
      rounds_done_ = round;
      from_thread_.notify_all();
    } else if (mail_ != nullptr) {
      give_out(lock);
    } else {
      break;
    }
  }
  has_thread_ = false;
  from_thread_.notify_all();
}

bool Delivery::stop(Clock::time_point deadline) noexcept {
  std::unique_lock lock(mutex_);
  may_have_thread_ = false;
  is_stopping_ = true;
  to_thread_.notify_one();
  if (runs_callbacks_of == this) return false;  // from inside a callback: the thread ends once that returns
  const bool has_ended = from_thread_.wait_until(lock, deadline, [this] { return !has_thread_; });
  std::thread thread = std::move(thread_);  // the first to stop it has it
  lock.unlock();
  if (!thread.joinable()) return has_ended;
  if (has_ended) {
    thread.join();
  } else {
    thread.detach();  // a user's function holds it; it keeps this alive until that returns
  }
  return has_ended;
}

}  // namespace pepper::detail
