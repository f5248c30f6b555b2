#pragma once

#include <pepper/detail/rate_gate.hpp>

#include "mutex.hpp"
#include "place.hpp"

#include <atomic>
#include <cstdint>
#include <memory>
#include <unordered_map>
#include <vector>

namespace pepper::detail {

/// Calls that the rate limits of one series have refused.
struct Refused {
  std::uint32_t series;
  std::uint64_t count;
};

/// Of all series.
[[nodiscard]] inline std::uint64_t total(const std::vector<Refused>& refused) noexcept {
  std::uint64_t total = 0;
  for (const Refused& of_series : refused) total += of_series.count;
  return total;
}

/// The rate limits of a collector's series. What threads refuse they count for themselves, and it is added up here; a limit that ends
/// leaves its count behind.
class RateLimits {
 public:
  explicit RateLimits(Place& place) noexcept : place_(place) {}
  ~RateLimits();
  RateLimits(const RateLimits&) = delete;
  RateLimits& operator=(const RateLimits&) = delete;

  /// The limit that a group, by its number, has for a series; made if there is none. Thread-safe. Throws as RateLimiter::gate().
  [[nodiscard]] RateGate get(std::uint64_t group, std::uint32_t series, double max_per_second);
  /// Ends all limits of a group. Thread-safe.
  void end(std::uint64_t group) noexcept;
  /// From now on no flusher looks: whoever is refused looks at the clock itself. Thread-safe.
  void be_manual() noexcept;

  // Drainer, under the drain mutex. -------------------------------------------------------------------------------------------------

  /// By series, each once, in their order. Waits for no thread that records. Throws std::bad_alloc.
  [[nodiscard]] std::vector<Refused> refused();
  /// From now on what is refused is nobody's, or somebody's again.
  void set_discarding(bool is_discarding) noexcept;
  /// In a child: nothing was ever refused.
  void start_over() noexcept;

 private:
  /// One series' limit in one group, or where that was: then another may take it over.
  struct Node {
    Node(std::uint32_t of, const Node* before) noexcept : series(of), older(before) {}
    const std::uint32_t series;
    const Node* const older;
    /// Lowest bit set: above it the number of the limit. Else above it the count that it has left behind.
    std::atomic<std::uint64_t> state{0};
    std::atomic<std::uint64_t> base{0};    ///< counted by limits before; constant while one is there
    std::atomic<std::uint32_t> index{0};   ///< of that limit among all
    std::uint64_t group = 0;               ///< under mutex_
    std::uint64_t shown = 0, ignored = 0;  ///< drainer only
  };

  [[nodiscard]] static std::uint64_t count(const Node& node) noexcept;
  void end(Node& node) noexcept;

  Place& place_;
  Mutex mutex_;
  std::vector<std::unique_ptr<Node>> nodes_;
  std::unordered_multimap<std::uint32_t, Node*> by_series_;
  std::atomic<Node*> newest_{nullptr};
  bool is_manual_ = false;      ///< under mutex_
  bool is_discarding_ = false;  ///< drainer only
};

}  // namespace pepper::detail
