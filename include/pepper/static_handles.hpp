#pragma once

#include <pepper/collector.hpp>

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

namespace pepper {

namespace detail {

/// A string literal as a template argument.
template <std::size_t kSize>
struct FixedText {
  // NOLINTNEXTLINE(google-explicit-constructor): so that a literal can be written where it is one
  consteval FixedText(const char (&literal)[kSize]) noexcept { std::copy_n(literal, kSize, text); }
  [[nodiscard]] constexpr std::string_view view() const noexcept { return {text, kSize - 1}; }
  char text[kSize] = {};
};

[[nodiscard]] constexpr bool is_name(std::string_view text) noexcept {
  return !text.empty() && text.size() <= 255 &&
         std::ranges::none_of(text, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
}

#pragma GCC visibility push(default)

/// Which word of a handle says that it is bound.
inline constexpr std::size_t kPlaceWord = offsetof(Target, place) / sizeof(std::uint64_t);

/// What a static handle keeps, as the library knows it: so that it can be unbound when a test replaces the default collector.
struct StaticSlot {
  std::atomic<std::uint64_t>* words = nullptr;
  StaticSlot* next = nullptr;
  bool is_listed = false;
};
/// Keeps a handle in `kept`, unless `from` is the default collector no longer. True: the slot was not known yet. Thread-safe.
[[nodiscard]] bool publish_static(StaticSlot& slot, std::atomic<std::uint64_t>* kept, const std::uint64_t* words, std::size_t count,
                                  const MetricsCollector& from) noexcept;
/// Before its memory goes. The handle stays as it is.
void forget_static(StaticSlot& slot) noexcept;

#pragma GCC visibility pop

template <class Handle>
using Bind = Handle (MetricsCollector::*)(std::string_view, TagsView, SeriesOptions);

/// What one series of the default collector is called, checked when it is compiled.
template <FixedText kName, FixedText... kTags>
struct StaticSeries {
  static_assert(is_name(kName.view()), "a name has 1 to 255 bytes and no control bytes");
  static_assert(sizeof...(kTags) % 2 == 0, "tags are keys and values in turn");
  static constexpr std::size_t kTagCount = sizeof...(kTags) / 2;
  static_assert(kTagCount <= 32, "a series has at most 32 tags");

  static constexpr std::array<Tag, kTagCount> tags() noexcept {
    constexpr std::array<std::string_view, sizeof...(kTags)> kTexts{kTags.view()...};
    std::array<Tag, kTagCount> tags{};
    for (std::size_t i = 0; i < kTagCount; ++i) tags[i] = {kTexts[2 * i], kTexts[2 * i + 1]};
    return tags;
  }
  static constexpr bool are_tags_valid() noexcept {
    const auto all = tags();
    return std::ranges::all_of(all, [](const Tag& tag) { return is_name(tag.key) && tag.value.size() <= 1024; });
  }
  static_assert(are_tags_valid(), "a tag's key has 1 to 255 bytes and no control bytes, its value at most 1024 bytes");

  /// Bound at the first call; by several threads at once to the same. Hidden, so that each library has its own and can be unloaded.
  template <class Handle>
  [[gnu::visibility("hidden"), gnu::always_inline]] static Handle handle(Bind<Handle> bind) {
    std::array<std::uint64_t, kWords<Handle>> words{};
    const auto& kept = StaticSeries::kept<Handle>();
    const std::uintptr_t slots_offset = thread_slots_offset();  // before the branch: past a call that may throw clang cannot hoist it
    words[kPlaceWord] =
        kept[kPlaceWord].load(std::memory_order_acquire);  // [static:acquire] pairs with [static:release] in publish_static()
    if (words[kPlaceWord] == 0) [[unlikely]]
      return make(bind, slots_offset);
    for (std::size_t i = 0; i < kWords<Handle>; ++i) {
      if (i != kPlaceWord) words[i] = kept[i].load(std::memory_order_relaxed);  // [relaxed: published with the place]
    }
    return std::bit_cast<Handle>(words);
  }

 private:
  template <class Handle>
  static constexpr std::size_t kWords = sizeof(Handle) / sizeof(std::uint64_t);
  // In functions, as g++ does not hide what a template has of static members.
  template <class Handle>
  [[gnu::visibility("hidden"), gnu::always_inline]] static auto& kept() noexcept {
    static constinit std::array<std::atomic<std::uint64_t>, kWords<Handle>> kept{};
    return kept;
  }
  template <class Handle>
  [[gnu::visibility("hidden")]] static StaticSlot& slot() noexcept {
    static constinit StaticSlot slot{};
    return slot;
  }

  template <class Handle>
  [[gnu::visibility("hidden"), gnu::noinline, gnu::cold]] static Handle make(Bind<Handle> bind, std::uintptr_t) {
    constexpr auto kAll = tags();
    MetricsCollector& from = default_collector();
    const Handle made = (from.*bind)(kName.view(), TagsView(kAll), {});
    const auto words = std::bit_cast<std::array<std::uint64_t, kWords<Handle>>>(made);
    // Of this library, not of the process: it may be unloaded.
    if (publish_static(slot<Handle>(), kept<Handle>().data(), words.data(), words.size(), from) && std::atexit(&forget<Handle>) != 0)
      forget<Handle>();
    return made;
  }
  template <class Handle>
  [[gnu::visibility("hidden")]] static void forget() noexcept {
    forget_static(slot<Handle>());
  }
};

}  // namespace detail

// Handles of the default collector without a variable to keep them in:
//
//   pepper::counter<"requests_total", "method", "GET">().add();
//
// Keys and values of tags follow the name, in turn; what bind would refuse does not compile. The first call, wherever it is, starts the
// default collector if need be and binds; every other costs two
// instructions more than a handle in a variable. Thread-safe. The first call throws
// std::bad_alloc as bind does, and the next one then tries again. For other options, bind.

#if defined(PEPPER_DISABLED)
template <detail::FixedText kName, detail::FixedText... kTags>
[[nodiscard]] constexpr Counter counter() noexcept {
  static_assert(sizeof(detail::StaticSeries<kName, kTags...>) != 0, "what bind would refuse does not compile here either");
  return {};
}
template <detail::FixedText kName, detail::FixedText... kTags>
[[nodiscard]] constexpr Gauge gauge() noexcept {
  static_assert(sizeof(detail::StaticSeries<kName, kTags...>) != 0, "what bind would refuse does not compile here either");
  return {};
}
template <detail::FixedText kName, detail::FixedText... kTags>
[[nodiscard]] constexpr Summary summary() noexcept {
  static_assert(sizeof(detail::StaticSeries<kName, kTags...>) != 0, "what bind would refuse does not compile here either");
  return {};
}
template <detail::FixedText kName, detail::FixedText... kTags>
[[nodiscard]] constexpr Histogram histogram() noexcept {
  static_assert(sizeof(detail::StaticSeries<kName, kTags...>) != 0, "what bind would refuse does not compile here either");
  return {};
}
template <detail::FixedText kName, detail::FixedText... kTags>
[[nodiscard]] constexpr Timer timer() noexcept {
  static_assert(sizeof(detail::StaticSeries<kName, kTags...>) != 0, "what bind would refuse does not compile here either");
  return {};
}
#else
template <detail::FixedText kName, detail::FixedText... kTags>
[[nodiscard, gnu::visibility("hidden")]] inline Counter counter() {
  return detail::StaticSeries<kName, kTags...>::handle(&MetricsCollector::counter);
}
template <detail::FixedText kName, detail::FixedText... kTags>
[[nodiscard, gnu::visibility("hidden")]] inline Gauge gauge() {
  return detail::StaticSeries<kName, kTags...>::handle(&MetricsCollector::gauge);
}
template <detail::FixedText kName, detail::FixedText... kTags>
[[nodiscard, gnu::visibility("hidden")]] inline Summary summary() {
  return detail::StaticSeries<kName, kTags...>::handle(&MetricsCollector::summary);
}
template <detail::FixedText kName, detail::FixedText... kTags>
[[nodiscard, gnu::visibility("hidden")]] inline Histogram histogram() {
  return detail::StaticSeries<kName, kTags...>::handle(&MetricsCollector::histogram);
}
template <detail::FixedText kName, detail::FixedText... kTags>
[[nodiscard, gnu::visibility("hidden")]] inline Timer timer() {
  return detail::StaticSeries<kName, kTags...>::handle(&MetricsCollector::timer);
}
#endif

}  // namespace pepper
