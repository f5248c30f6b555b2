#include <pepper/exporter.hpp>

#include "collector_impl.hpp"
#include "drain_lock.hpp"

#include <algorithm>
#include <functional>
#include <memory>
#include <utility>

namespace pepper::detail {

std::shared_ptr<Callback> Collector::observe(Gauge gauge, std::function<double()> read) {
  return delivery_->add_observer([gauge, read = std::move(read)](const Occasion&) { gauge.set(read()); });
}

std::shared_ptr<Callback> Collector::on_snapshot(std::function<void(const Snapshot&)> callback) {
  require_settled();
  start_flusher();
  return delivery_->add_subscriber([callback = std::move(callback)](const Occasion& occasion) { callback(*occasion.snapshot); });
}

std::shared_ptr<Callback> Collector::on_records(std::function<void(const RecordBatch&)> callback) {
  require_settled();
  start_flusher();
  const DrainLock lock(drain_mutex_);
  drain_.look();  // what was recorded before is none of its
  const std::size_t chunks = std::max(place_.pool_chunks(), RecordTap::kLeastChunks);
  const std::uint64_t first = tap_->open(chunks * (sizeof(Chunk) + RecordTap::kPieceBytes), drain_.aggregated());
  return delivery_->add_record_subscriber([first, registry = registry_, callback = std::move(callback)](const Occasion& occasion) {
    if (occasion.records->number >= first) callback({*occasion.records, *registry});
  });
}

std::shared_ptr<Callback> Collector::on_series(std::function<void(const SeriesSnapshot&)> callback) {
  const auto alive = weak_from_this().lock();  // it may destroy the MetricsCollector
  require_settled();
  return watch_.add(std::move(callback));
}

std::shared_ptr<Callback> Collector::add_exporter(ExporterOptions options, Exporter exporter) {
  require_settled();
  start_flusher();
  return exporters_.add(std::move(options), std::move(exporter));
}

}  // namespace pepper::detail
