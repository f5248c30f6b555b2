#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>

namespace demo {

inline constexpr unsigned kMaxThreads = 256;

/// A number that one thread writes and others may look at.
class Progress {
 public:
  void add(std::uint64_t amount) noexcept {
    value_.store(get() + amount, std::memory_order_relaxed);
  }  // [relaxed: one writer; shown, not acted on]
  [[nodiscard]] std::uint64_t get() const noexcept { return value_.load(std::memory_order_relaxed); }  // [relaxed: as above]

 private:
  std::atomic<std::uint64_t> value_ = 0;
};

/// How far the job is, for whoever shows it. Kept by hand and not read from pepper, so that the job with and the job without pepper
/// do the same work for their progress bar.
struct JobCounts {
  struct alignas(64) Worker {  // keeps two workers apart
    Progress files, bytes;
  };

  /// The walk is over, all is known.
  void begin_hashing() noexcept {
    const auto now = std::chrono::steady_clock::now().time_since_epoch();
    hashing_since_ns.add(static_cast<std::uint64_t>(std::chrono::nanoseconds(now).count()));
  }

  Progress found_files, found_bytes;  ///< written by the walk
  Progress hashing_since_ns;          ///< of the steady clock; 0: still walking
  std::array<Worker, kMaxThreads> workers;
};

}  // namespace demo
