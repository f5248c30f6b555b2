#pragma once

#include "mutex.hpp"

#include <atomic>
#include <functional>
#include <initializer_list>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <utility>

namespace pepper::detail {

/// As it may stand in a message: no more than 2 KiB, control bytes as \xNN.
[[nodiscard]] std::string quoted(std::string_view text);

/// Where trouble on cold paths goes: on_error, else one line on stderr for each cause. Thread-safe; never called under a lock.
class Errors {
 public:
  using OnError = std::function<void(std::string_view)>;
  /// `on_error` is there, but may be an empty function.
  Errors(std::string name, std::shared_ptr<const OnError> on_error) : name_(std::move(name)), on_error_(std::move(on_error)) {}

  /// Returns the one before, which may be running.
  std::shared_ptr<const OnError> replace(std::shared_ptr<const OnError> on_error) noexcept {
    const std::lock_guard lock(mutex_);
    return std::exchange(on_error_, std::move(on_error));
  }

  /// Says the parts in one line. `cause`, one of a few, tells what was said on stderr already. What on_error throws is counted and goes no
  /// further. No memory for the line: nothing is said.
  void report(std::string_view cause, std::initializer_list<std::string_view> parts) noexcept;
  /// Counts an exception that left a user's callback, and reports it.
  void report_callback(std::string_view which, const char* what) noexcept;

  [[nodiscard]] std::uint64_t callback_errors() const noexcept {
    return callback_errors_.load(std::memory_order_relaxed);  // [relaxed: a number, guards no data]
  }

  void start_over() noexcept { callback_errors_.store(0, std::memory_order_relaxed); }  // [relaxed: a number, guards no data]

 private:
  void count() noexcept { callback_errors_.fetch_add(1, std::memory_order_relaxed); }  // [relaxed: a number, guards no data]

  const std::string name_;
  Mutex mutex_;
  std::shared_ptr<const OnError> on_error_;
  std::set<std::string, std::less<>> said_;
  std::atomic<std::uint64_t> callback_errors_{0};
};

}  // namespace pepper::detail
