#pragma once

#include "demo_counts.hpp"
#include "demo_errors.hpp"
#include "demo_walk.hpp"

#include <cstdint>

namespace demo {

/// What the job has done, by its own count.
struct JobResult {
  std::uint64_t files = 0;   ///< tried
  std::uint64_t failed = 0;  ///< of these, not read to their end
  std::uint64_t bytes = 0;   ///< hashed, those of failed files included
  std::uint64_t blocks = 0;
  /// The sum over all files read of XXH3-64(XXH3-64(content), seed: XXH3-64(relative path)): whichever thread came first, it is the same.
  std::uint64_t digest = 0;

  JobResult& operator+=(const JobResult& other) noexcept;
  friend bool operator==(const JobResult&, const JobResult&) = default;
};

/// Hashes every file of `tree` on `threads` threads (1 to kMaxThreads; fewer if the system gives fewer). Files that cannot be read go to
/// `errors`, and the job goes on. `Probe`: PepperProbe or NoProbe. Throws std::bad_alloc, std::system_error if not one thread can be had.
template <class Probe>
JobResult hash_tree(const Tree& tree, unsigned threads, Probe& probe, JobCounts& counts, ErrorLog& errors);

}  // namespace demo
