#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>

/// What a client on loopback gets for a path. Throws std::runtime_error where nobody listens, or answers within ten seconds.
inline std::string http_get(std::uint16_t port, std::string_view path) {
  struct Socket {
    int descriptor = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ~Socket() { ::close(descriptor); }
  } const socket;
  const timeval patience{10, 0};
  ::setsockopt(socket.descriptor, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(port);
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::connect(socket.descriptor, reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0) throw std::runtime_error("nobody listens");
  const std::string request = "GET " + std::string(path) + " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
  if (::send(socket.descriptor, request.data(), request.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(request.size())) {
    throw std::runtime_error("cannot ask");
  }
  std::string answer;
  char piece[65536];
  for (ssize_t size; (size = ::recv(socket.descriptor, piece, sizeof piece, 0)) != 0;) {
    if (size < 0) throw std::runtime_error("no answer");
    answer.append(piece, static_cast<std::size_t>(size));
  }
  return answer;
}
