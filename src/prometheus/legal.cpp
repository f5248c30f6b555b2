#include "legal.hpp"

#include "../utf8.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace pepper::detail {

namespace {

constexpr bool is_digit(char c) noexcept { return c >= '0' && c <= '9'; }
constexpr bool is_letter(char c) noexcept { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }

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
