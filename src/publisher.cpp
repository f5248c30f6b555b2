#include "publisher.hpp"

#include "clock.hpp"

#include <utility>

namespace pepper::detail {

Publisher::Publisher(std::shared_ptr<Registry> registry)
    : registry_(std::move(registry)), order_(std::make_shared<const SeriesOrder>(registry_, 0)) {}

std::shared_ptr<const Snapshot> Publisher::publish(Drain& drain, std::vector<SeriesExemplars>& exemplars, CollectorStats stats,
                                                   std::vector<Refused> refused) {
  const std::uint32_t size = registry_->size_for_snapshot(next_sequence_);
  if (size != order_->size()) order_ = std::make_shared<const SeriesOrder>(registry_, size);
  values_.grow(size);
  drain.buckets().settle();
  for (const std::uint32_t index : drain.changed()) {
    const Cell& cell = drain.cell(index);
    if (const std::uint64_t violations = drain.violations(index); violations != 0) values_.set_violations(index, violations);
    if (cell.count == 0) continue;  // refused values only
    const auto [min, max] = drain.extremes(index);
    values_.set(index, {cell.count, cell.total(), min, max, cell.last}, drain.buckets().buckets(index));
  }
  auto data = std::make_unique<SnapshotData>();
  data->sequence = next_sequence_;
  data->taken_at = now_system();
  data->stats = std::move(stats);
  data->stats.series = order_->whole();
  data->registry = registry_;
  data->order = order_;
  data->values = values_;
  data->refused = std::move(refused);
  SnapshotData& made = *data;
  auto snapshot = std::make_shared<const Snapshot>(SnapshotAccess{}, std::move(data));
  made.exemplars = std::exchange(exemplars, {});
  drain.forget_changed();
  ++next_sequence_;
  return snapshot;
}

}  // namespace pepper::detail
