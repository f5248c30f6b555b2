#pragma once

#include <pepper/pepper.hpp>

#include <doctest/doctest.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

/// What the contract tests share: they know pepper by its public headers alone.
namespace contract {

/// Without threads, and silent: flush() does the work, and what goes wrong is read off the ledger.
inline pepper::TelemetryConfig manual(std::size_t buffer_size = 65'536) {
  pepper::TelemetryConfig config;
  config.buffer_size = buffer_size;
  config.flush_mode = pepper::FlushMode::manual;
  config.on_error = [](std::string_view) {};
  return config;
}

/// With threads, and silent. An hour is longer than any test: what is published, flush() or shutdown() has published.
inline pepper::TelemetryConfig background(std::chrono::nanoseconds flush_interval = std::chrono::hours{1}) {
  pepper::TelemetryConfig config = manual();
  config.flush_mode = pepper::FlushMode::background;
  config.flush_interval = flush_interval;
  return config;
}

/// The series, which has to be there.
inline std::shared_ptr<const pepper::SeriesSnapshot> series(const pepper::Snapshot& in, std::string_view name, pepper::TagsView tags = {}) {
  auto found = in.find(name, tags);
  INFO("series " << std::string(name));
  REQUIRE(found != nullptr);
  return found;
}

/// How many records a series has; 0 if it is not there.
inline std::uint64_t count(const pepper::Snapshot& in, std::string_view name, pepper::TagsView tags = {}) {
  const auto found = in.find(name, tags);
  return found == nullptr ? 0 : found->count;
}

inline std::uint64_t lost(const pepper::CollectorStats& stats, pepper::Cause cause) {
  for (const pepper::Loss& loss : stats.losses) {
    if (loss.cause == cause) return loss.count;
  }
  return 0;
}

/// True where nothing is missing: every snapshot's ledger has to look like this.
inline bool is_balanced(const pepper::CollectorStats& stats) {
  std::uint64_t by_cause = 0;
  for (const pepper::Loss& loss : stats.losses) by_cause += loss.count;
  return stats.recorded == stats.aggregated + stats.pending + stats.dropped && stats.dropped == by_cause &&
         stats.pending <= stats.recorded && stats.spilled <= stats.aggregated;
}

/// Looks until `condition` holds; false if it did not within ten seconds, which only a hang takes.
template <class Condition>
bool comes_true(Condition&& condition) {
  const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds{10};
  while (!condition()) {
    if (std::chrono::steady_clock::now() > give_up) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds{1});
  }
  return true;
}

/// Runs `work(i)` on `threads` threads at once and waits for all of them.
template <class Work>
void on_threads(std::size_t threads, const Work& work) {
  std::vector<std::jthread> running;
  running.reserve(threads);
  for (std::size_t i = 0; i < threads; ++i) running.emplace_back([&work, i] { work(i); });
}

}  // namespace contract
