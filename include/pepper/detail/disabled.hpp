#pragma once

#include <pepper/detail/deferred.hpp>

#include <chrono>
#include <cstdint>
#include <initializer_list>
#include <span>

#pragma GCC visibility push(default)
namespace pepper {

/// The handles where PEPPER_DISABLED is defined: empty, and no call of theirs leaves an instruction. Of another name than the ones that
/// record, and so is every function that returns them: a program may have both, in different files.
inline namespace disabled __attribute__((abi_tag("disabled"))) {}

inline namespace disabled {

class Counter {
 public:
  void add(double = 1) const noexcept {}
  template <detail::Gives<double> F>
  void add(F&&) const noexcept {}
  void record(std::span<const double>) const noexcept {}
  void record(std::initializer_list<double>) const noexcept {}
};

class Gauge {
 public:
  void set(double) const noexcept {}
  template <detail::Gives<double> F>
  void set(F&&) const noexcept {}
  void record(std::span<const double>) const noexcept {}
  void record(std::initializer_list<double>) const noexcept {}
};

class Summary {
 public:
  void record(double) const noexcept {}
  template <detail::Gives<double> F>
  void record(F&&) const noexcept {}
  void record(std::span<const double>) const noexcept {}
  void record(std::initializer_list<double>) const noexcept {}
};

class Histogram {
 public:
  void record(double) const noexcept {}
  template <detail::Gives<double> F>
  void record(F&&) const noexcept {}
  void record(std::span<const double>) const noexcept {}
  void record(std::initializer_list<double>) const noexcept {}
};

class ScopedTimer;

class Timer {
 public:
  [[nodiscard]] ScopedTimer scope() const noexcept;
  template <class R, class P>
  void record(std::chrono::duration<R, P>) const noexcept {}
  template <detail::Gives<std::chrono::duration<double>> F>
  void record(F&&) const noexcept {}
  void record(std::chrono::steady_clock::time_point) const noexcept {}
  void record(std::span<const double>) const noexcept {}
  void record(std::initializer_list<double>) const noexcept {}
};

class SignalCounter {
 public:
  void add(std::uint64_t = 1) const noexcept {}
};

class [[nodiscard]] ScopedTimer {
 public:
  ScopedTimer() noexcept {}  // NOLINT(modernize-use-equals-default): as its destructor
  explicit ScopedTimer(Timer) noexcept {}
  ScopedTimer(Timer, std::chrono::steady_clock::time_point) noexcept {}
  ScopedTimer(Timer, Timer) noexcept {}
  ScopedTimer(Timer, Timer, std::chrono::steady_clock::time_point) noexcept {}
  ScopedTimer(ScopedTimer&&) noexcept {}
  ScopedTimer& operator=(ScopedTimer&&) noexcept { return *this; }
  ~ScopedTimer() {}  // NOLINT(modernize-use-equals-default): with a trivial one it would be an unused variable

  std::chrono::nanoseconds stop() noexcept { return {}; }
  void cancel() noexcept {}
};

inline ScopedTimer Timer::scope() const noexcept { return {}; }

}  // namespace disabled
}  // namespace pepper
#pragma GCC visibility pop
