#pragma once

#include <pepper/tags.hpp>

#include <algorithm>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>

namespace pepper::detail {

/// With every control byte as a question mark.
inline void append_printable(std::string& text, std::string_view raw) {
  for (const char c : raw) text += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? '?' : c;
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
  return static_cast<std::size_t>(std::ranges::count_if(text, [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
}

}  // namespace pepper::detail
