#pragma once

#include <pepper/distribution.hpp>

#include <cstdint>
#include <span>
#include <vector>

namespace pepper::detail {

/// Finds the `le` borders that all histograms of a family share, whatever the scale of each: borders of the one with the coarsest buckets
/// are borders of all.
class Borders {
 public:
  /// `least` and `most` are the series' own.
  void see(const Distribution& distribution, double least, double most);
  /// Ascending and finite; none where there is no record. `chosen` is what PrometheusShape::buckets says.
  [[nodiscard]] std::vector<double> settle(std::span<const double> chosen) const;

 private:
  [[nodiscard]] std::vector<double> powers_of_two() const;

  Distribution coarsest_;
  bool has_any_ = false, has_positive_ = false, has_other_ = false;
  double least_positive_ = 0, most_ = 0;
};

/// How many records are at most (below 0: less than) each of the borders.
[[nodiscard]] std::vector<std::uint64_t> counts_up_to(const Distribution& distribution, std::span<const double> borders);

}  // namespace pepper::detail
