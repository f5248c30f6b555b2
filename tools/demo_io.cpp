#include "demo_io.hpp"

#include <array>
#include <cerrno>
#include <climits>
#include <cstddef>
#include <cstdio>

#include <fcntl.h>
#include <unistd.h>

namespace demo {

namespace {

FileDescriptor open_or_throw(int root, const char* path, int flags) {
  FileDescriptor opened(::openat(root, path, flags | O_CLOEXEC));
  if (opened.get() < 0) throw IoError{errno};
  return opened;
}

}  // namespace

FileDescriptor::~FileDescriptor() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

FileDescriptor open_root(const std::string& path) { return open_or_throw(AT_FDCWD, path.c_str(), O_RDONLY | O_DIRECTORY); }

FileDescriptor open_beneath(const FileDescriptor& root, const std::string& path, int extra_flags) {
  FileDescriptor step;
  std::size_t from = 0;
  while (path.size() - from >= PATH_MAX) {
    const std::size_t slash = path.rfind('/', from + PATH_MAX - 1);
    if (slash == std::string::npos || slash <= from) throw IoError{ENAMETOOLONG};
    const int at = step.get() < 0 ? root.get() : step.get();
    step = open_or_throw(at, path.substr(from, slash - from).c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW);
    from = slash + 1;
  }
  const int at = step.get() < 0 ? root.get() : step.get();
  return open_or_throw(at, path.c_str() + from, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | extra_flags);
}

std::string printable(const std::string& path) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (const char c : path) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte < 0x7f) {
      text += c;
    } else {
      text += {'\\', 'x', kDigits[byte >> 4], kDigits[byte & 15]};
    }
  }
  return text;
}

std::string human_bytes(double bytes) {
  static constexpr std::array kUnits = {"B", "kB", "MB", "GB", "TB", "PB"};
  std::size_t unit = 0;
  while (bytes >= 999.5 && unit + 1 < kUnits.size()) {
    bytes /= 1000;
    ++unit;
  }
  return decimal(bytes, unit == 0 || bytes >= 99.95 ? 0 : 1) + " " + kUnits[unit];
}

std::string decimal(double value, int digits) {
  std::array<char, 400> text;  // the longest double has 309 digits before the point
  const int length = std::snprintf(text.data(), text.size(), "%.*f", digits, value);
  return {text.data(), static_cast<std::size_t>(length)};
}

}  // namespace demo
