#pragma once

#include <pepper/detail/rate_gate.hpp>

#include "mutex.hpp"
#include "place.hpp"
#include "rate_limit.hpp"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <unordered_map>
#include <utility>
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
    Node(std::uint32_t of, Node* before) noexcept : series(of), older(before) {}
    /// What is shown never goes down, though the end of a limit may for a moment miss what was refused as it began.
    void show(std::uint64_t count) noexcept {
      const std::uint64_t more = count - ignored - shown;
      if (static_cast<std::int64_t>(more) > 0) shown += more;
    }

    const std::uint32_t series;
    Node* const older;
    /// See is_limit(). Above the lowest bit the number of the limit, or the count that it has left behind.
    std::atomic<std::uint64_t> state{0};
    std::atomic<std::uint64_t> base{0};    ///< counted by limits before; constant while one is there
    std::atomic<std::uint32_t> index{0};   ///< of that limit among all
    Node* next_left = nullptr;             ///< under mutex_
    std::uint64_t shown = 0, ignored = 0;  ///< drainer only
  };

  static constexpr std::size_t kNodeBytes = sizeof(Node) + 128;  ///< with what finds it, about

  [[nodiscard]] static constexpr bool is_limit(std::uint64_t state) noexcept { return (state & 1) != 0; }
  [[nodiscard]] static std::uint64_t count(const Node& node) noexcept;
  template <class Visit>
  void for_each(Visit&& visit);
  /// One that no group has. Throws std::bad_alloc.
  [[nodiscard]] Node& take_node(std::uint32_t series);
  void end(Node& node) noexcept;

  Place& place_;
  Mutex mutex_;
  std::deque<Node> nodes_;                                         // this and the next two: under mutex_
  std::map<std::pair<std::uint64_t, std::uint32_t>, Node*> held_;  ///< by group and series
  std::unordered_map<std::uint32_t, Node*> left_;                  ///< by series: where limits were, a list
  std::atomic<Node*> newest_{nullptr};
  bool is_manual_ = false;      ///< under mutex_
  bool is_discarding_ = false;  ///< drainer only
};

}  // namespace pepper::detail
