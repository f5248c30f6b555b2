#pragma once

#include <cstddef>
#include <new>
#include <utility>

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

/// Mapped for good, all bytes zero. Throws std::bad_alloc.
template <class T>
[[nodiscard]] T* map_array(std::size_t count) {
  void* const at = map_pages(count * sizeof(T));
  if (at == nullptr) throw std::bad_alloc{};
  return static_cast<T*>(at);
}

/// Owns a stretch of pages. From 2 MiB on it asks for huge ones, as a look-up among many series would otherwise wait for the TLB more than
/// for memory.
class Pages {
 public:
  Pages() noexcept = default;
  /// Throws std::bad_alloc.
  explicit Pages(std::size_t bytes, bool may_be_huge = true);
  Pages(Pages&& other) noexcept : at_(std::exchange(other.at_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}
  Pages& operator=(Pages other) noexcept {
    std::swap(at_, other.at_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  ~Pages() {
    if (at_ != nullptr) unmap_pages(at_, bytes_);
  }

  [[nodiscard]] std::byte* data() const noexcept { return static_cast<std::byte*>(at_); }
  [[nodiscard]] std::size_t size() const noexcept { return bytes_; }

 private:
  void* at_ = nullptr;
  std::size_t bytes_ = 0;
};

}  // namespace pepper::detail
