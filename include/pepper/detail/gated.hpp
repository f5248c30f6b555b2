#pragma once

#include <pepper/detail/deferred.hpp>
#include <pepper/detail/handle_calls.hpp>

#include <chrono>
#include <initializer_list>
#include <span>

namespace pepper::detail {

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

}  // namespace pepper::detail
