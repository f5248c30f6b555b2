#include "address.hpp"

#include "legal.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstring>
#include <stdexcept>

namespace pepper::detail {

namespace {

/// 0: it is no address.
socklen_t to_socket_address(const Address& address, sockaddr_storage& storage) noexcept {
  std::memset(&storage, 0, sizeof storage);
  if (address.is_ipv6) {
    sockaddr_in6 to{};
    to.sin6_family = AF_INET6;
    to.sin6_port = htons(address.port);
    if (inet_pton(AF_INET6, address.host.c_str(), &to.sin6_addr) != 1) return 0;
    std::memcpy(&storage, &to, sizeof to);
    return sizeof to;
  }
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(address.port);
  if (inet_pton(AF_INET, address.host.c_str(), &to.sin_addr) != 1) return 0;
  std::memcpy(&storage, &to, sizeof to);
  return sizeof to;
}

}  // namespace

std::string Address::text() const { return (is_ipv6 ? '[' + host + ']' : host) + ':' + std::to_string(port); }

Address parse_address(std::string_view text) {
  const auto refuse = [&](const char* wanted) { throw std::invalid_argument("address \"" + legal_text(text) + "\": " + wanted); };
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) refuse("must be HOST:PORT");
  std::string_view host = text.substr(0, colon);
  const std::string_view port = text.substr(colon + 1);
  Address address;
  const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), address.port);
  if (error != std::errc{} || end != port.data() + port.size()) refuse("the port must be 0 to 65535");
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') {
    address.is_ipv6 = true;
    host = host.substr(1, host.size() - 2);
  }
  address.host = host == "localhost" ? "127.0.0.1" : host;
  sockaddr_storage storage;
  if (host.find('\0') != std::string_view::npos || to_socket_address(address, storage) == 0) {
    refuse("the host must be an IPv4 address, an IPv6 address in brackets, or localhost");
  }
  return address;
}

int probe(const Address& address) noexcept {
  sockaddr_storage storage;
  const socklen_t size = to_socket_address(address, storage);
  const int descriptor = ::socket(storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (descriptor < 0) return errno;
  const int on = 1;
  (void)::setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);  // as the server will
  const bool can = ::bind(descriptor, reinterpret_cast<const sockaddr*>(&storage), size) == 0 && ::listen(descriptor, 1) == 0;
  const int error = can ? 0 : errno;
  ::close(descriptor);
  return error;
}

}  // namespace pepper::detail
