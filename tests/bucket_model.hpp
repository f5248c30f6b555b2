#pragma once

#include "buckets.hpp"
#include "internals.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <map>
#include <random>
#include <vector>

/// What tests of distributions share: a distribution as its definition has it, to compare with.
namespace bucket_model {

using namespace internals;

inline constexpr double kInfinity = std::numeric_limits<double>::infinity();
inline constexpr int kRounds = kIsSanitized ? 40 : 400;

/// A budget, what distributions have of it, and at the end nothing of either.
struct Room {
  explicit Room(std::size_t bytes = std::size_t{64} << 20) { budget.set_limit(bytes); }
  ~Room() {
    CHECK(in_use() == 0);
    lease.none_is_present();
    CHECK(budget.used() == 0);
  }
  Room(const Room&) = delete;
  Room& operator=(const Room&) = delete;

  /// What is set aside left out.
  [[nodiscard]] std::size_t in_use() const { return budget.used() - lease.reserved(); }

  Budget budget;
  BucketLease lease{budget};
};

/// A distribution by its definition: a count for each index of each sign, at one scale.
struct Model {
  int scale = kMaxScale;
  std::map<std::int32_t, std::uint64_t> counts[2];
  std::uint64_t special[3] = {};

  void lower(int to) {
    if (to >= scale) return;
    for (auto& of : counts) {
      std::map<std::int32_t, std::uint64_t> lower;
      for (const auto& [index, count] : of) lower[index >> (scale - to)] += count;
      of = std::move(lower);
    }
    scale = to;
  }
  void add(double value, std::uint64_t count = 1) {
    if (value == 0) {
      special[PageKey::zero] += count;
    } else if (std::isinf(value)) {
      special[value > 0 ? PageKey::positive_infinity : PageKey::negative_infinity] += count;
    } else {
      counts[value < 0][bucket_index_slow(std::bit_cast<std::uint64_t>(std::abs(value)), scale)] += count;
    }
  }
  [[nodiscard]] std::uint64_t total() const {
    std::uint64_t sum = special[0] + special[1] + special[2];
    for (const auto& of : counts) {
      for (const auto& [index, count] : of) sum += count;
    }
    return sum;
  }
  friend bool operator==(const Model& a, const Model& b) {
    return a.scale == b.scale && a.counts[0] == b.counts[0] && a.counts[1] == b.counts[1] && std::ranges::equal(a.special, b.special);
  }
};

inline Model model_of(const Buckets& of) {
  Model model;
  model.scale = of.scale();
  for (const bool sign : {false, true}) {
    const Buckets::Window& window = of.window(sign);
    for (std::uint32_t i = 0; i < window.size; ++i) {
      if (const std::uint64_t count = of.count(sign, i)) model.counts[sign][window.first + static_cast<std::int32_t>(i)] += count;
    }
  }
  for (const PageKey::Special what : {PageKey::zero, PageKey::positive_infinity, PageKey::negative_infinity})
    model.special[what] = of.special(what);
  return model;
}

/// As it is at that scale, or lower if it is already.
inline Model at_scale(Model model, int scale) {
  model.lower(scale);
  return model;
}

inline std::uint32_t size_of(const Buckets& of) { return of.window(false).size + of.window(true).size; }

inline bool add(BucketWriter& writer, double value, int scale, std::uint64_t count = 1) {
  return writer.add(place_bucket(std::bit_cast<std::uint64_t>(value), 0, scale_code(scale)), count);
}

inline double any_value(std::mt19937_64& random, double spread) {
  switch (random() % 40) {
    case 0:
      return 0;
    case 1:
      return kInfinity;
    case 2:
      return -kInfinity;
    case 3:
      return 5e-324 * static_cast<double>(1 + random() % 100);
    default:
      break;
  }
  const double magnitude = std::exp(std::normal_distribution<double>{0, spread}(random));
  const double value = std::clamp(magnitude, 5e-324, std::numeric_limits<double>::max());
  return random() % 3 == 0 ? -value : value;
}

}  // namespace bucket_model
