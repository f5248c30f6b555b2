#pragma once

#include <charconv>
#include <string>

namespace pepper::detail {

/// So many significant digits, 17 at most, the same under every locale; "-" for NaN.
[[nodiscard]] inline std::string to_text(double value, int digits_shown = 6) {
  char digits[32];
  const auto end = std::to_chars(digits, digits + sizeof digits, value, std::chars_format::general, digits_shown).ptr;
  return value != value ? "-" : std::string(digits, end);
}

}  // namespace pepper::detail
