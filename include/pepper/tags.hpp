#pragma once

#include <concepts>
#include <cstddef>
#include <initializer_list>
#include <ranges>
#include <string_view>
#include <type_traits>
#include <vector>

#pragma GCC visibility push(default)
namespace pepper {

/// One key and one value that tell series of the same name apart. Owns nothing.
struct Tag {
  std::string_view key, value;
  friend bool operator==(const Tag&, const Tag&) = default;
};

/// A set of tags that owns its bytes: sorted by key, each key once (of equal keys the last given wins). For keeping tags;
/// to pass them, use `TagsView`. Thread-compatible.
class Tags {
 public:
  Tags() = default;
  Tags(std::initializer_list<Tag> tags) : Tags(tags.begin(), tags.size()) {}
  /// Copies `count` tags. Throws std::bad_alloc alone: what a series refuses is checked where a series is bound.
  Tags(const Tag* tags, std::size_t count);
  Tags(const Tags& other) : Tags(other.data(), other.size()) {}
  Tags(Tags&&) noexcept = default;
  Tags& operator=(const Tags& other) { return *this = Tags(other); }
  Tags& operator=(Tags&&) noexcept = default;
  ~Tags() = default;

  [[nodiscard]] const Tag* data() const noexcept { return tags_.data(); }
  [[nodiscard]] std::size_t size() const noexcept { return tags_.size(); }
  [[nodiscard]] bool empty() const noexcept { return tags_.empty(); }
  [[nodiscard]] const Tag* begin() const noexcept { return data(); }
  [[nodiscard]] const Tag* end() const noexcept { return data() + size(); }
  [[nodiscard]] const Tag& operator[](std::size_t i) const noexcept { return tags_[i]; }
  friend bool operator==(const Tags& a, const Tags& b) { return a.tags_ == b.tags_; }

 private:
  std::vector<char> bytes_;  // a vector, not a string: moving it must not move the bytes that tags_ points into
  std::vector<Tag> tags_;
};

/// Tags as a parameter: made from `{{"key", "value"}, ...}`, from `Tags`, or from any contiguous range of `Tag`. The order never
/// matters; of equal keys the last wins. Owns nothing and is not for keeping: it lives as long as the call it is passed to.
class TagsView {
 public:
  constexpr TagsView() noexcept = default;
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Winit-list-lifetime"  // a parameter type: the list outlives the call, which is all it promises
#endif
  constexpr TagsView(std::initializer_list<Tag> tags) noexcept : data_(tags.begin()), size_(tags.size()) {}
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif
  // Version 14 loses its way in the requires clause.
  // clang-format off
  template <std::ranges::contiguous_range R>
    requires std::ranges::sized_range<R> && std::same_as<std::ranges::range_value_t<R>, Tag> &&
             (!std::same_as<std::remove_cvref_t<R>, TagsView>)
  constexpr TagsView(const R& tags) noexcept : data_(std::ranges::data(tags)), size_(std::ranges::size(tags)) {}
  // clang-format on

  [[nodiscard]] constexpr const Tag* data() const noexcept { return data_; }
  [[nodiscard]] constexpr std::size_t size() const noexcept { return size_; }
  [[nodiscard]] constexpr bool empty() const noexcept { return size_ == 0; }
  [[nodiscard]] constexpr const Tag* begin() const noexcept { return data_; }
  [[nodiscard]] constexpr const Tag* end() const noexcept { return data_ + size_; }

 private:
  const Tag* data_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace pepper
#pragma GCC visibility pop
