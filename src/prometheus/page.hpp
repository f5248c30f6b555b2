#pragma once

#include <pepper/prometheus.hpp>
#include <pepper/snapshot.hpp>

#include <prometheus/metric_family.h>

#include <cstddef>
#include <string>
#include <vector>

namespace pepper::detail {

/// Throws std::invalid_argument naming field and value.
void check(const PrometheusOptions& options);

/// Which series stand on a page, under which legal names: its families, with labels and as yet no values.
struct Plan {
  struct Family {
    prometheus::MetricFamily family;
    const PrometheusShape* shape = nullptr;
    std::vector<SeriesSnapshot> series{};  ///< of each metric
  };
  std::vector<Family> families;
  std::size_t left_out = 0;  ///< series: see Collisions
};

/// No two samples of it are the same, no two families claim a name. What is legal already keeps its name, else the first in the snapshot's
/// order.
[[nodiscard]] Plan make_plan(const Snapshot& snapshot, const PrometheusOptions& options);

/// All that is shown of a snapshot.
[[nodiscard]] std::vector<prometheus::MetricFamily> make_page(const Snapshot& snapshot, const PrometheusOptions& options, Plan plan);

}  // namespace pepper::detail
