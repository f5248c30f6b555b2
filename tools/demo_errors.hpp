#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <vector>

namespace demo {

/// What could not be read, and why: counts of all, the first few by name. Thread-safe; a lock will do, errors are rare.
class ErrorLog {
 public:
  struct Example {
    std::string path;
    int error_number;
  };

  void add(const std::string& path, int error_number);

  [[nodiscard]] std::uint64_t count() const;
  [[nodiscard]] std::map<int, std::uint64_t> by_number() const;
  [[nodiscard]] std::vector<Example> examples() const;

 private:
  static constexpr std::size_t kMaxExamples = 10;

  mutable std::mutex mutex_;
  std::map<int, std::uint64_t> by_number_;
  std::vector<Example> examples_;
};

/// "EACCES" for EACCES: a short and bounded set of names, fit for a tag.
[[nodiscard]] std::string error_name(int error_number);

}  // namespace demo
