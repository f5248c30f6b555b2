#include "contract.hpp"
#include "resident.hpp"
#include "sanitizers.hpp"

#include <pthread.h>
#include <sys/resource.h>

#include <atomic>
#include <csignal>
#include <cstdlib>
#include <semaphore>

using namespace pepper;
using Steady = std::chrono::steady_clock;

namespace {

/// Stops a thread wherever it is, by a signal whose handler does not return until it may.
std::binary_semaphore has_stopped{0}, may_go_on{0};
void stop_here(int) {
  has_stopped.release();
  may_go_on.acquire();
}

/// How often the calling thread has had to wait for something. (Having been preempted is no wait.)
long waits_of_this_thread() {
  rusage usage{};
  getrusage(RUSAGE_THREAD, &usage);
  return usage.ru_nvcsw;
}

/// Two seconds tell a flat line from a rising one; PEPPER_STOP_SECONDS asks for more.
std::chrono::seconds how_long() {
  const char* const given = std::getenv("PEPPER_STOP_SECONDS");
  return std::chrono::seconds{given == nullptr ? 2 : std::atoi(given)};
}

}  // namespace

TEST_CASE("while the flusher is stopped under full load memory stays flat, nobody waits, and nothing is lost") {
  constexpr std::size_t kThreads = 2, kSeries = 16;
  std::atomic<pthread_t> flusher{};
  std::atomic<bool> has_begun{false};
  TelemetryConfig config = contract::background(std::chrono::milliseconds{10});
  config.buffer_size = 1020;
  config.on_flusher_start = [&] {
    flusher = pthread_self();
    has_begun = true;
  };
  MetricsCollector collector(config);
  std::vector<Summary> summaries;
  for (std::size_t i = 0; i < kSeries; ++i) summaries.push_back(collector.summary("s", {{"i", std::to_string(i)}}));
  REQUIRE(contract::comes_true([&] { return has_begun.load(); }));

  std::atomic<std::uint64_t> recorded{0};
  std::atomic<long> waits{0};
  {
    std::vector<std::jthread> threads;
    for (std::size_t t = 0; t < kThreads; ++t) {
      threads.emplace_back([&](const std::stop_token& stop) {
        collector.attach_thread();
        const long before = waits_of_this_thread();
        std::uint64_t mine = 0;
        while (!stop.stop_requested()) {
          for (int i = 0; i < 1000; ++i, ++mine) summaries[mine % kSeries].record(1);
        }
        waits += waits_of_this_thread() - before;
        recorded += mine;
      });
    }
    std::this_thread::sleep_for(std::chrono::milliseconds{200});  // load enough to be full
    struct sigaction action {};
    struct sigaction before {};
    action.sa_handler = stop_here;
    REQUIRE(sigaction(SIGUSR1, &action, &before) == 0);
    REQUIRE(pthread_kill(flusher, SIGUSR1) == 0);
    has_stopped.acquire();
    const std::size_t resident = resident_bytes(), held = collector.stats().memory_bytes;
    const std::uint64_t published = collector.stats().flushes;
    std::size_t most_resident = 0, most_held = 0;
    for (const Steady::time_point end = Steady::now() + how_long(); Steady::now() < end;) {
      std::this_thread::sleep_for(std::chrono::milliseconds{20});
      most_resident = std::max(most_resident, resident_bytes());
      most_held = std::max(most_held, collector.stats().memory_bytes);
    }
    CHECK(collector.stats().flushes == published);  // it was stopped
    may_go_on.release();
    CHECK(contract::comes_true([&] { return collector.stats().flushes > published; }));
    sigaction(SIGUSR1, &before, nullptr);
    CHECK(most_held <= held);
    if (!sanitizers::kIsAsan && !sanitizers::kIsTsan) CHECK(most_resident < resident + (std::size_t{1} << 20));
  }
  if (!sanitizers::kIsTsan) CHECK(waits.load() == 0);  // its own are among them
  const CollectorStats stats = collector.flush()->stats();
  CHECK(stats.recorded == recorded);
  CHECK(stats.aggregated == recorded);
  CHECK(stats.spilled > 0);
  CHECK(stats.dropped == 0);
}
