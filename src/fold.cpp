#include "fold.hpp"

#include "mapping.hpp"

#include <new>

namespace pepper::detail {

namespace {

std::atomic<Kind>* map_kinds(std::uint32_t room) {
  static_assert(sizeof(std::atomic<Kind>) == 1);
  void* const at = map_pages(room);
  if (at == nullptr) throw std::bad_alloc{};
  return static_cast<std::atomic<Kind>*>(at);
}

}  // namespace

SeriesRange::SeriesRange(std::uint32_t room) : room_(room), kinds_(map_kinds(room)) {}

}  // namespace pepper::detail
