#pragma once

#include <pepper/stats.hpp>

#include <prometheus/metric_family.h>

#include <cstddef>
#include <vector>

namespace pepper::detail {

/// The ledger and the collector's health as families; each has a name of its own, the same for all ledgers.
[[nodiscard]] std::vector<prometheus::MetricFamily> ledger_families(const CollectorStats& stats, std::size_t left_out);

}  // namespace pepper::detail
