// What a page for Prometheus costs, and what being scraped costs those who record.

#include "benches.hpp"
#include "bursts.hpp"

#include <pepper/pepper.hpp>
#include <pepper/prometheus.hpp>
#include <prometheus/collectable.h>
#include <prometheus/text_serializer.h>

#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <memory>
#include <mutex>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

namespace pepper::bench {
namespace {

constexpr std::size_t kSeries = 10'000, kBuckets = 20;

/// Histograms of a hundred names, all with records in as many buckets.
void fill_histograms(MetricsCollector& collector, std::size_t series) {
  std::array<double, kBuckets> values{};
  for (std::size_t i = 0; i < kBuckets; ++i) values[i] = static_cast<double>(std::size_t{2} << i) * 0.75;
  for (std::size_t i = 0; i < series; ++i) {
    collector.histogram("requests." + std::to_string(i % 100), {{"route", "/api/" + std::to_string(i / 100)}, {"status", "200"}})
        .record(values);
  }
}

[[nodiscard]] TelemetryConfig page_config() { return {.buffer_size = kSeries * kBuckets + 65'536, .flush_mode = FlushMode::manual}; }

/// The families are made before the clock starts, or are part of it.
void serialize_page(benchmark::State& state, bool is_all) {
  MetricsCollector collector(page_config());
  fill_histograms(collector, kSeries);
  (void)collector.flush();
  const auto page = prometheus_collectable(collector);
  const auto ready = page->Collect();
  const prometheus::TextSerializer serializer;
  double seconds = 0;
  std::size_t bytes = 0;
  for (auto _ : state) {
    const auto start = std::chrono::steady_clock::now();
    bytes = is_all ? serializer.Serialize(page->Collect()).size() : serializer.Serialize(ready).size();
    const double took = seconds_since(start);
    state.SetIterationTime(took);
    seconds += took;
  }
  state.counters["ns"] = seconds * 1e9 / static_cast<double>(state.iterations()) / kSeries;
  state.counters["bytes"] = static_cast<double>(bytes);
}

/// As record_handle/series:1, in a collector with a thousand histograms that is scraped every 100 ms meanwhile.
class RecordScraped {
 public:
  explicit RecordScraped(int) {
    fill_histograms(collector_, kHistograms);
    (void)collector_.flush();
    while (scrapes_ == 0) std::this_thread::yield();
  }
  auto op(int) {
    return [summary = collector_.summary("request.size")](std::size_t, double value) { summary.record(value); };
  }
  void drain() { collector_.flush(); }
  const char* fault(std::uint64_t records) {
    const CollectorStats stats = collector_.flush()->stats();
    if (stats.recorded != records + kHistograms * kBuckets || stats.aggregated != stats.recorded) return "records are missing";
    if (stats.spilled != 0) return "the pool was too small for a burst: this measured overload";
    return scrapes_ == 0 ? "nobody scraped" : nullptr;
  }

 private:
  static constexpr std::size_t kHistograms = 1000;

  void scrape(const std::stop_token& over) {
    std::mutex mutex;
    std::condition_variable_any sleep;
    std::unique_lock lock(mutex);
    while (!over.stop_requested()) {
      (void)collector_.flush();
      benchmark::DoNotOptimize(prometheus::TextSerializer().Serialize(page_->Collect()).size());
      ++scrapes_;
      sleep.wait_for(lock, over, std::chrono::milliseconds{100}, [] { return false; });
    }
  }

  MetricsCollector collector_{{.flush_mode = FlushMode::manual}};
  std::shared_ptr<prometheus::Collectable> page_ = prometheus_collectable(collector_);
  std::atomic<std::size_t> scrapes_{0};
  std::jthread scraper_{[this](const std::stop_token& over) { scrape(over); }};
};

}  // namespace

void add_prometheus_benches() {
  for (const bool is_all : {false, true}) {
    const std::string name = std::string(is_all ? "collect_and_serialize" : "serialize") + "_page/series:" + std::to_string(kSeries);
    benchmark::RegisterBenchmark(name.c_str(), [is_all](benchmark::State& state) { serialize_page(state, is_all); })->UseManualTime();
  }
  add_alone<RecordScraped>("record_scraped/series:1");
}

}  // namespace pepper::bench
