#pragma once

#include <memory>

#pragma GCC visibility push(default)
namespace pepper {

namespace detail {
class Callback;
}

/// Keeps a callback registered for as long as it lives. When it is destroyed the callback is not running and never runs again; that waits
/// for a run in progress, except inside the callback itself. May outlive its collector. Move-only, thread-compatible.
class [[nodiscard]] Subscription {
 public:
  Subscription() noexcept = default;
  /// Private to the library: subscriptions come from MetricsCollector.
  explicit Subscription(std::shared_ptr<detail::Callback> callback) noexcept;
  Subscription(Subscription&& other) noexcept = default;
  Subscription& operator=(Subscription&& other) noexcept;
  ~Subscription();

  /// Ends it now.
  void reset() noexcept;
  [[nodiscard]] explicit operator bool() const noexcept { return callback_ != nullptr; }

 private:
  std::shared_ptr<detail::Callback> callback_;
};

}  // namespace pepper
#pragma GCC visibility pop
