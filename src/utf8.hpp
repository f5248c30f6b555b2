#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace pepper::detail {

[[nodiscard]] constexpr bool is_continuation(char c) noexcept { return (static_cast<std::uint8_t>(c) & 0xc0) == 0x80; }

/// Bytes of the UTF-8 character that a text begins with, as RFC 3629 has it: none overlong, no surrogates. 0: there is none.
[[nodiscard]] inline std::size_t character_size(std::string_view text) noexcept {
  const auto byte = [&](std::size_t i) { return static_cast<std::uint8_t>(text[i]); };
  const std::uint8_t first = byte(0);
  if (first < 0x80) return 1;
  const std::size_t size = first < 0xc2 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : first < 0xf5 ? 4 : 0;
  if (size == 0 || text.size() < size) return 0;
  const std::uint8_t least = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80, most = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
  if (byte(1) < least || byte(1) > most) return 0;
  for (std::size_t i = 2; i < size; ++i) {
    if (!is_continuation(text[i])) return 0;
  }
  return size;
}

}  // namespace pepper::detail
