#pragma once

#include "demo_counts.hpp"

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <stop_token>
#include <string>
#include <thread>

namespace demo {

/// The job at one moment, as it is shown.
struct Moment {
  std::uint64_t files = 0, bytes = 0;
  std::uint64_t known_files = 0, known_bytes = 0;
  bool is_walking = true;
  double seconds = 0;  ///< since the hashing began
};

/// One line of fewer than `columns` characters, padded to columns - 1 so that it covers the line before it: share, bar, rate and time left.
[[nodiscard]] std::string bar_line(const Moment& moment, unsigned columns);
/// The same for a file or a pipe, without the bar.
[[nodiscard]] std::string plain_line(const Moment& moment);

/// Shows how far a job is on standard output for as long as it lives: on a terminal one line that is rewritten ten times a second and
/// cleared at the end, elsewhere (and where TERM is "dumb") a line a second. Reads `counts` only. Nothing else may write to standard output
/// meanwhile.
class Display {
 public:
  explicit Display(const JobCounts& counts);
  Display(const Display&) = delete;
  Display& operator=(const Display&) = delete;
  ~Display() = default;  // stops and joins

 private:
  void run(const std::stop_token& stop);
  [[nodiscard]] Moment look() const;
  /// False: stopped.
  [[nodiscard]] bool sleep(const std::stop_token& stop, std::chrono::milliseconds duration);

  const JobCounts& counts_;
  std::mutex mutex_;
  std::condition_variable_any wake_;
  std::jthread thread_;  // last: uses the others
};

}  // namespace demo
