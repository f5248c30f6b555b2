#include "mapping.hpp"

#include <sys/mman.h>

#include <atomic>
#include <cstdint>

namespace pepper::detail {

void* map_pages(std::size_t bytes) noexcept {
  void* const at = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  return at == MAP_FAILED ? nullptr : at;
}

void unmap_pages(void* at, std::size_t bytes) noexcept { munmap(at, bytes); }

void release_pages(void* at, std::size_t bytes) noexcept { madvise(at, bytes, MADV_DONTNEED); }

void touch_pages(void* at, std::size_t bytes) noexcept {
  auto* const first = static_cast<unsigned char*>(at);
  for (std::size_t offset = 0; offset < bytes; offset += kPageBytes) {
    // An atomic add of nothing: it writes, so the page is not the shared zero page, and it cannot undo another thread's write.
    std::atomic_ref<unsigned char>(first[offset]).fetch_add(0, std::memory_order_relaxed);  // [relaxed: changes nothing]
  }
}

}  // namespace pepper::detail
