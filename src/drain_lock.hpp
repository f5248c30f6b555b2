#pragma once

#include "mutex.hpp"
#include "place.hpp"

#include <mutex>
#include <utility>

namespace pepper::detail {

/// The drain mutex. Whoever holds it must not wait for a free chunk, which an instrumented allocator could ask for: nobody else would free
/// one.
class DrainLock {
 public:
  explicit DrainLock(Mutex& mutex) : lock_(mutex), was_service_thread_(std::exchange(is_service_thread, true)) {}
  ~DrainLock() { is_service_thread = was_service_thread_; }
  DrainLock(const DrainLock&) = delete;
  DrainLock& operator=(const DrainLock&) = delete;

 private:
  const std::lock_guard<Mutex> lock_;
  const bool was_service_thread_;
};

}  // namespace pepper::detail
