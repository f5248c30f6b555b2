#pragma once

#include <pepper/tags.hpp>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace pepper::detail {

inline constexpr std::size_t kMaxNameBytes = 255, kMaxTags = 32, kMaxKeyBytes = 255, kMaxValueBytes = 1024;

/// Finds a series; never decides. A parameter so that a test can make all keys collide.
using KeyHash = std::uint64_t (*)(const void* bytes, std::size_t size);
[[nodiscard]] std::uint64_t xxh3(const void* bytes, std::size_t size) noexcept;

/// Name and tags as a series is known by: tags sorted by key, each key once. Views what it was made from; lives on the stack of a call.
class SeriesKey {
 public:
  /// Why a name or tag is refused, and which; `reason` null: it is not.
  struct Refusal {
    const char* reason = nullptr;
    std::string_view text{};
  };

  SeriesKey(std::string_view name, TagsView tags) noexcept;
  /// Of the part of a series that takes its records of one weight: no user's key is like it. `sorted`: the series' own; `weight` must
  /// outlive this.
  SeriesKey(std::string_view name, std::span<const Tag> sorted, const double& weight) noexcept;

  /// Of the tags of a part, its own first.
  [[nodiscard]] static double weight_of(std::span<const Tag> tags) noexcept;

  /// Looks at every byte. A key that is refused for its contents can be looked for all the same, and is not found.
  [[nodiscard]] Refusal refusal() const noexcept;
  [[nodiscard]] std::string_view name() const noexcept { return name_; }
  [[nodiscard]] std::span<const Tag> tags() const noexcept { return {first(), tag_count_}; }
  /// Calls `use(flat)` with name, keys and values in one stretch of bytes, each after its length, so that no two keys read alike: what is
  /// hashed, compared and stored. Empty: it is longer than any key there is, or has too many tags.
  template <class Use>
  decltype(auto) flat(Use&& use) const {
    const std::size_t size = flat_size();
    return size <= kOrdinaryFlatBytes ? flat_in<kOrdinaryFlatBytes>(size, use) : flat_in<kMaxFlatBytes>(size, use);
  }

 private:
  static constexpr std::size_t kPartBytes = 2 + 1 + 2 + sizeof(double);
  static constexpr std::size_t kMaxFlatBytes = 2 + kMaxNameBytes + kMaxTags * (2 + kMaxKeyBytes + 2 + kMaxValueBytes) + kPartBytes;
  static constexpr std::size_t kOrdinaryFlatBytes = 512;

  [[nodiscard]] std::size_t flat_size() const noexcept;
  void flatten(char* to) const noexcept;
  /// Not inlined: an ordinary key's call is to need little of a stack that may be a fiber's.
  template <std::size_t kBytes, class Use>
  [[gnu::noinline]] decltype(auto) flat_in(std::size_t size, Use& use) const {
    char bytes[kBytes];
    if (size > kBytes) return use(std::string_view{});
    flatten(bytes);
    return use(std::string_view{bytes, size});
  }
  [[nodiscard]] const Tag* first() const noexcept { return reinterpret_cast<const Tag*>(tags_); }

  std::string_view name_;
  alignas(Tag) std::byte tags_[(kMaxTags + 1) * sizeof(Tag)];  // raw: making 32 tags costs more than sorting two
  std::size_t tag_count_ = 0;
  bool has_too_many_tags_ = false;
};

/// Lexicographic by key, then value; what a snapshot sorts by after the name.
[[nodiscard]] bool tags_less(std::span<const Tag> a, std::span<const Tag> b) noexcept;

}  // namespace pepper::detail
