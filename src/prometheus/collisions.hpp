#pragma once

#include <pepper/prometheus.hpp>
#include <pepper/snapshot.hpp>

#include "family.hpp"

#include <array>
#include <cstddef>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace pepper::detail {

/// Finds, as series come, those that a page cannot show both: whatever make_plan() leaves out has been named here before. Which of them it
/// shows is the page's affair. Thread-compatible.
class Collisions {
 public:
  /// `options` must live as long as it.
  explicit Collisions(const PrometheusOptions& options);

  /// A series that is new, or that became something else: what is to be said of it. Nothing is said twice.
  [[nodiscard]] std::vector<std::string> see(const SeriesSnapshot& series);

 private:
  /// The series of one name.
  struct Group {
    std::array<std::size_t, kSorts> series{};  ///< of each sort
    bool has_distributed = false;
    std::set<std::string> units{};
    std::vector<std::string> samples{};  ///< of all that it may be shown as: of several sorts or units, which depends on their order
  };
  using Named = std::pair<const std::string, Group>;
  struct Shown {
    std::size_t series;
    Sort sort;
  };

  /// The sort that it was before, if it is not new.
  std::optional<Sort> see_labels(const SeriesSnapshot& series);
  void see_sort(Named& named, Sort sort, std::optional<Sort> before);
  void see_name(Named& named);
  void collide(const Named& one, const Named* other, const std::string& sample);
  void say(std::string text);

  const PrometheusOptions& options_;
  std::map<std::string, Group, std::less<>> groups_;
  std::unordered_map<std::string, std::vector<const Named*>> claims_;  ///< names of samples, and whose they are; null: the ledger's
  /// By name and labels as they are shown, who is: hashes both, as at worst one line too many is said.
  std::unordered_map<std::size_t, Shown> shown_;
  std::set<std::string> said_;
  std::vector<std::string> news_;
};

}  // namespace pepper::detail
