#include "flusher.hpp"

#include "collector_impl.hpp"
#include "place.hpp"

#include <pthread.h>

#include <algorithm>
#include <memory>
#include <mutex>
#include <utility>

namespace pepper::detail {

namespace {

/// Which flusher runs on this thread: it cannot wait for itself.
constinit thread_local const Flusher* this_flusher = nullptr;

}  // namespace

std::chrono::nanoseconds Pace::next(std::size_t seen, std::size_t pool, bool has_spilled) noexcept {
  if (has_spilled || seen >= pool) {
    sleep_ = kSaturated;
  } else if (seen * 4 < pool) {
    sleep_ *= 2;
  } else {
    sleep_ = sleep_ * static_cast<long>(pool) / static_cast<long>(2 * seen);
  }
  return sleep_ = std::clamp(sleep_, kShortest, kLongest);
}

void Flusher::start(std::shared_ptr<Collector> collector) {
  if (has_begun_.load(std::memory_order_relaxed)) return;  // [relaxed: a hint; each new series asks, and most need no mutex]
  Collector& served = *collector;
  {
    const std::lock_guard lock(mutex_);
    if (is_running_ || is_stopped_) return;
    collector_ = std::move(collector);
    is_running_ = true;
    has_begun_.store(true, std::memory_order_relaxed);  // [relaxed: a hint]
  }
  // Not under the mutex: whoever stops for good in here holds up no stop().
  std::thread thread;
  try {
    thread = std::thread([this, &served] { run(served); });
  } catch (...) {
    const std::lock_guard lock(mutex_);
    collector_ = nullptr;  // its caller has it, too
    is_running_ = false;
    has_begun_.store(false, std::memory_order_relaxed);  // [relaxed: a hint]
    from_thread_.notify_all();
    throw;
  }
  const std::lock_guard lock(mutex_);
  if (is_stopped_) {
    thread.detach();  // stop() had no thread to join
  } else {
    thread_ = std::move(thread);
  }
}

bool Flusher::start_over() noexcept {
  const std::lock_guard lock(mutex_);
  if (!is_running_ || runs_.is_held()) return false;
  std::construct_at(&thread_);  // there is nobody to join
  collector_ = nullptr;
  is_running_ = false;
  has_begun_.store(false, std::memory_order_relaxed);  // [relaxed: no thread uses the collector before all is settled]
  return true;
}

bool Flusher::stop(Clock::time_point deadline) noexcept {
  std::unique_lock lock(mutex_);
  is_stopped_ = true;
  pressure_.raised.notify_all();
  if (this_flusher == this) return false;
  const bool has_ended = from_thread_.wait_until(lock, deadline, [this] { return !is_running_; });
  std::thread thread = std::move(thread_);  // the first to stop it has it
  lock.unlock();
  if (!thread.joinable()) return has_ended;
  if (has_ended) {
    thread.join();
  } else {
    thread.detach();  // a user's function holds it; it keeps the collector alive until that returns
  }
  return has_ended;
}

void Flusher::run(Collector& collector) noexcept {
  is_service_thread = true;
  this_flusher = this;
  std::shared_ptr<Collector> last;  // outlives the lock
  std::unique_lock lock(mutex_);
  Busy::Hold stay(runs_);
  stay.begin();
  lock.unlock();
  pthread_setname_np(pthread_self(), "pepper");
  collector.flusher_started();
  Pace pace;
  std::chrono::nanoseconds interval = collector.flush_interval();
  Clock::time_point next_publish = Clock::now() + interval;
  Clock::time_point next_look = Clock::now() + Pace::kShortest;
  bool is_waiting = false;  // for observers
  lock.lock();
  while (!is_stopped_) {
    const std::chrono::nanoseconds wanted = collector.flush_interval();
    next_publish += wanted - std::exchange(interval, wanted);  // counted from when it was published last
    pressure_.raised.wait_until(lock, is_waiting ? next_look : std::min(next_look, next_publish),
                                [this] { return is_stopped_ || pressure_.take(); });
    if (is_stopped_) break;
    lock.unlock();
    const bool is_due = Clock::now() >= next_publish;
    const Collector::Load load = collector.work(is_due);
    const Clock::time_point now = Clock::now();
    // Late by more than an interval: go on from now, instead of catching up.
    if (load.has_published) next_publish = std::max(next_publish + interval, now);
    next_look = now + pace.next(load.chunks_seen, load.pool_chunks, load.has_spilled);
    is_waiting = is_due && !load.has_published;
    if (is_waiting) next_look = std::min(next_look, now + Pace::kShortest);
    lock.lock();
  }
  is_running_ = false;
  stay.end();
  last = std::move(collector_);
  from_thread_.notify_all();
}

}  // namespace pepper::detail
