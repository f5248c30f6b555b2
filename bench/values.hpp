#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace pepper::bench {

/// How many values a loop goes round: 8 KiB, so that reading them never leaves the first cache. A power of two.
inline constexpr std::size_t kValues = 1'024;

/// What is recorded: in no order, so that a new minimum or maximum is as rare and as hard to foresee as in life.
inline constexpr auto kSomeValues = [] {
  std::array<double, kValues> values{};
  std::uint64_t state = 1;
  for (double& value : values) {
    state = state * 6'364'136'223'846'793'005u + 1'442'695'040'888'963'407u;
    value = static_cast<double>(state >> 40);
  }
  return values;
}();

/// After each record of each loop, peers' and ours: all that was stored must be in memory now, as it would be before an opaque call.
/// Without it a compiler sums a thread_local in a register and stores once a burst.
[[gnu::always_inline]] inline void barrier() { asm volatile("" : : : "memory"); }

/// Makes the loop with nothing in it load its value.
[[gnu::always_inline]] inline void use(double value) {
#if defined(__x86_64__)
  asm volatile("" : : "x"(value));
#else
  asm volatile("" : : "w"(value));
#endif
}

}  // namespace pepper::bench
