#include "mutex.hpp"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <ctime>

namespace pepper::detail {

namespace {

/// How many threads are in a section, and in the top bit whether one forks.
constinit std::atomic<std::uint32_t> sections{0};
constexpr std::uint32_t kForking = 0x8000'0000u;

/// How deep this thread's sections nest. Only the outermost waits for a fork: the fork waits for it.
constinit thread_local std::uint32_t depth = 0;

static_assert(sizeof(std::atomic<std::uint32_t>) == sizeof(std::uint32_t), "the kernel reads the bare word");

/// Sleeps while the word is as it was seen, until woken or the deadline on steady_clock. False: the deadline has passed.
bool sleep_on(const std::atomic<std::uint32_t>& word, std::uint32_t seen, const std::chrono::steady_clock::time_point* deadline) noexcept {
  timespec at{};
  if (deadline != nullptr) {
    const auto ns = std::chrono::duration_cast<std::chrono::nanoseconds>(deadline->time_since_epoch()).count();
    at = {static_cast<time_t>(ns / 1'000'000'000), static_cast<long>(ns % 1'000'000'000)};
  }
  const int kept = errno;  // a record under OverflowPolicy::block may wait here, and nobody expects it to change errno
  const long slept =
      syscall(SYS_futex, &word, FUTEX_WAIT_BITSET_PRIVATE, seen, deadline == nullptr ? nullptr : &at, nullptr, FUTEX_BITSET_MATCH_ANY);
  const bool is_late = slept != 0 && errno == ETIMEDOUT;
  errno = kept;
  return !is_late;
}

void wake_all(const std::atomic<std::uint32_t>& word) noexcept { syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, INT_MAX); }

}  // namespace

void Section::enter() noexcept {
  if (depth++ != 0) return;
  std::uint32_t seen = sections.load(std::memory_order_relaxed);  // [relaxed: the exchange decides]
  // [sections:acquire] pairs with [sections:release] in Section::open_all(); [relaxed: a failed try enters nothing]
  while ((seen & kForking) != 0 || !sections.compare_exchange_weak(seen, seen + 1, std::memory_order_acquire, std::memory_order_relaxed)) {
    if ((seen & kForking) == 0) continue;
    (void)sleep_on(sections, seen, nullptr);
    seen = sections.load(std::memory_order_relaxed);  // [relaxed: the exchange decides]
  }
}

void Section::leave() noexcept {
  if (--depth != 0) return;
  // [section:release] pairs with [section:acquire] in Section::close_all()
  if (sections.fetch_sub(1, std::memory_order_release) == (kForking | 1)) wake_all(sections);
}

void Section::close_all() noexcept {
  std::uint32_t seen = sections.load(std::memory_order_relaxed);  // [relaxed: the exchange decides]
  // Two threads that fork at once do it one after the other.
  // [sections:acquire] pairs with [sections:release] in Section::open_all(); [relaxed: a failed try closes nothing]
  while ((seen & kForking) != 0 ||
         !sections.compare_exchange_weak(seen, seen | kForking, std::memory_order_acquire, std::memory_order_relaxed)) {
    if ((seen & kForking) == 0) continue;
    (void)sleep_on(sections, seen, nullptr);
    seen = sections.load(std::memory_order_relaxed);  // [relaxed: the exchange decides]
  }
  // [section:acquire] pairs with [section:release] in Section::leave()
  while ((seen = sections.load(std::memory_order_acquire)) != kForking) (void)sleep_on(sections, seen, nullptr);
  ++depth;  // other people's fork handlers may call us on this thread: their sections are inside the fork's own
}

void Section::open_all() noexcept {
  --depth;
  sections.store(0, std::memory_order_release);  // [sections:release] pairs with [sections:acquire] in enter() and close_all()
  wake_all(sections);
}

void Condition::notify_all() noexcept {
  notifications_.fetch_add(1, std::memory_order_relaxed);     // [relaxed: what it tells is under the mutex, or the wait is bounded]
  if (waiters_.load(std::memory_order_relaxed) == 0) return;  // [relaxed: who waits has said so under the mutex, or the wait is bounded]
  wake_all(notifications_);
}

void Condition::sleep(std::uint32_t seen, Clock::time_point deadline) noexcept {
  waiters_.fetch_add(1, std::memory_order_relaxed);  // [relaxed: at worst the sleep lasts to its deadline]
  (void)sleep_on(notifications_, seen, &deadline);
  waiters_.fetch_sub(1, std::memory_order_relaxed);  // [relaxed: at worst somebody is woken who does not sleep]
}

bool Condition::wait_once(std::unique_lock<Mutex>& lock, const Clock::time_point* deadline) noexcept {
  const std::uint32_t seen = notifications_.load(std::memory_order_relaxed);  // [relaxed: changed under the mutex]
  waiters_.fetch_add(1, std::memory_order_relaxed);                           // [relaxed: under the mutex]
  lock.unlock();
  const bool is_in_time = sleep_on(notifications_, seen, deadline);
  lock.lock();
  waiters_.fetch_sub(1, std::memory_order_relaxed);  // [relaxed: under the mutex]
  return is_in_time;
}

}  // namespace pepper::detail
