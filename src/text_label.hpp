#pragma once

#include <pepper/tags.hpp>

#include "utf8.hpp"

#include <algorithm>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>

namespace pepper::detail {

/// With every control character (those of one byte, and U+0080 to U+009F, which some terminals obey), and every byte that is no UTF-8, as a
/// question mark.
inline void append_printable(std::string& text, std::string_view raw) {
  while (!raw.empty()) {
    const std::size_t size = character_size(raw);
    const std::string_view character = raw.substr(0, std::max<std::size_t>(size, 1));
    const bool is_control = character < "\x20" || character == "\x7f" || (character >= "\xc2\x80" && character <= "\xc2\x9f");
    text += size == 0 || is_control ? "?" : character;
    raw.remove_prefix(character.size());
  }
}

/// A series as name{key=value,key=value}.
[[nodiscard]] inline std::string label(std::string_view name, std::span<const Tag> tags) {
  std::string text;
  append_printable(text, name);
  if (tags.empty()) return text;
  char separator = '{';
  for (const Tag& tag : tags) {
    text += separator;
    append_printable(text, tag.key);
    text += '=';
    append_printable(text, tag.value);
    separator = ',';
  }
  return text += '}';
}

/// Characters, not bytes: continuation bytes of UTF-8 take no room.
[[nodiscard]] inline std::size_t width(std::string_view text) noexcept {
  return static_cast<std::size_t>(std::ranges::count_if(text, [](char c) { return !is_continuation(c); }));
}

}  // namespace pepper::detail
