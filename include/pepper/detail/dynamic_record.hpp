#pragma once

#include <pepper/tags.hpp>

#include <chrono>
#include <string_view>

namespace pepper::detail {

/// A record by name, on its way down the layers to a collector. Owns nothing.
struct DynamicRecord {
  std::string_view name;
  double value;
  TagsView tags, metadata;
  std::chrono::system_clock::time_point time{};  ///< {}: now
  double weight = 1;                             ///< how many records it stands for
};

}  // namespace pepper::detail
