#pragma once

#include <pepper/snapshot.hpp>

#include "registry.hpp"
#include "snapshot_data.hpp"

#include <span>

namespace pepper::detail {

/// Puts a series together from the records of each weight, but for its distribution: of what was kept, what all was, and how far off that
/// may be.
void add_up(SeriesSnapshot& series, const SnapshotData& data, std::span<const SeriesPart> parts) noexcept;

}  // namespace pepper::detail
