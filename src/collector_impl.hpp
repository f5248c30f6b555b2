#pragma once

#include <pepper/collector.hpp>

#include "busy.hpp"
#include "delivery.hpp"
#include "drain.hpp"
#include "errors.hpp"
#include "exemplar_store.hpp"
#include "exporters.hpp"
#include "flusher.hpp"
#include "mutex.hpp"
#include "place.hpp"
#include "publisher.hpp"
#include "rate_limits.hpp"
#include "record_tap.hpp"
#include "registry.hpp"
#include "series_key.hpp"
#include "series_watch.hpp"

#include <atomic>
#include <chrono>
#include <map>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

namespace pepper::detail {

/// What stands behind a MetricsCollector: its place, series, drain, snapshots and threads, wired together. Outlives the MetricsCollector
/// only where a user's function still holds one of its threads.
class Collector : public std::enable_shared_from_this<Collector> {
 public:
  /// `hash` is a parameter for tests. Throws as MetricsCollector does.
  explicit Collector(TelemetryConfig config, KeyHash hash = xxh3);
  ~Collector();
  Collector(const Collector&) = delete;
  Collector& operator=(const Collector&) = delete;

  struct Bound {
    Target target;
    std::atomic<std::uint32_t>* tickets;
  };
  [[nodiscard]] Bound bind(Kind kind, std::string_view name, TagsView tags, const SeriesOptions& options);
  /// Of records that stand for `weight` others each, itself included; 0: none are to come. Where there is no room for that, `is_weighted`
  /// is false, and of one.
  [[nodiscard]] Bound bind(Kind kind, std::string_view name, TagsView tags, const SeriesOptions& options, double weight, bool& is_weighted);
  [[nodiscard]] SignalCell& bind_signal(std::string_view name, TagsView tags, const SeriesOptions& options);
  [[nodiscard]] bool record(std::string_view name, double value, TagsView tags) noexcept;
  [[nodiscard]] RateGate limit(std::uint64_t group, std::string_view name, TagsView tags, double max_per_second);
  void end_limits(std::uint64_t group) noexcept { rate_limits_.end(group); }
  /// With an exemplar, if there is metadata. False also where there is no room for a series of its weight.
  [[nodiscard]] bool record(const DynamicRecord& record) noexcept;
  [[nodiscard]] bool may_sample(const DynamicRecord& record) noexcept;
  /// Counts one that is refused. False.
  bool refuse() noexcept;
  [[nodiscard]] std::shared_ptr<Callback> observe(Gauge gauge, std::function<double()> read);
  [[nodiscard]] std::shared_ptr<Callback> on_snapshot(std::function<void(const Snapshot&)> callback);
  [[nodiscard]] std::shared_ptr<Callback> on_records(std::function<void(const RecordBatch&)> callback);
  [[nodiscard]] std::shared_ptr<Callback> on_series(std::function<void(const SeriesSnapshot&)> callback);
  [[nodiscard]] std::shared_ptr<Callback> add_exporter(ExporterOptions options, Exporter exporter);
  [[nodiscard]] std::shared_ptr<const Snapshot> snapshot() const;
  [[nodiscard]] CollectorStats stats() const;
  std::shared_ptr<const Snapshot> flush();
  [[nodiscard]] bool is_manual() const noexcept { return config_.flush_mode == FlushMode::manual; }
  void attach_thread();
  void set_enabled(bool enabled) noexcept;
  [[nodiscard]] TelemetryConfig config() const;
  void reconfigure(TelemetryConfig config);
  bool shutdown(std::chrono::nanoseconds timeout) noexcept;

  // Faults, for tests of users' programs. ------------------------------------------------------------------------------------------

  /// Throws std::bad_alloc.
  void withhold_chunks();
  void give_chunks_back() noexcept;
  [[nodiscard]] Budget& budget() noexcept { return place_.budget(); }

  // In a child. ---------------------------------------------------------------------------------------------------------------------

  /// The same series, no records. After the places and threads. Throws std::bad_alloc, and can be called again then.
  void start_over();
  /// After all of that, under no lock: may call on_error.
  void start_threads_again() noexcept;

  // The flusher's. ------------------------------------------------------------------------------------------------------------------

  struct Load {
    std::size_t chunks_seen, pool_chunks;
    bool has_spilled, has_published;
  };
  /// One look, or a flush where one is due and the observers have answered, or have had their time.
  Load work(bool is_due) noexcept;
  void flusher_started() noexcept;
  [[nodiscard]] std::chrono::nanoseconds flush_interval() const noexcept {
    return std::chrono::nanoseconds{flush_interval_ns_.load(std::memory_order_relaxed)};  // [relaxed: a number, guards no data]
  }

 private:
  [[nodiscard]] const SeriesEntry& intern(Kind kind, std::string_view name, TagsView tags, const SeriesOptions& options);
  /// Throws std::bad_alloc.
  static void require_settled();
  void publish_empty();
  [[nodiscard]] std::shared_ptr<const Snapshot> drain_and_publish();
  /// The last one tells on_error what was lost on the delivery thread, where there is one.
  std::shared_ptr<const Snapshot> flush_until(std::chrono::steady_clock::time_point deadline, bool is_last);
  std::shared_ptr<const Snapshot> flush_now(bool is_last, bool is_shown);
  /// A look finds what no snapshot has.
  [[nodiscard]] bool has_news();
  /// The last flush, by whoever asks first; the others wait for it until the deadline. Again: for what was recorded since, if anything
  /// was. True: it is done.
  [[nodiscard]] bool flush_at_end(std::chrono::steady_clock::time_point deadline) noexcept;
  void set_health(CollectorStats& stats) const noexcept;
  void note_losses(CollectorStats& stats, const Ledger& ledger, std::uint64_t rate_limited);
  /// The series of a key that this thread has seen, else null.
  [[nodiscard]] const SeriesEntry* find_cached(std::string_view name, TagsView tags) const noexcept;
  [[nodiscard]] bool record_uncached(std::string_view name, double value, TagsView tags) noexcept;
  /// Where its records go: `whole`, which is found if it is null, or the part of it that has that weight. Null: refused.
  [[nodiscard]] const SeriesEntry* find_weighted(const DynamicRecord& record, const SeriesEntry*& whole) noexcept;
  /// Null: refused. Throws std::bad_alloc.
  [[nodiscard]] const SeriesEntry* find_or_create(std::string_view name, TagsView tags);
  void start_flusher() noexcept;
  /// After a look, under drain_mutex_.
  void switch_to(bool is_enabled) noexcept;

  TelemetryConfig config_;  ///< what reconfigure() may change of it: under drain_mutex_
  const std::shared_ptr<Errors> errors_;
  const Tenancy tenancy_;
  Place& place_;
  const std::shared_ptr<Registry> registry_;
  SeriesWatch watch_;
  RateLimits rate_limits_;
  const std::shared_ptr<RecordTap> tap_;  ///< its drainer's end: under drain_mutex_
  const std::shared_ptr<Delivery> delivery_;
  Exporters exporters_;
  Flusher flusher_;
  ExemplarStore exemplars_;

  mutable Mutex drain_mutex_;
  Drain drain_;  // this and the following three: under drain_mutex_
  Publisher publisher_;
  std::map<Cause, Loss> losses_;
  std::vector<Loss> grown_;  ///< since on_error was told
  std::uint64_t flushes_ = 0, spilled_before_ = 0;
  std::chrono::nanoseconds last_flush_duration_{};

  std::uint64_t first_sequence_ = 0;  ///< of this process; written while settling

  mutable Mutex latest_mutex_;
  std::shared_ptr<const Snapshot> latest_;

  Mutex end_mutex_;
  Condition end_;
  Busy ends_;  ///< the last flush is under way
  bool has_ended_ = false;

  std::uint64_t round_ = 0;  ///< of observers, which the flusher waits for; 0: none. This and the next: flusher only
  std::chrono::steady_clock::time_point asked_at_;
  bool has_lost_flusher_ = false;  ///< its parent's; under the mutex of settle_slow(), then its caller's alone
  std::atomic<std::uint64_t> rejected_{0}, nan_{0}, bind_conflicts_{0};
  std::atomic<std::int64_t> flusher_cpu_ns_{0}, flush_interval_ns_;
};

}  // namespace pepper::detail
