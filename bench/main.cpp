#include "benches.hpp"

#include <benchmark/benchmark.h>
#include <pepper/detail/clock.hpp>

#include <semaphore>
#include <thread>

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;

  // glibc takes short cuts (locks without atomics, among others) in a process with one thread. No program that wants pepper has one.
  std::binary_semaphore over{0};
  std::jthread sleeper([&over] { over.acquire(); });

  pepper::bench::add_baselines();
  pepper::bench::add_capture_benches();
  pepper::bench::add_fold_benches();
  pepper::bench::add_overload_benches();
  pepper::bench::add_latency_benches();
  pepper::bench::add_snapshot_benches();
  pepper::bench::add_prometheus_benches();
  benchmark::AddCustomContext("pepper_clock", pepper::detail::tsc_is_trusted ? "tsc" : "steady_clock");
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  over.release();
  return 0;
}
