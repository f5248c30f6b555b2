#pragma once

#include <pepper/tags.hpp>

#include <chrono>
#include <span>

#pragma GCC visibility push(default)
namespace pepper {

/// One record that came with metadata, as it was. Its view lives as long as the snapshot that it stands in.
struct Exemplar {
  double value = 0;
  std::chrono::system_clock::time_point time{};  ///< Metric::timestamp, or when it was recorded
  std::span<const Tag> metadata;                 ///< sorted by key; of equal keys the last given
  bool is_cut = false;  ///< there was more: what follows the first tag past 256 bytes of keys and values, or past 16 tags, is left out
};

/// Of the records with metadata that a series got since the snapshot before. Both null: there was none.
struct Exemplars {
  const Exemplar* largest = nullptr;  ///< of the largest value; of equal ones the first
  const Exemplar* latest = nullptr;   ///< recorded last; may be the same
};

}  // namespace pepper
#pragma GCC visibility pop
