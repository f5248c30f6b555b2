#pragma once

#include <pepper/snapshot.hpp>
#include <pepper/stats.hpp>

#include "rate_limits.hpp"
#include "exemplar_store.hpp"
#include "merged_buckets.hpp"
#include "registry.hpp"
#include "values_page.hpp"

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

namespace pepper::detail {

/// A registry's first `size` series: their parts, and, made when first asked for, their (name, tags) order, in which parts are not. Shared
/// by all snapshots with the same series. Thread-safe.
class SeriesOrder {
 public:
  /// Throws std::bad_alloc.
  SeriesOrder(std::shared_ptr<const Registry> registry, std::uint32_t size);

  ~SeriesOrder();
  SeriesOrder(const SeriesOrder&) = delete;
  SeriesOrder& operator=(const SeriesOrder&) = delete;

  [[nodiscard]] std::uint32_t size() const noexcept { return size_; }
  /// Those that are no part of another.
  [[nodiscard]] std::uint32_t whole() const noexcept { return size_ - static_cast<std::uint32_t>(parts_.size()); }
  /// Of all series, by the series that they are of, the older ones first.
  [[nodiscard]] std::span<const SeriesPart> parts() const noexcept { return parts_; }
  /// Of one series; a stretch of those.
  [[nodiscard]] std::span<const SeriesPart> parts_of(std::uint32_t index) const noexcept;
  [[nodiscard]] const std::vector<std::uint32_t>& indices() const;

 private:
  std::shared_ptr<const Registry> registry_;
  std::uint32_t size_;
  std::vector<SeriesPart> parts_;
  /// Not a once_flag beside a vector: in a child of a thread's that was at it, the vector would be half made.
  mutable std::atomic<const std::vector<std::uint32_t>*> indices_{nullptr};
};

struct SnapshotData {
  std::uint64_t sequence = 0;
  std::chrono::system_clock::time_point taken_at{};
  CollectorStats stats;
  std::shared_ptr<const Registry> registry;
  std::shared_ptr<const SeriesOrder> order;
  Values values;
  std::vector<Refused> refused{};  ///< by series
  mutable MergedBuckets merged{};
  std::vector<SeriesExemplars> exemplars;  ///< by index
};

/// Who holds one may make snapshots.
struct SnapshotAccess {};

}  // namespace pepper::detail
