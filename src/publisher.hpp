#pragma once

#include <pepper/snapshot.hpp>

#include "drain.hpp"
#include "rate_limits.hpp"
#include "registry.hpp"
#include "snapshot_data.hpp"

#include <memory>
#include <vector>

namespace pepper::detail {

/// Makes snapshots out of what a drain has aggregated. Costs as the series that changed: pages without any are shared with the snapshot
/// before. Under the collector's drain mutex.
class Publisher {
 public:
  explicit Publisher(std::shared_ptr<Registry> registry);

  /// Moves from the exemplars. Throws std::bad_alloc, and then publishes it all with the next call.
  [[nodiscard]] std::shared_ptr<const Snapshot> publish(Drain& drain, std::vector<SeriesExemplars>& exemplars, CollectorStats stats,
                                                        std::vector<Refused> refused);
  /// In a child: no series has a value. The sequence goes on, as the parent's snapshots are still there.
  void start_over() noexcept { values_.clear(); }

 private:
  std::shared_ptr<Registry> registry_;
  std::shared_ptr<const SeriesOrder> order_;
  Values values_;
  std::uint64_t next_sequence_ = 0;
};

}  // namespace pepper::detail
