#pragma once

#include <pepper/detail/clock.hpp>
#include <pepper/detail/deferred.hpp>
#include <pepper/detail/handle_calls.hpp>

#include <chrono>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <utility>

namespace pepper::detail {

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

/// The members of `Handle` for a `Self` that wants every value here and now: what a function gives is asked for at once, a duration is
/// seconds. `Self` has `take(value)` and `take(values)`.
template <class Self, class Handle>
class EagerHandle {
 public:
  void add(double amount = 1) const noexcept requires Adds<Handle> { self().take(amount); }
  template <Gives<double> F>
  void add(F&& amount) const requires Adds<Handle> {
    self().take(double(amount()));
  }
  void set(double value) const noexcept requires Sets<Handle> { self().take(value); }
  template <Gives<double> F>
  void set(F&& value) const requires Sets<Handle> {
    self().take(double(value()));
  }
  void record(double value) const noexcept requires Records<Handle> { self().take(value); }
  template <Gives<double> F>
  void record(F&& value) const requires Records<Handle> {
    self().take(double(value()));
  }
  template <class R, class P>
  void record(std::chrono::duration<R, P> duration) const noexcept requires Times<Handle> {
    self().take(std::chrono::duration<double>(duration).count());
  }
  template <Gives<std::chrono::duration<double>> F>
  void record(F&& duration) const requires Times<Handle> {
    record(std::chrono::duration<double>(duration()));
  }
  void record(std::chrono::steady_clock::time_point intended_start) const noexcept requires Times<Handle> { record(since(intended_start)); }
  void record(std::span<const double> values) const noexcept { self().take(values); }
  void record(std::initializer_list<double> values) const noexcept { record(std::span{values.begin(), values.size()}); }

  /// Times the scope that it is kept in.
  [[nodiscard]] ScopeOf<Self> scope() const noexcept requires Times<Handle> { return ScopeOf<Self>(self()); }

 private:
  [[nodiscard]] const Self& self() const noexcept { return static_cast<const Self&>(*this); }
};

}  // namespace pepper::detail
