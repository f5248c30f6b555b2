#include "callback.hpp"

#include <pepper/subscription.hpp>

#include <mutex>
#include <utility>

namespace pepper::detail {

bool Callback::try_run(const Occasion& occasion) {
  Busy::Hold run(runs_);
  {
    const std::lock_guard lock(mutex_);
    if (has_ended_ || runs_.is_held()) return false;
    run.begin();
  }
  struct Done {
    Callback& callback;
    Busy::Hold& run;
    ~Done() {
      Function ended;  // what the function owns may run anything as it dies: not under the lock
      const std::lock_guard lock(callback.mutex_);
      run.end();
      if (callback.has_ended_) ended = std::exchange(callback.function_, nullptr);
      callback.stopped_running_.notify_all();
    }
  } const done{*this, run};
  function_(occasion);
  return true;
}

void Callback::end() noexcept {
  Function ended;
  std::unique_lock lock(mutex_);
  has_ended_ = true;
  if (runs_.is_held_here()) return;  // inside it: it is let go as the run ends
  stopped_running_.wait(lock, [this] { return !runs_.is_held(); });
  ended = std::exchange(function_, nullptr);
  lock.unlock();
}

bool Callback::has_ended() const noexcept {
  const std::lock_guard lock(mutex_);
  return has_ended_;
}

}  // namespace pepper::detail

namespace pepper {

Subscription::Subscription(std::shared_ptr<detail::Callback> callback) noexcept : callback_(std::move(callback)) {}

Subscription& Subscription::operator=(Subscription&& other) noexcept {
  if (this != &other) {
    reset();
    callback_ = std::move(other.callback_);
  }
  return *this;
}

Subscription::~Subscription() { reset(); }

void Subscription::reset() noexcept {
  if (const std::shared_ptr<detail::Callback> callback = std::exchange(callback_, nullptr)) callback->end();
}

}  // namespace pepper
