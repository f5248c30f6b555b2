#include <pepper/detail/sample_gate.hpp>

#include "mutex.hpp"
#include "threads.hpp"

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <mutex>
#include <random>
#include <stdexcept>
#include <string>

namespace pepper::detail {

namespace {

/// What a gap's owner has to know of its sampler. Never destroyed, as threads record through static destruction.
struct Rate {
  std::atomic<std::uint64_t> number{0};  ///< of the sampler that has it; 0: none
  std::atomic<double> rate{0};
  std::atomic<std::uint64_t> seed{0};
  std::atomic<bool> is_repeatable{false};  ///< the seed was asked for
  std::atomic<std::uint64_t> threads{0};   ///< that have asked
};
constinit Rate rates[kMaxSamplers]{};

constinit Mutex rates_mutex;
constinit std::uint64_t last_number = 0;
constexpr std::uint64_t kNumbers = std::uint64_t{1} << 24;

/// https://prng.di.unimi.it/splitmix64.c (public domain): each state once, in 2^64 steps.
std::uint64_t next_random(std::uint64_t& state) noexcept {
  std::uint64_t z = state += 0x9e3779b97f4a7c15;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

/// How many calls to skip before one is kept: by inversion, floor(log(u) / log(1 - rate)) with u in (0, 1] is geometric.
std::uint64_t draw(double rate, std::uint64_t& random, std::uint64_t most) noexcept {
  if (rate == 0) return most;
  const double u = static_cast<double>((next_random(random) >> 11) + 1) * 0x1p-53;
  return static_cast<std::uint64_t>(std::min(std::floor(std::log(u) / std::log1p(-rate)), static_cast<double>(most)));
}

}  // namespace

[[gnu::noinline, gnu::cold]] bool SampleGate::pass_slow(std::uint64_t at) const noexcept {
  if (index() == 0) return true;
  Rate& of = rates[index()];
  // [rate:acquire] pairs with [rate:release] in Sampler()
  if (of.number.load(std::memory_order_acquire) != one_ >> kGapBits) return false;
  const double rate = of.rate.load(std::memory_order_relaxed);  // [relaxed: published with the number]
  const ThreadUse use;
  ThreadRecord* const thread = use.record();
  if (thread == nullptr) {  // no memory for one more thread: without a gap, a call by itself
    static constinit std::atomic<std::uint64_t> calls{0};
    std::uint64_t random = calls.fetch_add(1, std::memory_order_relaxed);  // [relaxed: a number, guards no data]
    return draw(rate, random, kMostGap) == 0;
  }
  std::uint64_t& random = thread->random[index()];
  Gap& gap = thread->gaps[index()];
  const bool is_known = at == one_ - 1;
  std::uint64_t skipped = 0;
  if (!is_known) {
    random = of.seed.load(std::memory_order_relaxed);                            // [relaxed: published with the number]
    std::uint64_t ordinal = of.threads.fetch_add(1, std::memory_order_relaxed);  // [relaxed: a number, guards no data]
    random ^= next_random(ordinal);
    // [relaxed: published with the number]. Processes that fork has made are not to keep the same calls.
    if (!of.is_repeatable.load(std::memory_order_relaxed)) random += static_cast<std::uint64_t>(getpid()) << 32;
    skipped = draw(rate, random, kMostGap);
  }
  const bool is_kept = skipped == 0 && rate != 0;
  gap.store(one_ - 1 + (is_kept || rate == 0 ? draw(rate, random, kMostGap) : skipped - 1), std::memory_order_relaxed);  // [relaxed: owner]
  return is_kept;
}

double checked_sample_rate(double rate) {
  if (rate == 0 || (rate >= 1e-9 && rate <= 1)) return rate;
  throw std::invalid_argument("SamplingCollector: rate is " + std::to_string(rate) + "; it must be 0, or 1e-9 to 1");
}

Sampler::Sampler(double rate, std::uint64_t seed) {
  const std::lock_guard lock(rates_mutex);
  // Round and round, so that a handle that outlives its sampler is recognised for as long as may be.
  for (std::size_t tried = 1; tried < kMaxSamplers; ++tried) {
    const std::uint64_t number = last_number % (kNumbers - 1) + 1;
    last_number = number;
    const std::size_t index = number % (kMaxSamplers - 1) + 1;
    Rate& of = rates[index];
    if (of.number.load(std::memory_order_relaxed) != 0) continue;  // [relaxed: written under the mutex]
    of.rate.store(rate, std::memory_order_relaxed);                // [relaxed: published with the number]
    of.seed.store(seed != 0 ? seed : std::random_device{}() * std::uint64_t{0x9e3779b97f4a7c15} + number,
                  std::memory_order_relaxed);                      // [relaxed: published with the number]
    of.is_repeatable.store(seed != 0, std::memory_order_relaxed);  // [relaxed: published with the number]
    of.threads.store(0, std::memory_order_relaxed);                // [relaxed: published with the number]
    of.number.store(number, std::memory_order_release);            // [rate:release] pairs with [rate:acquire] in pass_slow()
    gate_ = SampleGate(index, number);
    return;
  }
  throw std::length_error("SamplingCollector: 1,023 of them are alive already");
}

Sampler::~Sampler() {
  if (gate_.index() == 0) return;
  const std::lock_guard lock(rates_mutex);
  rates[gate_.index()].number.store(0, std::memory_order_relaxed);  // [relaxed: a late call is one that came before]
}

}  // namespace pepper::detail
