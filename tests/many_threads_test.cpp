#include "contract.hpp"
#include "resident.hpp"
#include "sanitizers.hpp"

#include <barrier>

using namespace pepper;

namespace {

constexpr bool kIsSanitized = sanitizers::kIsAsan || sanitizers::kIsTsan;

}  // namespace

TEST_CASE("a thousand threads that live at once lose nothing within the default budget") {
  const std::size_t threads = kIsSanitized ? 200 : 1000;
  constexpr std::size_t kRecords = 2000;
  TelemetryConfig config;
  config.on_error = contract::manual().on_error;
  const std::size_t resident = resident_bytes();
  MetricsCollector collector(config);
  const Counter hits = collector.counter("hits");
  std::barrier all_live(static_cast<std::ptrdiff_t>(threads) + 1);
  {
    std::vector<std::jthread> running;
    for (std::size_t t = 0; t < threads; ++t) {
      running.emplace_back([&, t] {
        hits.add();
        all_live.arrive_and_wait();
        for (std::size_t i = 1; i < kRecords; ++i) hits.add();
        (void)collector.record("by name", static_cast<double>(t));
        all_live.arrive_and_wait();
      });
    }
    all_live.arrive_and_wait();
    for (int i = 0; i < 10; ++i) {
      const CollectorStats stats = collector.flush()->stats();
      CHECK(contract::is_balanced(stats));
      CHECK(stats.memory_bytes <= stats.memory_limit_bytes);
    }
    all_live.arrive_and_wait();
  }
  const auto snapshot = collector.flush();
  const CollectorStats& stats = snapshot->stats();
  CHECK(contract::count(*snapshot, "hits") == threads * kRecords);
  CHECK(contract::count(*snapshot, "by name") == threads);
  CHECK(stats.recorded == threads * (kRecords + 1));
  CHECK(stats.dropped == 0);
  // Beside what pepper holds, their stacks.
  if (!kIsSanitized) CHECK(resident_bytes() < resident + config.memory_limit_bytes);
}
