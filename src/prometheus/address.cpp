#include "address.hpp"

#include "legal.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <stdexcept>

namespace pepper::detail {

namespace {

/// False: the host is no address.
bool to_socket_address(const Address& address, sockaddr_in& to) noexcept {
  to = {};
  to.sin_family = AF_INET;
  to.sin_port = htons(address.port);
  return inet_pton(AF_INET, address.host.c_str(), &to.sin_addr) == 1;
}

}  // namespace

std::string Address::text() const { return host + ':' + std::to_string(port); }

Address parse_address(std::string_view text) {
  const auto refuse = [&](const char* wanted) { throw std::invalid_argument("address \"" + legal_text(text) + "\": " + wanted); };
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) refuse("must be HOST:PORT");
  const std::string_view host = text.substr(0, colon);
  const std::string_view port = text.substr(colon + 1);
  Address address;
  const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), address.port);
  if (error != std::errc{} || end != port.data() + port.size()) refuse("the port must be 0 to 65535");
  address.host = host == "localhost" ? "127.0.0.1" : host;
  sockaddr_in unused;
  if (host.find('\0') != std::string_view::npos || !to_socket_address(address, unused)) {
    refuse(host.starts_with('[') ? "there is no IPv6 in CivetWeb as Debian builds it" : "the host must be an IPv4 address, or localhost");
  }
  return address;
}

int probe(const Address& address) noexcept {
  sockaddr_in to;
  (void)to_socket_address(address, to);
  const int descriptor = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (descriptor < 0) return errno;
  const int on = 1;
  (void)::setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);  // as the server will
  const bool can = ::bind(descriptor, reinterpret_cast<const sockaddr*>(&to), sizeof to) == 0 && ::listen(descriptor, 1) == 0;
  const int error = can ? 0 : errno;
  ::close(descriptor);
  return error;
}

}  // namespace pepper::detail
