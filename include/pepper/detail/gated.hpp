#pragma once

#include <pepper/detail/clock.hpp>
#include <pepper/handles.hpp>
#include <pepper/scoped_timer.hpp>

#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <type_traits>
#include <utility>

namespace pepper {

namespace detail {

template <class Handle>
concept Adds = requires(const Handle& handle) {
  handle.add(1.0);
};
template <class Handle>
concept Sets = requires(const Handle& handle) {
  handle.set(1.0);
};
template <class Handle>
concept Records = requires(const Handle& handle) {
  handle.record(1.0);
};
template <class Handle>
concept Times = requires(const Handle& handle, std::chrono::steady_clock::duration duration) {
  handle.record(duration);
};

/// Times the scope it lives in into any handle that takes durations: what ScopedTimer is to a Timer. Owner thread only.
template <class Handle>
class [[nodiscard]] ScopeOf {
 public:
  ScopeOf() noexcept : is_running_(false) {}
  explicit ScopeOf(Handle handle) noexcept : handle_(handle), start_(now_ticks()) {}
  ScopeOf(ScopeOf&& other) noexcept : handle_(other.handle_), is_running_(std::exchange(other.is_running_, false)), start_(other.start_) {}
  ScopeOf& operator=(ScopeOf&&) = delete;
  ~ScopeOf() { stop(); }

  std::chrono::nanoseconds stop() noexcept {
    if (!std::exchange(is_running_, false)) return {};
    const std::chrono::nanoseconds elapsed = to_nanoseconds(static_cast<std::int64_t>(now_ticks() - start_));
    handle_.record(elapsed);
    return elapsed;
  }
  void cancel() noexcept { is_running_ = false; }

 private:
  Handle handle_;
  bool is_running_ = true;
  std::uint64_t start_ = 0;
};

/// A handle whose calls a gate lets pass or not: the members of the handle it wraps, as free to copy. Each value of a span passes by
/// itself.
template <class Handle, class Gate>
class Gated {
 public:
  constexpr Gated() noexcept = default;
  constexpr Gated(Handle handle, Gate gate) noexcept : handle_(handle), gate_(gate) {}

  void add(double amount = 1) const noexcept requires Adds<Handle> {
    if (gate_.pass()) handle_.add(amount);
  }
  template <Gives<double> F>
  void add(F&& amount) const requires Adds<Handle> {
    if (gate_.pass()) handle_.add(amount);
  }
  void set(double value) const noexcept requires Sets<Handle> {
    if (gate_.pass()) handle_.set(value);
  }
  template <Gives<double> F>
  void set(F&& value) const requires Sets<Handle> {
    if (gate_.pass()) handle_.set(value);
  }
  void record(double value) const noexcept requires Records<Handle> {
    if (gate_.pass()) handle_.record(value);
  }
  template <Gives<double> F>
  void record(F&& value) const requires Records<Handle> {
    if (gate_.pass()) handle_.record(value);
  }
  template <class R, class P>
  void record(std::chrono::duration<R, P> duration) const noexcept requires Times<Handle> {
    if (gate_.pass()) handle_.record(duration);
  }
  template <Gives<std::chrono::duration<double>> F>
  void record(F&& duration) const requires Times<Handle> {
    if (gate_.pass()) handle_.record(duration);
  }
  void record(std::chrono::steady_clock::time_point intended_start) const noexcept requires Times<Handle> {
    if (gate_.pass()) handle_.record(intended_start);
  }
  void record(std::span<const double> values) const noexcept {
    for (const double& value : values) {
      if (gate_.pass()) handle_.record(std::span(&value, 1));
    }
  }
  void record(std::initializer_list<double> values) const noexcept { record(std::span{values.begin(), values.size()}); }

  /// Times the scope it is kept in if the gate lets it pass, which is asked now: else it reads no clock.
  [[nodiscard]] auto scope() const noexcept requires Times<Handle> { return gate_.pass() ? handle_.scope() : decltype(handle_.scope()){}; }

 private:
  Handle handle_;
  Gate gate_;
};

}  // namespace detail
}  // namespace pepper
