#include "mapping.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <new>

namespace pepper::detail {

void* map_pages(std::size_t bytes) noexcept {
  void* const at = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  return at == MAP_FAILED ? nullptr : at;
}

void unmap_pages(void* at, std::size_t bytes) noexcept { munmap(at, bytes); }

void release_pages(void* at, std::size_t bytes) noexcept {
  constexpr int kDontNeedLocked = 24;  // MADV_DONTNEED_LOCKED, which Debian 12's headers do not have; Linux 5.18
  if (madvise(at, bytes, MADV_DONTNEED) == 0 || madvise(at, bytes, kDontNeedLocked) == 0) return;
  // Locked by mlockall(), and an older kernel: they stay, and are to read as zero. Only those that there are.
  unsigned char is_there[256];
  auto* const first = static_cast<unsigned char*>(at);
  for (std::size_t offset = 0; offset < bytes; offset += sizeof is_there * kPageBytes) {
    const std::size_t pages = std::min(sizeof is_there, (bytes - offset + kPageBytes - 1) / kPageBytes);
    if (mincore(first + offset, pages * kPageBytes, is_there) != 0) std::memset(is_there, 1, pages);
    for (std::size_t page = 0; page < pages; ++page) {
      if ((is_there[page] & 1) != 0) std::memset(first + offset + page * kPageBytes, 0, kPageBytes);
    }
  }
}

void touch_pages(void* at, std::size_t bytes) noexcept {
  auto* const first = static_cast<unsigned char*>(at);
  for (std::size_t offset = 0; offset < bytes; offset += kPageBytes) {
    // Zero for zero: it writes, so the page is no longer the shared zero page, and cannot undo another thread's write. (An add of nothing
    // is turned into a mere load by clang.)
    unsigned char zero = 0;
    std::atomic_ref<unsigned char>(first[offset])
        .compare_exchange_strong(zero, 0, std::memory_order_relaxed, std::memory_order_relaxed);  // [relaxed: changes nothing]
  }
}

Pages::Pages(std::size_t bytes, bool may_be_huge) : bytes_(round_up_to_pages(bytes)) {
  constexpr std::size_t kHuge = std::size_t{2} << 20;
  if (bytes_ < kHuge || !may_be_huge) {
    at_ = map_pages(bytes_);
    if (at_ == nullptr) throw std::bad_alloc{};
    return;
  }
  bytes_ = (bytes_ + kHuge - 1) / kHuge * kHuge;
  auto* const all = static_cast<std::byte*>(map_pages(bytes_ + kHuge));
  if (all == nullptr) throw std::bad_alloc{};
  const std::size_t before = (kHuge - reinterpret_cast<std::uintptr_t>(all) % kHuge) % kHuge;
  if (before != 0) unmap_pages(all, before);
  unmap_pages(all + before + bytes_, kHuge - before);
  at_ = all + before;
  madvise(at_, bytes_, MADV_HUGEPAGE);  // if it is refused, small pages do
}

}  // namespace pepper::detail
