#include <pepper/collector.hpp>

#include "collector_impl.hpp"

#include <concepts>
#include <utility>

namespace pepper {

MetricsCollector::MetricsCollector(TelemetryConfig config) : collector_(std::make_shared<detail::Collector>(std::move(config))) {}

MetricsCollector::~MetricsCollector() { shutdown(); }

template <class Handle>
Handle MetricsCollector::bind(std::string_view name, TagsView tags, const SeriesOptions& options, double weight, bool& is_weighted) {
  if constexpr (std::same_as<Handle, Gauge>) {
    is_weighted = weight == 1;
    return gauge(name, tags, options);
  } else {
    constexpr Kind kKind = std::same_as<Handle, Counter>     ? Kind::counter
                           : std::same_as<Handle, Histogram> ? Kind::histogram
                           : std::same_as<Handle, Timer>     ? Kind::timer
                                                             : Kind::summary;
    SeriesOptions own = options;
    if (kKind == Kind::timer && own.unit.empty()) own.unit = "seconds";
    return Handle(collector_->bind(kKind, name, tags, own, weight, is_weighted).target);
  }
}
template Counter MetricsCollector::bind(std::string_view, TagsView, const SeriesOptions&, double, bool&);
template Gauge MetricsCollector::bind(std::string_view, TagsView, const SeriesOptions&, double, bool&);
template Summary MetricsCollector::bind(std::string_view, TagsView, const SeriesOptions&, double, bool&);
template Histogram MetricsCollector::bind(std::string_view, TagsView, const SeriesOptions&, double, bool&);
template Timer MetricsCollector::bind(std::string_view, TagsView, const SeriesOptions&, double, bool&);

bool MetricsCollector::may_sample(const detail::DynamicRecord& record) noexcept { return collector_->may_sample(record); }
bool MetricsCollector::refuse() noexcept { return collector_->refuse(); }
bool MetricsCollector::record_weighted(const detail::DynamicRecord& record) noexcept { return collector_->record(record); }

Counter MetricsCollector::counter(std::string_view name, TagsView tags, SeriesOptions options) {
  return Counter(collector_->bind(Kind::counter, name, tags, options).target);
}

SignalCounter MetricsCollector::signal_counter(std::string_view name, TagsView tags, SeriesOptions options) {
  return SignalCounter(&collector_->bind_signal(name, tags, options));
}

Gauge MetricsCollector::gauge(std::string_view name, TagsView tags, SeriesOptions options) {
  const detail::Collector::Bound bound = collector_->bind(Kind::gauge, name, tags, options);
  return {bound.target, bound.tickets};
}

Summary MetricsCollector::summary(std::string_view name, TagsView tags, SeriesOptions options) {
  return Summary(collector_->bind(Kind::summary, name, tags, options).target);
}

Histogram MetricsCollector::histogram(std::string_view name, TagsView tags, SeriesOptions options) {
  return Histogram(collector_->bind(Kind::histogram, name, tags, options).target);
}

Timer MetricsCollector::timer(std::string_view name, TagsView tags, SeriesOptions options) {
  if (options.unit.empty()) options.unit = "seconds";
  return Timer(collector_->bind(Kind::timer, name, tags, options).target);
}

Subscription MetricsCollector::observe(std::string_view name, TagsView tags, std::function<double()> read) {
  return Subscription(collector_->observe(gauge(name, tags), std::move(read)));
}

bool MetricsCollector::record(std::string_view name, double value, TagsView tags, TagsView metadata) noexcept {
  if (metadata.empty()) [[likely]]
    return collector_->record(name, value, tags);
  return collector_->record({name, value, tags, metadata});
}

bool MetricsCollector::record(const Metric& metric) noexcept {
  if (metric.metadata.empty() && metric.timestamp == std::chrono::system_clock::time_point{})
    return collector_->record(metric.name, metric.value, metric.tags);
  return collector_->record({metric.name, metric.value, metric.tags, metric.metadata, metric.timestamp});
}

std::shared_ptr<const Snapshot> MetricsCollector::snapshot() const { return collector_->snapshot(); }
std::shared_ptr<const Snapshot> MetricsCollector::flush() { return collector_->flush(); }
CollectorStats MetricsCollector::stats() const { return collector_->stats(); }

Subscription MetricsCollector::on_snapshot(std::function<void(const Snapshot&)> callback) {
  return Subscription(collector_->on_snapshot(std::move(callback)));
}

Subscription MetricsCollector::on_records(std::function<void(const RecordBatch&)> callback) {
  return Subscription(collector_->on_records(std::move(callback)));
}

Subscription MetricsCollector::on_series(std::function<void(const SeriesSnapshot&)> callback) {
  return Subscription(collector_->on_series(std::move(callback)));
}

Subscription MetricsCollector::add_exporter(ExporterOptions options, Exporter exporter) {
  return Subscription(collector_->add_exporter(std::move(options), std::move(exporter)));
}

std::function<std::shared_ptr<const Snapshot>()> MetricsCollector::reader() const {
  return [weak = std::weak_ptr(collector_)]() -> std::shared_ptr<const Snapshot> {
    const std::shared_ptr<detail::Collector> collector = weak.lock();
    return collector == nullptr ? nullptr : collector->is_manual() ? collector->snapshot() : collector->flush();
  };
}

void MetricsCollector::attach_thread() { collector_->attach_thread(); }
void MetricsCollector::set_enabled(bool enabled) noexcept { collector_->set_enabled(enabled); }
TelemetryConfig MetricsCollector::config() const { return collector_->config(); }
void MetricsCollector::reconfigure(TelemetryConfig config) { collector_->reconfigure(std::move(config)); }
bool MetricsCollector::shutdown(std::chrono::nanoseconds timeout) noexcept { return collector_->shutdown(timeout); }

}  // namespace pepper
