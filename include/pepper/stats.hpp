#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#pragma GCC visibility push(default)
namespace pepper {

/// Why a record was dropped.
enum class Cause : std::uint8_t {
  overflow,        ///< OverflowPolicy::drop, and no free chunk was left
  threads,         ///< no memory for one more recording thread
  negative,        ///< a negative amount given to a Counter
  after_shutdown,  ///< OverflowPolicy::block, and no flusher left to wait for
  memory,          ///< the budget refused what folding it would have needed
  rate_limited,    ///< a RateLimitedCollector refused it
  invalid,         ///< outside what the series' SeriesOptions::check takes
};

/// The cause's name in lower case.
[[nodiscard]] std::string_view to_string(Cause) noexcept;

/// Records dropped for one cause.
struct Loss {
  Cause cause{};
  std::uint64_t count = 0;
  std::chrono::system_clock::time_point first{}, last{};  ///< when a flush first and last saw the count grow
};

/// How an exporter gets on.
struct ExporterStats {
  std::string name;            ///< ExporterOptions::name
  std::uint64_t exported = 0;  ///< snapshots it took
  std::uint64_t skipped = 0;   ///< snapshots that a later one replaced before it had come to them
  std::uint64_t failed = 0;    ///< exceptions that left it; they are in callback_errors as well
  std::uint64_t late = 0;      ///< runs past their deadline, one that has not come back among them
};

/// The ledger of one moment, and the collector's own health.
struct CollectorStats {
  std::uint64_t recorded = 0;    ///< accepted by record(); always aggregated + pending + dropped
  std::uint64_t aggregated = 0;  ///< in the series' counts
  std::uint64_t pending = 0;     ///< captured, not folded yet
  std::uint64_t dropped = 0;     ///< lost, for the causes below
  std::vector<Loss> losses{};    ///< `dropped` by cause; causes that never occurred are absent
  std::uint64_t spilled = 0;     ///< part of aggregated: folded by the recording threads themselves
  std::uint64_t rejected = 0;    ///< NaN, bad names, too long: refused, never part of recorded (a NaN leaves it at the fold)

  std::uint64_t series = 0;           ///< that exist, overflow series included
  std::uint64_t flushes = 0;          ///< snapshots published
  std::uint64_t callback_errors = 0;  ///< exceptions that left a callback
  /// Binds that asked for another kind, unit, help, max_buckets, expected_interval or check than the series has.
  std::uint64_t bind_conflicts = 0;
  std::uint64_t clock_steps = 0;  ///< scoped timers whose clock went backwards; counted as 0 seconds
  std::size_t memory_bytes = 0, memory_limit_bytes = 0;
  std::chrono::nanoseconds last_flush_duration{}, flusher_cpu{};
  /// Records whose metadata was not kept: memory_limit_bytes had no room, or another thread was at the same series' exemplars.
  std::uint64_t exemplars_skipped = 0;

  std::vector<ExporterStats> exporters{};  ///< in the order in which they were added; those that have ended are absent
};

}  // namespace pepper
#pragma GCC visibility pop
