#include "ledger_families.hpp"

#include <chrono>
#include <string>
#include <utility>

namespace pepper::detail {

namespace {

using prometheus::MetricFamily;
using prometheus::MetricType;

double seconds(std::chrono::nanoseconds duration) noexcept { return std::chrono::duration<double>(duration).count(); }

template <class Number>
MetricFamily counter(const char* name, const char* help, Number value) {
  MetricFamily family{name, help, MetricType::Counter, std::vector<prometheus::ClientMetric>(1)};
  family.metric[0].counter.value = static_cast<double>(value);
  return family;
}

template <class Number>
MetricFamily gauge(const char* name, const char* help, Number value) {
  MetricFamily family{name, help, MetricType::Gauge, std::vector<prometheus::ClientMetric>(1)};
  family.metric[0].gauge.value = static_cast<double>(value);
  return family;
}

}  // namespace

std::vector<MetricFamily> ledger_families(const CollectorStats& stats, std::size_t left_out) {
  std::vector<MetricFamily> families{
      counter("pepper_recorded_total", "Records accepted: aggregated, pending or dropped", stats.recorded),
      counter("pepper_aggregated_total", "Records in the series' counts", stats.aggregated),
      gauge("pepper_pending", "Records captured, not aggregated yet", stats.pending),
      counter("pepper_dropped_total", "Records lost", stats.dropped),
      {"pepper_losses_total", "Records lost, by cause", MetricType::Counter, {}},
      counter("pepper_spilled_total", "Records aggregated by the recording threads themselves", stats.spilled),
      counter("pepper_rejected_total", "Records refused: NaN, bad names", stats.rejected),
      gauge("pepper_series", "Series that exist", stats.series),
      gauge("pepper_series_not_shown", "Series that are not on this page, as their names collide with others", left_out),
      counter("pepper_flushes_total", "Snapshots published", stats.flushes),
      counter("pepper_callback_errors_total", "Exceptions that left a callback", stats.callback_errors),
      counter("pepper_bind_conflicts_total", "Binds that asked for something else than the series is", stats.bind_conflicts),
      gauge("pepper_memory_bytes", "What the collector holds", stats.memory_bytes),
      gauge("pepper_memory_limit_bytes", "What it may hold", stats.memory_limit_bytes),
      gauge("pepper_last_flush_duration_seconds", "How long the flush before took", seconds(stats.last_flush_duration)),
      counter("pepper_flusher_cpu_seconds_total", "CPU time of the flusher", seconds(stats.flusher_cpu)),
  };
  for (const Loss& loss : stats.losses) {
    prometheus::ClientMetric& metric = families[4].metric.emplace_back();
    metric.label.push_back({"cause", std::string(to_string(loss.cause))});
    metric.counter.value = static_cast<double>(loss.count);
  }
  return families;
}

}  // namespace pepper::detail
