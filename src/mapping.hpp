#pragma once

#include <cstddef>

namespace pepper::detail {

inline constexpr std::size_t kPageBytes = 4096;
inline constexpr std::size_t kCacheLine = 64;  // libstdc++ 12 warns at std::hardware_destructive_interference_size

/// Zeroed, page-aligned address space that takes memory only where it is touched. Null if there is none.
[[nodiscard]] void* map_pages(std::size_t bytes) noexcept;
void unmap_pages(void* at, std::size_t bytes) noexcept;

/// Gives the memory back and keeps the addresses: they read as zero. So a thread that still writes there does no harm.
void release_pages(void* at, std::size_t bytes) noexcept;

/// Has the kernel back these pages now, so that no later touch faults. Their contents stay.
void touch_pages(void* at, std::size_t bytes) noexcept;

[[nodiscard]] constexpr std::size_t round_up_to_pages(std::size_t bytes) noexcept {
  return (bytes + kPageBytes - 1) / kPageBytes * kPageBytes;
}

}  // namespace pepper::detail
