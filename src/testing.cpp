#include <pepper/testing.hpp>

#include "clock.hpp"

#include <condition_variable>
#include <mutex>
#include <stdexcept>

namespace pepper::testing {

TelemetryConfig manual_config() {
  TelemetryConfig config;
  config.flush_mode = FlushMode::manual;
  config.buffer_size = 4'080;  // 16 chunks
  return config;
}

ManualClock::ManualClock() {
  if (!detail::begin_manual_time()) throw std::logic_error("ManualClock: there is one already");
}

ManualClock::~ManualClock() { detail::end_manual_time(); }

void ManualClock::advance(std::chrono::nanoseconds by) {
  if (detail::advance_manual_time(by)) return;
  throw std::invalid_argument("ManualClock::advance: by = " + std::to_string(by.count()) +
                              " ns: has to be 0 or more, and ten years at most in all");
}

// Not static: there is nothing to ask where there is no clock.
// NOLINTBEGIN(readability-convert-member-functions-to-static)
std::chrono::steady_clock::time_point ManualClock::now() const noexcept { return detail::now_steady(); }
std::chrono::system_clock::time_point ManualClock::system_now() const noexcept { return detail::now_system(); }
// NOLINTEND(readability-convert-member-functions-to-static)

/// A standard mutex, and none of the library's: fork() would wait for whoever waits here.
struct Gate::Inside {
  static constexpr std::chrono::seconds kPatience{10};

  std::mutex mutex;
  std::condition_variable changed;
  State state;
  std::uint64_t arrived = 0, left = 0;
};

Gate::Gate(State state) : inside_(std::make_unique<Inside>()) { inside_->state = state; }

Gate::~Gate() {
  set(State::open);
  std::unique_lock lock(inside_->mutex);
  inside_->changed.wait(lock, [this] { return inside_->left == inside_->arrived; });
}

void Gate::pass() {
  Inside& inside = *inside_;
  std::unique_lock lock(inside.mutex);
  ++inside.arrived;
  inside.changed.notify_all();
  inside.changed.wait_for(lock, Inside::kPatience, [&] { return inside.state != State::closed; });
  const State found = inside.state;
  ++inside.left;
  inside.changed.notify_all();
  if (found == State::failing) throw std::runtime_error("pepper::testing::Gate is failing, as the test wants");
  if (found == State::closed) throw std::runtime_error("pepper::testing::Gate: nobody opened it for ten seconds");
}

void Gate::set(State state) {
  const std::lock_guard lock(inside_->mutex);
  inside_->state = state;
  inside_->changed.notify_all();
}

bool Gate::wait_for_arrivals(std::uint64_t count) {
  std::unique_lock lock(inside_->mutex);
  return inside_->changed.wait_for(lock, Inside::kPatience, [&] { return inside_->arrived >= count; });
}

}  // namespace pepper::testing
