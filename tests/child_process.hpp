#pragma once

#include <unistd.h>

#include <doctest/doctest.h>

#include <array>
#include <cstdio>
#include <string>
#include <string_view>

/// What happens once in a process, or ends with it, is looked at from outside: a test runs a test case of its own program, which is skipped
/// but where it is asked for by name, in a process of its own.
namespace child_process {

struct Ended {
  std::string output;
  int status = -1;
  [[nodiscard]] bool printed(std::string_view text) const { return output.find(text) != std::string::npos; }
};

/// Ends it after two minutes, which only a hang takes.
inline Ended run(const std::string& test_case) {
  std::array<char, 4096> path{};
  REQUIRE(readlink("/proc/self/exe", path.data(), path.size() - 1) > 0);
  const std::string command =
      "timeout -s KILL 120 '" + std::string(path.data()) + "' --no-skip --minimal --test-case='" + test_case + "' 2>&1";
  FILE* const child = popen(command.c_str(), "r");
  REQUIRE(child != nullptr);
  Ended ended;
  std::array<char, 256> line{};
  while (std::fgets(line.data(), line.size(), child) != nullptr) ended.output += line.data();
  ended.status = pclose(child);
  return ended;
}

}  // namespace child_process
