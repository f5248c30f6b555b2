// record_scraped_loop alone BURSTS | scraped SCRAPES: runs handle_loop of record_loops.hpp, for a tool that counts instructions to look at;
// `scraped`: until another thread, every 100 ms, has made and serialised the page so often meanwhile. Prints how many records the loop
// made. Exit code 1 if they went nowhere or too few scrapes were seen, 2 on wrong arguments.

#include "record_loops.hpp"

#include <pepper/pepper.hpp>
#include <pepper/prometheus.hpp>
#include <prometheus/collectable.h>
#include <prometheus/text_serializer.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <thread>

int main(int argc, char** argv) {
  using namespace pepper::bench;
  constexpr std::size_t kBurst = 64 * 255, kMostBursts = 2048, kHistograms = 100;
  const std::string_view mode = argc == 3 ? argv[1] : "";
  const std::size_t wanted = argc == 3 ? std::strtoull(argv[2], nullptr, 10) : 0;
  const bool is_scraped = mode == "scraped";
  if ((!is_scraped && mode != "alone") || wanted == 0 || wanted > kMostBursts) {
    std::fputs("usage: record_scraped_loop alone BURSTS | scraped SCRAPES\n", stderr);
    return 2;
  }
  // A pool that all records fit, as in record_loop: no thread folds its own.
  pepper::MetricsCollector collector({.buffer_size = kMostBursts * kBurst + 65'536, .memory_limit_bytes = std::size_t{1} << 30});
  const pepper::Summary summary = collector.summary("request.size");
  for (std::size_t i = 0; i < kHistograms; ++i) collector.histogram("requests", {{"route", std::to_string(i)}}).record(2);
  summary.record(1);  // the first chunk is no part of the loop
  const auto page = pepper::prometheus_collectable(collector);
  std::atomic<std::size_t> scrapes{0};
  std::jthread scraper;
  if (is_scraped) {
    scraper = std::jthread([&](const std::stop_token& over) {
      while (!over.stop_requested()) {
        if (!prometheus::TextSerializer().Serialize(page->Collect()).empty()) ++scrapes;
        std::this_thread::sleep_for(std::chrono::milliseconds{100});
      }
    });
    while (scrapes == 0) std::this_thread::yield();
  }
  const std::size_t last = scrapes + wanted;
  std::size_t bursts = 0;
  while (bursts < kMostBursts && (is_scraped ? scrapes < last : bursts < wanted)) {
    handle_loop(kBurst, summary);
    ++bursts;
    std::this_thread::sleep_for(std::chrono::milliseconds{1});  // however fast the machine is, scrapes come before the bursts end
  }
  const bool is_done = !is_scraped || scrapes >= last;
  scraper = {};  // asked to stop, and joined
  const std::uint64_t records = bursts * kBurst;
  std::printf("records: %llu\n", static_cast<unsigned long long>(records));
  const pepper::CollectorStats stats = collector.flush()->stats();
  return is_done && stats.aggregated == records + kHistograms + 1 && stats.spilled == 0 ? 0 : 1;
}
