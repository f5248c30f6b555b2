#include "demo_serve.hpp"

#include <cerrno>
#include <csignal>
#include <cstdint>
#include <system_error>

#include <sys/eventfd.h>
#include <unistd.h>

namespace demo {

namespace {

int interrupted = -1;

/// On any thread.
void interrupt(int) {
  const int error = errno;
  const std::uint64_t one = 1;
  (void)!::write(interrupted, &one, sizeof one);
  errno = error;
}

}  // namespace

void wait_for_interrupt() {
  interrupted = ::eventfd(0, EFD_CLOEXEC);
  if (interrupted < 0) throw std::system_error(errno, std::system_category(), "eventfd");
  struct sigaction action {};
  action.sa_handler = interrupt;
  action.sa_flags = SA_RESETHAND;  // a second Ctrl-C ends it, should the first not
  for (const int signal : {SIGINT, SIGTERM}) ::sigaction(signal, &action, nullptr);
  std::uint64_t count = 0;
  while (::read(interrupted, &count, sizeof count) < 0 && errno == EINTR) {
  }
}

}  // namespace demo
