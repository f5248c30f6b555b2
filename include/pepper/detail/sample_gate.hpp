#pragma once

#include <pepper/detail/thread_slots.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <utility>

#pragma GCC visibility push(default)
namespace pepper::detail {

/// What it is given, where that is one. Throws std::invalid_argument: see SamplingCollector. Here and not in a template, as programs
/// without exceptions include that.
[[nodiscard]] double checked_sample_rate(double rate);

/// A sampler's decisions: one gap for each thread, drawn from the geometric distribution, counts down the calls until the next kept one.
/// The gap has no memory, so that one serves all series. Trivially copyable. A default-constructed gate lets all pass; one whose sampler is
/// gone, none.
class SampleGate {
 public:
  constexpr SampleGate() noexcept = default;

  /// Whether this call is kept. Wait-free, owner thread only of the gap it finds; allocates for a thread's first call alone.
  [[nodiscard, gnu::always_inline]] bool pass() const noexcept {
    Gap& gap = *reinterpret_cast<Gap*>(reinterpret_cast<char*>(this_thread_slots()) + offset_);
    const std::uint64_t at = gap.load(std::memory_order_relaxed);  // [relaxed: owner only]
    if (at - one_ < kMostGap) [[likely]] {
      gap.store(at - 1, std::memory_order_relaxed);  // [relaxed: owner only]
      return false;
    }
    return one_ == 1 || pass_slow(at);
  }

 private:
  friend class Sampler;
  /// A gap's word is the sampler's number, unlike that of all before it, above the calls that are still to be skipped.
  static constexpr int kGapBits = 40;
  static constexpr std::uint64_t kMostGap = (std::uint64_t{1} << kGapBits) - 1;

  SampleGate(std::size_t index, std::uint64_t number) noexcept
      : offset_(offsetof(ThreadSlots, gaps) + index * sizeof(Gap)), one_((number << kGapBits) + 1) {}
  [[nodiscard]] std::size_t index() const noexcept { return (offset_ - offsetof(ThreadSlots, gaps)) / sizeof(Gap); }
  [[nodiscard]] bool pass_slow(std::uint64_t at) const noexcept;

  std::uint64_t offset_ = offsetof(ThreadSlots, gaps);
  std::uint64_t one_ = 1;  ///< the word of one call to be skipped
};

/// Owns one of the 1,023 gaps that each thread has. Move-only; thread-compatible.
class Sampler {
 public:
  /// The `seed` of each thread's gaps, in the order in which threads first ask; 0: another at each run. Throws std::length_error if 1,023
  /// samplers live.
  Sampler(double rate, std::uint64_t seed);
  Sampler(Sampler&& other) noexcept : gate_(std::exchange(other.gate_, {})) {}
  Sampler& operator=(Sampler&& other) noexcept {
    std::swap(gate_, other.gate_);
    return *this;
  }
  ~Sampler();

  [[nodiscard]] SampleGate gate() const noexcept { return gate_; }

 private:
  SampleGate gate_;
};

}  // namespace pepper::detail
#pragma GCC visibility pop
