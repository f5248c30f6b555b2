#include "demo_errors.hpp"

#include <cstring>

namespace demo {

void ErrorLog::add(const std::string& path, int error_number) {
  const std::lock_guard lock(mutex_);
  ++by_number_[error_number];
  if (examples_.size() < kMaxExamples) examples_.push_back({path, error_number});
}

std::uint64_t ErrorLog::count() const {
  std::uint64_t total = 0;
  for (const auto& [number, count] : by_number()) total += count;
  return total;
}

std::map<int, std::uint64_t> ErrorLog::by_number() const {
  const std::lock_guard lock(mutex_);
  return by_number_;
}

std::vector<ErrorLog::Example> ErrorLog::examples() const {
  const std::lock_guard lock(mutex_);
  return examples_;
}

std::string error_name(int error_number) {
  const char* const name = ::strerrorname_np(error_number);
  return name != nullptr ? name : "errno " + std::to_string(error_number);
}

}  // namespace demo
