#include "errors.hpp"

#include <cstdio>

namespace pepper::detail {

void Errors::report(std::string_view cause, const std::string& message) noexcept {
  try {
    const std::string line = "pepper (" + name_ + "): " + message;
    if (on_error_) return on_error_(line);
    {
      const std::lock_guard lock(mutex_);
      if (!said_.emplace(cause).second) return;
    }
    std::fprintf(stderr, "%s\n", line.c_str());
  } catch (...) {
    callback_errors_.fetch_add(1, std::memory_order_relaxed);  // [relaxed: a number, guards no data]
  }
}

void Errors::report_callback(std::string_view which, const char* what) noexcept {
  callback_errors_.fetch_add(1, std::memory_order_relaxed);  // [relaxed: a number, guards no data]
  try {
    report(which, std::string(which) + " threw: " + what);
  } catch (...) {  // no memory for the message: it is counted
  }
}

}  // namespace pepper::detail
