#include "legal.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace pepper::detail {

namespace {

constexpr bool is_digit(char c) noexcept { return c >= '0' && c <= '9'; }
constexpr bool is_letter(char c) noexcept { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
constexpr bool is_continuation(char c) noexcept { return (static_cast<std::uint8_t>(c) & 0xc0) == 0x80; }

/// A character that is illegal becomes one _, however many bytes it has.
std::string legal_name(std::string_view name, bool may_have_colons) {
  std::string legal;
  legal.reserve(name.size() + 1);
  if (name.empty() || is_digit(name.front())) legal += '_';
  bool is_inside = false;
  for (const char c : name) {
    const bool is_legal = is_letter(c) || is_digit(c) || (c == ':' && may_have_colons);
    if (is_legal) {
      legal += c;
    } else if (!is_inside || !is_continuation(c)) {
      legal += '_';
    }
    is_inside = static_cast<std::uint8_t>(c) >= 0x80;
  }
  return legal;
}

/// Bytes of the UTF-8 character that a text begins with, as RFC 3629 has it: none overlong, no surrogates. 0: there is none.
std::size_t character_size(std::string_view text) noexcept {
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

}  // namespace

std::string legal_metric_name(std::string_view name) { return legal_name(name, true); }

std::string legal_label_name(std::string_view name) {
  std::string legal = legal_name(name, false);
  const std::size_t letters = legal.find_first_not_of('_');
  const std::size_t front = letters == std::string::npos ? legal.size() : letters;
  if (front > 1) legal.erase(0, front - 1);
  return legal;
}

std::string legal_text(std::string_view text) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  const auto is_plain = [](char c) { return c != '\0' && static_cast<std::uint8_t>(c) < 0x80; };
  const auto plain = static_cast<std::size_t>(std::ranges::find_if_not(text, is_plain) - text.begin());
  std::string legal(text.substr(0, plain));
  text.remove_prefix(plain);
  while (!text.empty()) {
    std::size_t size = text.front() == '\0' ? 0 : character_size(text);
    if (size == 0) {
      const auto byte = static_cast<std::uint8_t>(text.front());
      legal.append("\\x").append(1, kDigits[byte >> 4]).append(1, kDigits[byte & 15]);
      size = 1;
    } else {
      legal.append(text.substr(0, size));
    }
    text.remove_prefix(size);
  }
  return legal;
}

std::string legal_help(std::string_view text) {
  std::string legal;
  for (const char c : legal_text(text)) {
    if (c == '\n') {
      legal += "\\n";
    } else if (c == '\\') {
      legal += "\\\\";
    } else {
      legal += c;
    }
  }
  return legal;
}

}  // namespace pepper::detail
