#include "errors.hpp"

#include <cstdio>
#include <mutex>
#include <new>

namespace pepper::detail {

void Errors::report(std::string_view cause, std::initializer_list<std::string_view> parts) noexcept {
  std::string line;
  try {
    line.append("pepper (").append(name_).append("): ");
    for (const std::string_view part : parts) line += part;
    if (!on_error_) {
      const std::lock_guard lock(mutex_);
      if (!said_.emplace(cause).second) return;
    }
  } catch (const std::bad_alloc&) {
    return;
  }
  if (!on_error_) {
    std::fprintf(stderr, "%s\n", line.c_str());
    return;
  }
  try {
    on_error_(line);
  } catch (...) {
    count();
  }
}

void Errors::report_callback(std::string_view which, const char* what) noexcept {
  count();
  report(which, {which, " threw: ", what});
}

}  // namespace pepper::detail
