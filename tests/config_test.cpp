#include "contract.hpp"

#include <atomic>
#include <future>
#include <stdexcept>

using namespace pepper;
using contract::count;
using contract::manual;
using namespace std::chrono_literals;

namespace {

/// Whether a collector told so refuses, and says which field holds what.
bool is_refused(const TelemetryConfig& config, std::string_view field, std::string_view value) {
  try {
    const MetricsCollector collector(config);
  } catch (const std::invalid_argument& error) {
    const std::string_view what = error.what();
    INFO(std::string(what));
    CHECK(what.find(field) != std::string_view::npos);
    CHECK(what.find(value) != std::string_view::npos);
    return true;
  }
  return false;
}

template <class Value>
TelemetryConfig with(Value TelemetryConfig::*field, Value value) {
  TelemetryConfig config = manual();
  config.*field = std::move(value);
  return config;
}

constexpr std::size_t kMiB = std::size_t{1} << 20;

}  // namespace

TEST_CASE("a wrong field is refused, and named with its value") {
  const std::string long_name(256, 'n');
  CHECK(is_refused(with(&TelemetryConfig::name, std::string()), "name", "\"\""));
  CHECK(is_refused(with(&TelemetryConfig::name, long_name), "name", long_name));
  CHECK(is_refused(with(&TelemetryConfig::buffer_size, std::size_t{0}), "buffer_size", "0"));
  CHECK(is_refused(with(&TelemetryConfig::buffer_size, (std::size_t{1} << 28) + 1), "buffer_size", "268435457"));
  CHECK(is_refused(with(&TelemetryConfig::flush_interval, 0ns), "flush_interval", "0"));
  CHECK(is_refused(with<std::chrono::nanoseconds>(&TelemetryConfig::flush_interval, 999'999ns), "flush_interval", "999999"));
  CHECK(is_refused(with<std::chrono::nanoseconds>(&TelemetryConfig::flush_interval, -1s), "flush_interval", "-1000000000"));
  CHECK(is_refused(with<std::chrono::nanoseconds>(&TelemetryConfig::flush_interval, 24h + 1ns), "flush_interval", "86400000000001"));
  CHECK(is_refused(with(&TelemetryConfig::max_series, std::size_t{0}), "max_series", "0"));
  CHECK(is_refused(with(&TelemetryConfig::max_series, std::size_t{16'000'001}), "max_series", "16000001"));
  CHECK(is_refused(with(&TelemetryConfig::memory_limit_bytes, std::size_t{0}), "memory_limit_bytes", "0"));
  CHECK(is_refused(with(&TelemetryConfig::memory_limit_bytes, kMiB - 1), "memory_limit_bytes", "1048575"));
  CHECK(is_refused(with(&TelemetryConfig::on_overflow, static_cast<OverflowPolicy>(77)), "on_overflow", "77"));
  CHECK(is_refused(with(&TelemetryConfig::flush_mode, static_cast<FlushMode>(77)), "flush_mode", "77"));
}

TEST_CASE("block without a flusher to wait for is refused") {
  CHECK(is_refused(with(&TelemetryConfig::on_overflow, OverflowPolicy::block), "on_overflow", "block"));
}

TEST_CASE("a memory limit that the pool alone would fill is refused") {
  TelemetryConfig config = with(&TelemetryConfig::buffer_size, std::size_t{1'000'000});
  config.memory_limit_bytes = 16'000'000;
  CHECK(is_refused(config, "memory_limit_bytes", "16000000"));
}

TEST_CASE("the ends of the ranges are taken") {
  const auto works = [](const TelemetryConfig& config) {
    MetricsCollector collector(config);
    collector.counter("hits").add();
    return count(*collector.flush(), "hits") == 1;
  };
  CHECK(works(with(&TelemetryConfig::name, std::string(255, 'n'))));
  CHECK(works(with(&TelemetryConfig::buffer_size, std::size_t{1})));
  CHECK(works(with<std::chrono::nanoseconds>(&TelemetryConfig::flush_interval, 1ms)));
  CHECK(works(with<std::chrono::nanoseconds>(&TelemetryConfig::flush_interval, 24h)));
  CHECK(works(with(&TelemetryConfig::max_series, std::size_t{1})));
  CHECK(works(with(&TelemetryConfig::max_series, std::size_t{16'000'000})));
  TelemetryConfig config = manual(255);
  config.memory_limit_bytes = kMiB + 255 * 16;
  CHECK(works(config));
}

TEST_CASE("a refused collector leaves nothing behind") {
  for (int i = 0; i < 3000; ++i)
    CHECK_THROWS_AS(MetricsCollector(with(&TelemetryConfig::buffer_size, std::size_t{0})), std::invalid_argument);
  MetricsCollector collector(manual());
  collector.counter("hits").add();
  CHECK(count(*collector.flush(), "hits") == 1);
}

TEST_CASE("messages begin with the collector's name") {
  TelemetryConfig config = with(&TelemetryConfig::name, std::string("checkout"));
  std::string error;
  config.on_error = [&](std::string_view text) { error = text; };
  MetricsCollector collector(config);
  (void)collector.counter("hits");
  (void)collector.gauge("hits");
  CHECK(error.find("checkout") != std::string::npos);
}

TEST_CASE("on_flusher_start is called once, on the flusher, and not before there is something to flush") {
  TelemetryConfig config = contract::background(1ms);
  std::atomic<int> started{0};
  std::promise<std::thread::id> flusher;
  config.on_flusher_start = [&] {
    if (++started == 1) flusher.set_value(std::this_thread::get_id());
  };
  MetricsCollector collector(config);
  CHECK(started == 0);
  (void)collector.counter("hits");
  CHECK(flusher.get_future().get() != std::this_thread::get_id());
  (void)collector.counter("calls");
  CHECK(contract::comes_true([&] { return collector.snapshot()->sequence() >= 3; }));
  CHECK(started == 1);
}

TEST_CASE("an on_flusher_start that throws is counted, and the flusher works") {
  TelemetryConfig config = contract::background(1ms);
  config.on_flusher_start = [] { throw std::runtime_error("no"); };
  MetricsCollector collector(config);
  collector.counter("hits").add();
  CHECK(contract::comes_true([&] { return count(*collector.snapshot(), "hits") == 1; }));
  CHECK(collector.stats().callback_errors == 1);
}

TEST_CASE("three hundred collectors live at once, each with its own records") {
  std::vector<std::unique_ptr<MetricsCollector>> collectors;
  std::vector<Counter> hits;
  for (int i = 0; i < 300; ++i) {
    TelemetryConfig config = i % 10 == 0 ? contract::background() : manual();
    config.buffer_size = 1000;
    collectors.push_back(std::make_unique<MetricsCollector>(config));
    hits.push_back(collectors.back()->counter("hits"));
  }
  contract::on_threads(2, [&](std::size_t) {
    for (std::size_t i = 0; i < hits.size(); ++i) {
      for (std::size_t r = 0; r <= i; ++r) hits[i].add();
    }
  });
  for (std::size_t i = 0; i < hits.size(); ++i) CHECK(count(*collectors[i]->flush(), "hits") == 2 * (i + 1));
}

TEST_CASE("two thousand collectors live one after another, and the last takes no more memory than the tenth") {
  std::size_t tenth = 0, last = 0;
  for (int i = 0; i < 2000; ++i) {
    TelemetryConfig config = i % 100 == 0 ? contract::background() : manual();
    config.buffer_size = 1000;
    MetricsCollector collector(config);
    const Counter hits = collector.counter("hits");
    for (int r = 0; r < 300; ++r) hits.add();
    const auto snapshot = collector.flush();
    REQUIRE(count(*snapshot, "hits") == 300);
    if (i == 10) tenth = snapshot->stats().memory_bytes;
    last = snapshot->stats().memory_bytes;
  }
  CHECK(last == tenth);
}

TEST_CASE("a collector has its whole memory limit, whatever lived in its place before") {
  TelemetryConfig config = manual(255);
  config.memory_limit_bytes = 2 * kMiB;
  std::size_t alone = 0;
  {
    MetricsCollector collector(config);
    collector.counter("hits").add();
    alone = collector.flush()->stats().memory_bytes;
  }
  std::shared_ptr<const Snapshot> kept;
  {
    MetricsCollector busy(manual());
    for (int i = 0; i < 20'000; ++i) busy.counter("tagged", {{"i", std::to_string(i)}}).add();
    kept = busy.flush();
    CHECK(kept->stats().memory_bytes > config.memory_limit_bytes);
    const Counter hits = busy.counter("hits");
    std::atomic<int> recording{0};
    contract::on_threads(100, [&](std::size_t) {
      hits.add();
      ++recording;
      while (recording < 100) std::this_thread::yield();
    });
  }
  MetricsCollector collector(config);
  collector.counter("hits").add();
  const auto snapshot = collector.flush();
  CHECK(count(*snapshot, "hits") == 1);
  CHECK(snapshot->stats().memory_bytes <= snapshot->stats().memory_limit_bytes);
  CHECK(snapshot->stats().memory_bytes <= 2 * alone);
}

TEST_CASE("what gauges took of the memory limit is given back once, however they were made") {
  const auto idle = [] { return MetricsCollector(manual(255)).stats().memory_bytes; };
  const std::size_t before = idle();
  {
    MetricsCollector collector(manual(255));
    for (int i = 0; i < 100; ++i) (void)collector.gauge("level", {{"i", std::to_string(i)}});
    (void)collector.record("upgraded", 1);
    (void)collector.gauge("upgraded");
    (void)collector.counter("conflicting");
    (void)collector.gauge("conflicting");
  }
  CHECK(idle() == before);
}

TEST_CASE("the 1024th collector at once is refused, and one place is free again as one dies") {
  std::vector<std::unique_ptr<MetricsCollector>> collectors;
  for (int i = 0; i < 959; ++i) collectors.push_back(std::make_unique<MetricsCollector>(manual(1)));
  CHECK_THROWS_AS(MetricsCollector(manual(1)), std::length_error);
  collectors[500].reset();
  MetricsCollector collector(manual(1));
  collector.counter("hits").add();
  CHECK(count(*collector.flush(), "hits") == 1);
  CHECK_THROWS_AS(MetricsCollector(manual(1)), std::length_error);
}
