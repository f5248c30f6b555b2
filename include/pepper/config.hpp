#pragma once

#include <pepper/tags.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <string>
#include <string_view>

#pragma GCC visibility push(default)
namespace pepper {

/// What a series measures. Decides which records it refuses, and how exporters name it.
enum class Kind : std::uint8_t { counter, gauge, summary, histogram, timer };

/// The kind's name in lower case, as `Snapshot::to_text()` prints it.
[[nodiscard]] std::string_view to_string(Kind) noexcept;

/// What a recording thread does when its chunk is full and no free one is left.
enum class OverflowPolicy : std::uint8_t {
  spill,  ///< fold its own records into its own table: nothing is lost, nobody waits
  drop,   ///< forget the chunk's records and count them: Cause::overflow. Cheapest, and loses
  block,  ///< wait for the flusher. Loses nothing and waits: the one policy under which record() is not wait-free
};

/// Who drains.
enum class FlushMode : std::uint8_t {
  background,  ///< a thread of the collector's own, started by the first bind or record
  manual,      ///< no thread at all: flush() does the work, callbacks run inside it (tests, games, real time)
};

/// What a collector is told when it is made. Wrong values make the constructor throw std::invalid_argument naming field and value.
struct TelemetryConfig {
  std::string name = "pepper";       ///< in messages; 1 to 255 bytes
  bool enabled = true;               ///< see MetricsCollector::set_enabled()
  std::size_t buffer_size = 65'536;  ///< records in the shared pool, 1 to 2^28; rounded up to whole chunks of 255
  std::chrono::nanoseconds flush_interval = std::chrono::seconds{1};  ///< between published snapshots, 1 ms to 1 day
  OverflowPolicy on_overflow = OverflowPolicy::spill;                 ///< block needs FlushMode::background
  FlushMode flush_mode = FlushMode::background;
  std::size_t max_series = 100'000;                         ///< 1 to 16,000,000, exact. Past it: new tags of a known name go to that name's
                                                            ///< {pepper.overflow="true"}, new names to "pepper.overflow"; those come on top
  std::size_t memory_limit_bytes = std::size_t{256} << 20;  ///< of everything the collector holds; at least 1 MiB and the pool
                                                            ///< Series take three quarters of what the pool leaves. Distributions count
                                                            ///< twice, as a snapshot shares them and the next record copies them
  std::function<void(std::string_view)> on_error{};  ///< called from any cold path, no lock held; empty: one line on stderr per cause
  std::function<void()> on_flusher_start{};          ///< called on the flusher as it starts: name it, pin it, set its priority
};

/// One measurement in full, for `MetricsCollector::record(const Metric&)`. Owns its strings.
struct Metric {
  std::string name;
  double value = 0;
  std::chrono::system_clock::time_point timestamp{};  ///< {}: now. For raw records and exemplars; aggregation goes by capture
  Tags tags{};
  Tags metadata{};
};

/// Which values a series takes: `least` to `most`, both included. Looked at where records are folded, and there alone where a value is a
/// new minimum or maximum: it costs neither who records nor a record that is valid. A value that is outside is counted in
/// SeriesSnapshot::violations and dropped, Cause::invalid, or, with `clamp`, taken as the nearest one that is inside. NaN is refused with
/// any check. What a SignalCounter adds is not looked at, nor what an overflow series stands for.
struct ValueCheck {
  double least = -std::numeric_limits<double>::infinity(), most = std::numeric_limits<double>::infinity();
  bool clamp = false;

  /// No infinities; clamped, they count as the largest double.
  [[nodiscard]] static constexpr ValueCheck finite() noexcept {
    return range(std::numeric_limits<double>::lowest(), std::numeric_limits<double>::max());
  }
  [[nodiscard]] static constexpr ValueCheck non_negative() noexcept { return {.least = 0}; }
  [[nodiscard]] static constexpr ValueCheck range(double least, double most) noexcept { return {.least = least, .most = most}; }
  /// The same with `clamp`: ValueCheck::range(0, 1).clamped()
  [[nodiscard]] constexpr ValueCheck clamped() const noexcept { return {least, most, true}; }
  friend constexpr bool operator==(const ValueCheck&, const ValueCheck&) = default;
};

/// What is said of a series when it is bound. Views are copied.
struct SeriesOptions {
  std::string_view unit{};       ///< free text, "seconds", "bytes"; at most 255 bytes
  std::string_view help{};       ///< one line for humans; at most 1024 bytes
  double relative_error = 0.01;  ///< of a histogram's or timer's quantiles, 1e-6 to 0.5. What another bind says later is not looked at
  /// 8 to 2^20; where values spread over more, the error grows, and the snapshot says by how much. The first bind's holds for the series
  std::uint32_t max_buckets = 2048;
  /// Histogram, timer: how often a value is expected, in the series' own unit (a timer: seconds); 0: not said. A value v above it means
  /// that others were kept from being measured: the distribution, and it alone, also counts v - 1, v - 2, ... intervals, as HdrHistogram
  /// does against coordinated omission: at most 2^53 of them for one value, the nearest to it, and 2^62 in all. Where memory_limit_bytes
  /// has no room for them at any scale they are not counted, and Distribution::backfilled() and count() are that much less. The first
  /// bind's holds for the series.
  double expected_interval = 0;
  ValueCheck check{};  ///< in the series' own unit (a timer: seconds); {}: takes any value. The first bind's holds for the series
  /// Its records carry the time of their capture, to a tick of the kernel (1 to 10 ms), for MetricsCollector::on_records(). Each then takes
  /// the slow path, some 10 ns. Not for a gauge, whose records carry their order. The first bind decides.
  bool timestamps = false;
};

}  // namespace pepper
#pragma GCC visibility pop
