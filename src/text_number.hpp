#pragma once

#include <charconv>
#include <string>

namespace pepper::detail {

/// Six significant digits, the same under every locale; "-" for NaN.
[[nodiscard]] inline std::string to_text(double value) {
  char digits[32];
  const auto end = std::to_chars(digits, digits + sizeof digits, value, std::chars_format::general, 6).ptr;
  return value != value ? "-" : std::string(digits, end);
}

}  // namespace pepper::detail
