#pragma once

#include <pepper/signal_counter.hpp>

#include "cell.hpp"
#include "mapping.hpp"

#include <cstdint>

namespace pepper::detail {

/// A series that signal handlers count in: their cell, and how far the drainer has read it.
struct SignalSeries {
  /// Any thread and any handler, apart from what the drainer writes.
  alignas(kCacheLine) SignalCell cell;

  /// Set before it is published.
  alignas(kCacheLine) SignalSeries* next = nullptr;
  std::uint32_t index = 0;

  /// Calls there ever were. Any thread.
  [[nodiscard]] std::uint64_t calls() const noexcept {
    // [relaxed: numbers, guard no data]
    return cell.ones.load(std::memory_order_relaxed) + cell.calls.load(std::memory_order_relaxed);
  }

  // Drainer, under the drain mutex. -------------------------------------------------------------------------------------------------

  std::uint64_t seen_ones = 0, seen_calls = 0, seen_amount = 0;

  /// Calls that were taken.
  [[nodiscard]] std::uint64_t seen() const noexcept { return seen_ones + seen_calls; }
  /// What was added since it was last called; wait-free.
  [[nodiscard]] Cell take() noexcept;
  /// In a child, on its only thread: what was added so far, and by calls that the fork stopped half-way, is the parent's.
  /// Async-signal-safe.
  void forget() noexcept;
};

}  // namespace pepper::detail
