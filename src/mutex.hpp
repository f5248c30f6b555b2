#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <mutex>

namespace pepper::detail {

/// A stretch of code in the middle of which no thread is while the process forks, so that the child finds whole what it changes. Nests.
/// fork() waits for all of them: so never around a user's function, and never around a wait for anything but another section.
class Section {
 public:
  Section() noexcept { enter(); }
  ~Section() { leave(); }
  Section(const Section&) = delete;
  Section& operator=(const Section&) = delete;

  /// Waits while another thread forks.
  static void enter() noexcept;
  static void leave() noexcept;

  /// Around a fork, by the thread that forks: waits until no other thread is in a section, and lets none begin one. It may itself.
  static void close_all() noexcept;
  static void open_all() noexcept;
};

/// The library's only mutex: who holds it is in a section, so a child finds every one of them unlocked. Constant-initialised, trivially
/// destroyed.
class Mutex {
 public:
  void lock() {
    Section::enter();
    mutex_.lock();
  }
  void unlock() noexcept {
    mutex_.unlock();
    Section::leave();
  }

 private:
  std::mutex mutex_;
};

/// A condition variable for Mutex that remembers nothing of those who wait, so that a child can use it in which they do not exist:
/// std::condition_variable would wait for them in its destructor. Notify under the mutex, or bound the wait.
class Condition {
 public:
  using Clock = std::chrono::steady_clock;

  template <class Predicate>
  void wait(std::unique_lock<Mutex>& lock, Predicate&& is_over) noexcept {
    while (!is_over()) wait_once(lock, nullptr);
  }
  /// What the predicate says at last.
  template <class Predicate>
  bool wait_until(std::unique_lock<Mutex>& lock, Clock::time_point deadline, Predicate&& is_over) noexcept {
    while (!is_over()) {
      if (!wait_once(lock, &deadline)) return is_over();
    }
    return true;
  }
  /// Until the deadline, a notification, or for no reason at all.
  void wait_until(std::unique_lock<Mutex>& lock, Clock::time_point deadline) noexcept { (void)wait_once(lock, &deadline); }
  void notify_all() noexcept;

  // Without the mutex, for threads that may stop for good anywhere: a notification may be missed, so the sleep is bounded.

  /// To be read before a look at what is waited for.
  [[nodiscard]] std::uint32_t seen() const noexcept {
    return notifications_.load(std::memory_order_relaxed);  // [relaxed: at worst the sleep lasts to its deadline]
  }
  /// Until the deadline, a notification since then, or for no reason at all.
  void sleep(std::uint32_t seen, Clock::time_point deadline) noexcept;

 private:
  /// False: the deadline has passed. Null: there is none.
  bool wait_once(std::unique_lock<Mutex>& lock, const Clock::time_point* deadline) noexcept;

  std::atomic<std::uint32_t> notifications_{0};
  std::atomic<std::uint32_t> waiters_{0};  ///< or more, in a child: it only saves system calls
};

}  // namespace pepper::detail
