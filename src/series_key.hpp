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

  /// Looks at every byte. A key that is refused for its contents can be looked for all the same, and is not found.
  [[nodiscard]] Refusal refusal() const noexcept;
  /// With more tags than it can hold it is no key at all.
  [[nodiscard]] bool is_findable() const noexcept { return !has_too_many_tags_; }
  [[nodiscard]] std::string_view name() const noexcept { return name_; }
  [[nodiscard]] std::span<const Tag> tags() const noexcept { return {first(), tag_count_}; }
  /// Of name and tags in one stretch of bytes, each with its length, so that no two keys read alike.
  [[nodiscard]] std::uint64_t hash(KeyHash hash) const noexcept;

 private:
  [[nodiscard]] const Tag* first() const noexcept { return reinterpret_cast<const Tag*>(tags_); }

  std::string_view name_;
  alignas(Tag) std::byte tags_[kMaxTags * sizeof(Tag)];  // raw: making 32 tags costs more than sorting two
  std::size_t tag_count_ = 0;
  bool has_too_many_tags_ = false;
};

/// Lexicographic by key, then value; what a snapshot sorts by after the name.
[[nodiscard]] bool tags_less(std::span<const Tag> a, std::span<const Tag> b) noexcept;

}  // namespace pepper::detail
