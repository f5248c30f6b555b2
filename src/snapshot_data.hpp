#pragma once

#include <pepper/snapshot.hpp>
#include <pepper/stats.hpp>

#include "registry.hpp"
#include "values_page.hpp"

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <vector>

namespace pepper::detail {

/// The (name, tags) order of a registry's first `size` series. Made when first asked for, shared by all snapshots with the same series.
/// Thread-safe.
class SeriesOrder {
 public:
  SeriesOrder(std::shared_ptr<const Registry> registry, std::uint32_t size) : registry_(std::move(registry)), size_(size) {}

  ~SeriesOrder();
  SeriesOrder(const SeriesOrder&) = delete;
  SeriesOrder& operator=(const SeriesOrder&) = delete;

  [[nodiscard]] std::uint32_t size() const noexcept { return size_; }
  [[nodiscard]] const std::vector<std::uint32_t>& indices() const;

 private:
  std::shared_ptr<const Registry> registry_;
  std::uint32_t size_;
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
};

/// Who holds one may make snapshots.
struct SnapshotAccess {};

}  // namespace pepper::detail
