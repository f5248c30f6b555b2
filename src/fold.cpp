#include "fold.hpp"

#include "mapping.hpp"

#include <new>

namespace pepper::detail {

namespace {

template <class T>
T* map_array(std::uint32_t room) {
  void* const at = map_pages(room * sizeof(T));
  if (at == nullptr) throw std::bad_alloc{};
  return static_cast<T*>(at);
}

}  // namespace

SeriesRange::SeriesRange(std::uint32_t room)
    : room_(room),
      kinds_(map_array<std::atomic<Kind>>(room)),
      scales_(map_array<std::atomic<ScaleCode>>(room)),
      limits_(map_array<std::atomic<const BucketLimits*>>(room)) {}

}  // namespace pepper::detail
