#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace pepper::detail {

/// HOST:PORT, taken apart.
struct Address {
  std::string host;  ///< 127.0.0.1
  std::uint16_t port = 0;

  [[nodiscard]] std::string text() const;
};

/// Throws std::invalid_argument naming it.
[[nodiscard]] Address parse_address(std::string_view text);

/// Why no socket can listen there, or can it, 0: an errno.
[[nodiscard]] int probe(const Address& address) noexcept;

}  // namespace pepper::detail
