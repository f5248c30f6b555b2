#include <pepper/collector.hpp>

#include "collector_impl.hpp"

#include <utility>

namespace pepper {

MetricsCollector::MetricsCollector(TelemetryConfig config) : collector_(std::make_shared<detail::Collector>(std::move(config))) {}

MetricsCollector::~MetricsCollector() { shutdown(); }

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

bool MetricsCollector::record(std::string_view name, double value, TagsView tags, TagsView) noexcept {
  return collector_->record(name, value, tags);
}

bool MetricsCollector::record(const Metric& metric) noexcept { return record(metric.name, metric.value, metric.tags, metric.metadata); }

std::shared_ptr<const Snapshot> MetricsCollector::snapshot() const { return collector_->snapshot(); }
std::shared_ptr<const Snapshot> MetricsCollector::flush() { return collector_->flush(); }
CollectorStats MetricsCollector::stats() const { return collector_->stats(); }

Subscription MetricsCollector::on_snapshot(std::function<void(const Snapshot&)> callback) {
  return Subscription(collector_->on_snapshot(std::move(callback)));
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
bool MetricsCollector::shutdown(std::chrono::nanoseconds timeout) noexcept { return collector_->shutdown(timeout); }

}  // namespace pepper
