#pragma once

#include "sanitizers.hpp"

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <functional>
#include <limits>
#include <ucontext.h>

/// Stops a function of this thread between two of its instructions and does something else meanwhile, as a preempted thread is stopped: a
/// lock-free protocol has few enough instructions to try every one. By the processor's trap flag, so x86-64 alone; TSan's own instructions
/// must not be stopped in. Elsewhere `meanwhile` is called before the function, or not at all.
namespace single_step {

#if defined(__x86_64__)
inline constexpr bool kIsPossible = !sanitizers::kIsTsan;
#else
inline constexpr bool kIsPossible = false;
#endif

struct Stop {
  volatile std::size_t steps_left = 0, steps_done = 0;
  volatile bool has_stopped = false;
  const std::function<void()>* meanwhile = nullptr;
  const std::function<void()>* look = nullptr;  ///< at every instruction instead
};
inline Stop stop;

#if defined(__x86_64__)
constexpr long long kTrapFlag = 0x100;

inline void on_step(int, siginfo_t*, void* context) {
  if (stop.look != nullptr) return (*stop.look)();
  stop.steps_done = stop.steps_done + 1;
  if (stop.steps_left != 0) {
    stop.steps_left = stop.steps_left - 1;
    return;
  }
  static_cast<ucontext_t*>(context)->uc_mcontext.gregs[REG_EFL] &= ~kTrapFlag;
  stop.has_stopped = true;
  (*stop.meanwhile)();
}

[[gnu::always_inline]] inline void start_stepping() {
  asm volatile("lea -128(%%rsp), %%rsp\n\tpushfq\n\torq $0x100, (%%rsp)\n\tpopfq\n\tlea 128(%%rsp), %%rsp" ::: "memory", "cc");
}
[[gnu::always_inline]] inline void stop_stepping() {
  asm volatile("lea -128(%%rsp), %%rsp\n\tpushfq\n\tandq $-257, (%%rsp)\n\tpopfq\n\tlea 128(%%rsp), %%rsp" ::: "memory", "cc");
}
#else
inline void on_step(int, siginfo_t*, void*) {}
inline void start_stepping() {}
inline void stop_stepping() {}
#endif

/// Runs `body`, and `meanwhile` after its first `steps` instructions. False: it has no more than those, and `meanwhile` was not called.
inline bool run(std::size_t steps, const std::function<void()>& body, const std::function<void()>& meanwhile) {
  if (!kIsPossible) {
    if (steps == 0) meanwhile();
    body();
    return steps == 0;
  }
  struct sigaction action {};
  struct sigaction before {};
  action.sa_sigaction = on_step;
  action.sa_flags = SA_SIGINFO;
  sigaction(SIGTRAP, &action, &before);
  stop.steps_left = steps;
  stop.steps_done = 0;
  stop.has_stopped = false;
  stop.meanwhile = &meanwhile;
  start_stepping();
  body();
  stop_stepping();
  sigaction(SIGTRAP, &before, nullptr);
  return stop.has_stopped;
}

/// Runs `body`, and `look` after each of its instructions. Not at all where that is not possible.
inline void look_at_each(const std::function<void()>& body, const std::function<void()>& look) {
  stop.look = &look;
  (void)run(std::numeric_limits<std::size_t>::max(), body, look);
  stop.look = nullptr;
}

/// How many of `rounds` there is time for, of which one takes so long: in ten seconds, a handful at least. (A step costs a microsecond on a
/// processor and seventy in some virtual machines.)
inline std::size_t affordable(std::size_t rounds, std::chrono::steady_clock::duration one) {
  const auto in_time = static_cast<std::size_t>(std::chrono::seconds{10} / std::max(one, std::chrono::steady_clock::duration{1}));
  return std::min(rounds, std::max<std::size_t>(in_time, 5));
}

/// Calls `round(steps)` for every number of steps for which it returns true, and returns how often. Where all would take longer than a
/// second, for every second, third... number; for a handful at least.
inline std::size_t for_each_step(const std::function<bool(std::size_t)>& round) {
  const auto to_the_end = std::numeric_limits<std::size_t>::max();
  for (int i = 0; i < 3; ++i) (void)round(to_the_end);  // binds symbols and opens spans first, which is many thousand steps
  const auto begin = std::chrono::steady_clock::now();
  (void)round(to_the_end);
  const std::chrono::duration<double> whole = std::chrono::steady_clock::now() - begin;
  const auto length = static_cast<double>(stop.steps_done);
  const auto stride = 1 + static_cast<std::size_t>(length * std::min(whole.count() / 2, 1.0 / 16));
  std::size_t rounds = 0;
  for (std::size_t steps = 0; round(steps); steps += stride) ++rounds;
  return rounds;
}

}  // namespace single_step
