#include "fold.hpp"

#include "mapping.hpp"

namespace pepper::detail {

SeriesRange::SeriesRange(std::uint32_t room)
    : room_(room),
      kinds_(map_array<std::atomic<Kind>>(room)),
      scales_(map_array<std::atomic<ScaleCode>>(room)),
      limits_(map_array<std::atomic<const BucketLimits*>>(room)),
      checks_(room) {}

}  // namespace pepper::detail
