#pragma once

#include "mutex.hpp"

#include <atomic>

namespace pepper::detail {

/// How threads that wait for a free chunk have the flusher look soon. With no mutex, as such a thread may stop for good anywhere; what is
/// missed is raised again, as they wait a few milliseconds at a time. Lives in the place: they may outlive the flusher.
struct Pressure {
  Condition raised;
  std::atomic<bool> is_raised{false};

  void raise() noexcept {
    is_raised.store(true, std::memory_order_relaxed);  // [relaxed: says only: look]
    raised.notify_all();
  }
  /// True once for what was raised.
  [[nodiscard]] bool take() noexcept { return is_raised.exchange(false, std::memory_order_relaxed); }  // [relaxed: says only: look]
};

}  // namespace pepper::detail
