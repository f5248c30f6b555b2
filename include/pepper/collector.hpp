#pragma once

#include <pepper/config.hpp>
#include <pepper/detail/dynamic_record.hpp>
#include <pepper/exporter.hpp>
#include <pepper/handles.hpp>
#include <pepper/record_batch.hpp>
#include <pepper/signal_counter.hpp>
#include <pepper/snapshot.hpp>
#include <pepper/stats.hpp>
#include <pepper/subscription.hpp>

#include <chrono>
#include <functional>
#include <memory>
#include <string_view>

#pragma GCC visibility push(default)
namespace pepper {

namespace detail {
class Collector;
class Layers;
class RateLimiter;
}  // namespace detail
namespace testing {
class Faults;
}

/// Owns series, takes records, gives snapshots. An ordinary object: several live side by side (959 at once), none needs a global.
/// Thread-safe in every member. Its threads start with the first bind, record(name, ...) or callback.
/// After fork() the child has a collector of its own behind the same object, handles and subscriptions: it starts at zero, as what was
/// recorded before belongs to the parent alone, and its threads start when it is first used. fork() may be called anywhere,
/// callbacks included, but not in a signal handler; it waits for a flush under way, never for a callback.
class MetricsCollector {
 public:
  /// Throws std::invalid_argument naming field and value, std::length_error if 959 collectors live already.
  explicit MetricsCollector(TelemetryConfig config = {});
  /// shutdown() with its default timeout. Handles may outlive it: what they record then is nobody's.
  ~MetricsCollector();
  MetricsCollector(const MetricsCollector&) = delete;
  MetricsCollector& operator=(const MetricsCollector&) = delete;

#if defined(PEPPER_DISABLED)
  Counter counter(std::string_view, TagsView = {}, const SeriesOptions& = {}) { return {}; }
  Gauge gauge(std::string_view, TagsView = {}, const SeriesOptions& = {}) { return {}; }
  Summary summary(std::string_view, TagsView = {}, const SeriesOptions& = {}) { return {}; }
  Histogram histogram(std::string_view, TagsView = {}, const SeriesOptions& = {}) { return {}; }
  Timer timer(std::string_view, TagsView = {}, const SeriesOptions& = {}) { return {}; }
  SignalCounter signal_counter(std::string_view, TagsView = {}, const SeriesOptions& = {}) { return {}; }
  template <detail::Gives<double> F>
  [[nodiscard]] Subscription observe(std::string_view, TagsView, F&&) {
    return {};
  }
  [[gnu::abi_tag("disabled")]] bool record(std::string_view, double, TagsView = {}, TagsView = {}) noexcept { return true; }
  [[gnu::abi_tag("disabled")]] bool record(const Metric&) noexcept { return true; }
#else
  // Bind: cold, interns the series. The same name and tags give the same series. If the series exists with another kind, unit, help or
  // check, the first wins and on_error says so; only a series that record(name, ...) alone has created takes those of its first bind: its
  // check holds for what is folded from then on.
  // Names: 1 to 255 bytes; at most 32 tags; keys 1 to 255 bytes, values up to 1024; no control bytes in names or keys.
  // Throws std::invalid_argument with the offending text, std::bad_alloc.
  Counter counter(std::string_view name, TagsView tags = {}, SeriesOptions options = {});
  Gauge gauge(std::string_view name, TagsView tags = {}, SeriesOptions options = {});
  Summary summary(std::string_view name, TagsView tags = {}, SeriesOptions options = {});
  Histogram histogram(std::string_view name, TagsView tags = {}, SeriesOptions options = {});
  Timer timer(std::string_view name, TagsView tags = {}, SeriesOptions options = {});

  /// A counter that signal handlers may add to; the series is the one that counter() gives. std::bad_alloc also where memory_limit_bytes
  /// leaves no room: a page for every 32 of them.
  SignalCounter signal_counter(std::string_view name, TagsView tags = {}, SeriesOptions options = {});

  /// A gauge whose value `read` gives, asked before each snapshot: on the delivery thread (FlushMode::manual: inside flush()). If it
  /// throws, that is counted; if it does not return for 100 ms, the snapshot goes on without it.
  [[nodiscard]] Subscription observe(std::string_view name, TagsView tags, std::function<double()> read);

  /// The dynamic path: finds the series by name and tags at each call, creating a Summary. Does not allocate once this thread has seen the
  /// key. False: refused (NaN, a name or tag outside the limits, no memory) and counted in CollectorStats::rejected. Metadata makes
  /// the record an exemplar where it is the largest or the latest that has some: see SeriesSnapshot::exemplars. To record often, bind.
  bool record(std::string_view name, double value, TagsView tags = {}, TagsView metadata = {}) noexcept;
  bool record(const Metric& metric) noexcept;
#endif

  /// The latest published snapshot; never null, never waits for a flush.
  std::shared_ptr<const Snapshot> snapshot() const;
  /// Drains what was recorded before the call, by any thread, publishes, and returns that. Waits for another flush, never for a recording
  /// thread, and for an observer no longer than 100 ms. Legal anywhere, callbacks included, which are not called by their own flush().
  /// Throws std::bad_alloc.
  std::shared_ptr<const Snapshot> flush();
  /// The latest snapshot's ledger and the collector's own health.
  CollectorStats stats() const;

  /// Calls back with each snapshot published, on a delivery thread of the collector's own (FlushMode::manual: inside flush()). One after
  /// another; a slow callback skips to the latest snapshot. Exceptions are counted and go to on_error. flush() does not wait for it.
  [[nodiscard]] Subscription on_snapshot(std::function<void(const Snapshot&)> callback);

  /// Calls back with the records themselves, of all series and in batches, as they are folded: those that happen after the call. Where and
  /// how as for on_snapshot(), but no batch is skipped: they wait in a buffer for as many records as the pool has and 16,320 at least, or
  /// of a quarter of the memory that is left. What does not fit, and what threads fold themselves under overload, is counted in
  /// RecordBatch::missed(). Over a subscription's life, records delivered and missed are those aggregated, exactly; what the fold refuses
  /// (NaN) is neither. Throws std::bad_alloc, also where memory_limit_bytes leaves no room.
  [[nodiscard]] Subscription on_records(std::function<void(const RecordBatch&)> callback);
  /// Calls back with each series, as a snapshot has it before its first record (views live as long as the collector): with those that there
  /// are before this returns; then with each new one, and again if it becomes another kind or is given unit and help, before the bind or
  /// record(name, ...) that did it returns, on its thread; where the callback runs already, after that run. Under no lock, so it may bind.
  /// Exceptions are counted and go to on_error. Throws std::bad_alloc.
  [[nodiscard]] Subscription on_series(std::function<void(const SeriesSnapshot&)> callback);
  /// Gives each snapshot published to the exporter, on a thread of its own (FlushMode::manual: inside flush()), so that one that throws,
  /// hangs or is slow holds up nobody else: it skips to the latest, and CollectorStats::exporters says so. Throws std::invalid_argument.
  [[nodiscard]] Subscription add_exporter(ExporterOptions options, Exporter exporter);

  /// What flush() returns (FlushMode::manual: what snapshot() does), for those who may outlive the collector: null once it is gone.
  /// Thread-safe, as its copies are.
  [[nodiscard]] std::function<std::shared_ptr<const Snapshot>()> reader() const;

  /// Takes what the calling thread needs to record here now, pages touched, so that none of its records allocates or faults.
  /// Throws std::bad_alloc.
  void attach_thread();
  /// What happened before the call is kept; records that happen after set_enabled(false) are nobody's. Drains.
  void set_enabled(bool enabled) noexcept;
  /// How it works now: as it was made, or as reconfigure() and set_enabled() have left it. Waits for a flush under way.
  [[nodiscard]] TelemetryConfig config() const;
  /// Works differently from now on: enabled, flush_interval (counted from the last snapshot), on_overflow, memory_limit_bytes (where more
  /// is used, nothing grows until less is), on_error, and, for the flusher that starts next, on_flusher_start. The other fields must be
  /// what config() says. All or nothing: throws std::invalid_argument naming field and value, std::bad_alloc. Waits for a flush under way.
  /// A record that does not happen after the call may still find the old settings, and a call of the old on_error may still run.
  void reconfigure(TelemetryConfig config);
  /// Ends the threads, drains what was recorded before it and delivers it; back within `timeout` + 50 ms. True: all of that was done in
  /// time. Idempotent: again, it publishes only if something was recorded since. Afterwards the collector behaves as with
  /// FlushMode::manual. There, callbacks, observers and on_error run inside it, and it returns, false, when one that is late has.
  bool shutdown(std::chrono::nanoseconds timeout = std::chrono::seconds{5}) noexcept;

 private:
  friend detail::Layers;
  friend detail::RateLimiter;
  // For the collectors that wrap this one: see detail::Layers.
  template <class Handle>
  Handle bind(std::string_view name, TagsView tags, const SeriesOptions& options, double weight, bool& is_weighted);
  bool record_weighted(const detail::DynamicRecord& record) noexcept;
  bool may_sample(const detail::DynamicRecord& record) noexcept;
  bool refuse() noexcept;
  friend testing::Faults;

  std::shared_ptr<detail::Collector> collector_;
};

/// The process-wide collector: made and started by the first call, never destroyed, its last interval drained at normal exit.
MetricsCollector& default_collector();

/// Says how default_collector() will be made. Throws std::logic_error if it exists already, std::invalid_argument as the constructor does.
void configure_default(TelemetryConfig config);

}  // namespace pepper
#pragma GCC visibility pop
