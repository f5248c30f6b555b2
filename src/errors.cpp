#include "errors.hpp"

#include <cstdio>
#include <mutex>
#include <new>

namespace pepper::detail {

std::string quoted(std::string_view text) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string out(1, '"');
  for (const char c : text.substr(0, 2048)) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte != 0x7f) {
      out += c;
    } else {
      out.append("\\x").append(1, kDigits[byte >> 4]).append(1, kDigits[byte & 15]);
    }
  }
  return out += '"';
}

void Errors::report(std::string_view cause, std::initializer_list<std::string_view> parts) noexcept {
  std::string line;
  std::shared_ptr<const OnError> on_error;
  try {
    line.append("pepper (").append(name_).append("): ");
    for (const std::string_view part : parts) line += part;
    const std::lock_guard lock(mutex_);
    on_error = on_error_;
    if (!*on_error && !said_.emplace(cause).second) return;
  } catch (const std::bad_alloc&) {
    return;
  }
  if (!*on_error) {
    std::fprintf(stderr, "%s\n", line.c_str());
    return;
  }
  try {
    (*on_error)(line);
  } catch (...) {
    count();
  }
}

void Errors::report_callback(std::string_view which, const char* what) noexcept {
  count();
  report(which, {which, " threw: ", what});
}

}  // namespace pepper::detail
