#include <pepper/exporter.hpp>

#include "collector_impl.hpp"

#include <functional>
#include <memory>
#include <utility>

namespace pepper::detail {

std::shared_ptr<Callback> Collector::observe(Gauge gauge, std::function<double()> read) {
  return delivery_->add_observer([gauge, read = std::move(read)](const Snapshot*) { gauge.set(read()); });
}

std::shared_ptr<Callback> Collector::on_snapshot(std::function<void(const Snapshot&)> callback) {
  require_settled();
  start_flusher();
  return delivery_->add_subscriber([callback = std::move(callback)](const Snapshot* snapshot) { callback(*snapshot); });
}

std::shared_ptr<Callback> Collector::add_exporter(ExporterOptions options, Exporter exporter) {
  require_settled();
  start_flusher();
  return exporters_.add(std::move(options), std::move(exporter));
}

}  // namespace pepper::detail
