#include "publisher.hpp"

#include <utility>

namespace pepper::detail {

Publisher::Publisher(std::shared_ptr<Registry> registry)
    : registry_(std::move(registry)), order_(std::make_shared<const SeriesOrder>(registry_, 0)) {}

ValuesPage& Publisher::writable_page(std::uint32_t page) {
  // [page:acquire] pairs with [page:release] in ~PageRef(): the last snapshot to read it is gone
  if (pages_[page]->references.load(std::memory_order_acquire) != 1) pages_[page] = PageRef(new ValuesPage(*pages_[page]));
  return *pages_[page];
}

std::shared_ptr<const Snapshot> Publisher::publish(Drain& drain, CollectorStats stats) {
  const std::uint32_t size = registry_->size_for_snapshot(next_sequence_ + 1);
  if (size != order_->size()) order_ = std::make_shared<const SeriesOrder>(registry_, size);
  const std::size_t pages = (std::size_t{size} + ValuesPage::kSeries - 1) / ValuesPage::kSeries;
  pages_.reserve(pages);
  while (pages_.size() < pages) pages_.emplace_back(new ValuesPage);
  for (const std::uint32_t index : drain.changed()) {
    const Cell& cell = drain.cell(index);
    if (cell.count == 0) continue;  // refused values only
    writable_page(index / ValuesPage::kSeries).values[index % ValuesPage::kSeries] = {cell.count, cell.total(), cell.min, cell.max,
                                                                                      cell.last};
  }
  auto data = std::make_unique<SnapshotData>();
  data->sequence = next_sequence_;
  data->taken_at = std::chrono::system_clock::now();
  data->stats = std::move(stats);
  data->stats.series = size;
  data->registry = registry_;
  data->order = order_;
  data->pages = pages_;
  auto snapshot = std::make_shared<const Snapshot>(SnapshotAccess{}, std::move(data));
  drain.forget_changed();
  ++next_sequence_;
  return snapshot;
}

}  // namespace pepper::detail
