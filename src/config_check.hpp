#pragma once

#include <pepper/config.hpp>

namespace pepper::detail {

/// Throw std::invalid_argument naming field and value.
void check(const TelemetryConfig& config);
void check(const SeriesOptions& options, Kind kind);
/// Where a field differs that cannot change while a collector lives.
void check_change(const TelemetryConfig& from, const TelemetryConfig& to);

}  // namespace pepper::detail
