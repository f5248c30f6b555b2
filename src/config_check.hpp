#pragma once

#include <pepper/config.hpp>

namespace pepper::detail {

/// Throw std::invalid_argument naming field and value.
void check(const TelemetryConfig& config);
void check(const SeriesOptions& options);

}  // namespace pepper::detail
