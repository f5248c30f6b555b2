#include "contract.hpp"

#include <atomic>
#include <stdexcept>
#include <thread>

using namespace pepper;
using namespace std::chrono_literals;

namespace {

/// What reconfigure() says to a change; empty: it took it.
template <class Change>
std::string refusal(MetricsCollector& collector, Change&& change) {
  TelemetryConfig config = collector.config();
  change(config);
  try {
    collector.reconfigure(config);
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
  return "";
}

}  // namespace

TEST_CASE("config() says how a collector was made, and how it was changed since") {
  TelemetryConfig config = contract::manual(1000);
  config.name = "changed";
  config.max_series = 77;
  MetricsCollector collector(config);
  CHECK(collector.config().name == "changed");
  CHECK(collector.config().buffer_size == 1000);
  CHECK(collector.config().max_series == 77);
  CHECK(collector.config().flush_mode == FlushMode::manual);
  CHECK(collector.config().flush_interval == 1s);
  collector.set_enabled(false);
  CHECK_FALSE(collector.config().enabled);
  config.flush_interval = 5s;
  config.on_overflow = OverflowPolicy::drop;
  config.memory_limit_bytes = 5u << 20;
  collector.reconfigure(config);
  CHECK(collector.config().enabled);
  CHECK(collector.config().flush_interval == 5s);
  CHECK(collector.config().on_overflow == OverflowPolicy::drop);
  CHECK(collector.config().memory_limit_bytes == 5u << 20);
  CHECK(collector.stats().memory_limit_bytes == 5u << 20);
}

TEST_CASE("a field that cannot change is refused with its name and both values, and then nothing has changed") {
  MetricsCollector collector(contract::manual());
  const auto with_more = [](auto change) {
    return [change](TelemetryConfig& config) {
      config.flush_interval = 7s;
      config.enabled = false;
      config.memory_limit_bytes *= 2;
      change(config);
    };
  };
  CHECK(refusal(collector, with_more([](TelemetryConfig& config) { config.name = "other"; })) ==
        "TelemetryConfig::name is \"pepper\" and cannot become \"other\" while the collector lives");
  CHECK(refusal(collector, with_more([](TelemetryConfig& config) { config.buffer_size = 10; })) ==
        "TelemetryConfig::buffer_size is 65536 and cannot become 10 while the collector lives");
  CHECK(refusal(collector, with_more([](TelemetryConfig& config) { config.flush_mode = FlushMode::background; })) ==
        "TelemetryConfig::flush_mode is manual and cannot become background while the collector lives");
  CHECK(refusal(collector, with_more([](TelemetryConfig& config) { config.max_series = 5; })) ==
        "TelemetryConfig::max_series is 100000 and cannot become 5 while the collector lives");
  // What no collector takes is refused as the constructor does.
  CHECK(refusal(collector, with_more([](TelemetryConfig& config) { config.flush_interval = 0s; })) ==
        "TelemetryConfig::flush_interval is 0 ns; it must be 1 ms to 24 h");
  CHECK(refusal(collector, with_more([](TelemetryConfig& config) { config.on_overflow = OverflowPolicy::block; })) ==
        "TelemetryConfig::on_overflow is block; it must be spill or drop with FlushMode::manual, where nobody would end the wait");
  CHECK(collector.config().flush_interval == 1s);
  CHECK(collector.config().enabled);
  CHECK(collector.config().memory_limit_bytes == TelemetryConfig{}.memory_limit_bytes);
  const Counter counter = collector.counter("c");
  counter.add();
  CHECK(contract::count(*collector.flush(), "c") == 1);
}

TEST_CASE("a shorter flush_interval holds at once: the flusher does not wait for the end of the one before, nor after a longer one") {
  MetricsCollector collector(contract::background(24h));
  const Counter counter = collector.counter("c");
  counter.add();
  CHECK(collector.snapshot()->sequence() == 0);
  for (int round = 0; round < 2; ++round) {
    CHECK(refusal(collector, [](TelemetryConfig& config) { config.flush_interval = 1ms; }).empty());
    const std::uint64_t sequence = collector.snapshot()->sequence();
    CHECK(contract::comes_true([&] { return collector.snapshot()->sequence() > sequence + 2; }));
    CHECK(refusal(collector, [](TelemetryConfig& config) { config.flush_interval = 24h; }).empty());
  }
  CHECK(contract::count(*collector.snapshot(), "c") == 1);
}

TEST_CASE("enabled changes as set_enabled() has it: what was recorded before is kept, what comes after is nobody's") {
  MetricsCollector collector(contract::manual());
  const Counter counter = collector.counter("c");
  counter.add();
  CHECK(refusal(collector, [](TelemetryConfig& config) { config.enabled = false; }).empty());
  counter.add();
  CHECK(contract::count(*collector.flush(), "c") == 1);
  CHECK(refusal(collector, [](TelemetryConfig& config) { config.enabled = true; }).empty());
  counter.add();
  CHECK(contract::count(*collector.flush(), "c") == 2);
}

TEST_CASE(
    "on_overflow changes for records that come then: drop loses by its cause, spill and block lose nothing, and the ledger balances") {
  constexpr std::uint64_t kMany = 255 * 20;
  MetricsCollector collector(contract::manual(1));
  const Counter counter = collector.counter("c");
  const auto add_many = [&] {
    for (std::uint64_t i = 0; i < kMany; ++i) counter.add();
  };
  add_many();
  CHECK(refusal(collector, [](TelemetryConfig& config) { config.on_overflow = OverflowPolicy::drop; }).empty());
  add_many();
  CHECK(refusal(collector, [](TelemetryConfig& config) { config.on_overflow = OverflowPolicy::spill; }).empty());
  const std::uint64_t lost = contract::lost(collector.flush()->stats(), Cause::overflow);
  CHECK(lost > 0);
  CHECK(lost < kMany);
  add_many();
  const CollectorStats stats = collector.flush()->stats();
  CHECK(contract::is_balanced(stats));
  CHECK(stats.aggregated == 3 * kMany - lost);
  CHECK(stats.dropped == lost);
}

TEST_CASE("on_overflow changes under threads that record and wait: each goes on, and nothing is lost") {
  TelemetryConfig config = contract::background(1ms);
  config.buffer_size = 1;
  MetricsCollector collector(config);
  const Counter counter = collector.counter("c");
  constexpr std::size_t kThreads = 2;
  std::atomic<std::uint64_t> added{0};
  std::atomic<bool> is_over{false};
  {
    std::vector<std::jthread> threads;
    for (std::size_t i = 0; i < kThreads; ++i) {
      threads.emplace_back([&] {
        std::uint64_t mine = 0;
        for (; !is_over; ++mine) counter.add();
        added += mine;
      });
    }
    for (int i = 0; i < 200; ++i) {
      config.on_overflow = i % 2 == 0 ? OverflowPolicy::block : OverflowPolicy::spill;
      collector.reconfigure(config);
    }
    config.on_overflow = OverflowPolicy::block;
    collector.reconfigure(config);
    is_over = true;
  }
  const CollectorStats stats = collector.flush()->stats();
  CHECK(contract::is_balanced(stats));
  CHECK(stats.recorded == added);
  CHECK(stats.dropped == 0);
}

TEST_CASE("after shutdown() nobody waits, whatever on_overflow becomes") {
  TelemetryConfig config = contract::background();
  config.buffer_size = 1;
  MetricsCollector collector(config);
  const Counter counter = collector.counter("c");
  counter.add();
  REQUIRE(collector.shutdown());
  config.on_overflow = OverflowPolicy::block;
  collector.reconfigure(config);
  for (int i = 0; i < 10'000; ++i) counter.add();
  const CollectorStats stats = collector.flush()->stats();
  CHECK(contract::is_balanced(stats));
  CHECK(stats.recorded == 10'001);
  CHECK(contract::lost(stats, Cause::after_shutdown) > 0);
}

TEST_CASE("memory_limit_bytes bounds what comes then: lowered, series go to overflow; raised, they are made again") {
  TelemetryConfig config = contract::manual(1000);
  config.memory_limit_bytes = 64u << 20;
  MetricsCollector collector(config);
  const auto bind_many = [&](std::string_view prefix) {
    for (int i = 0; i < 2000; ++i) (void)collector.summary("s", {{"i", std::string(prefix) + std::to_string(i)}});
    return collector.flush()->size();
  };
  const std::size_t before = bind_many("a");
  CHECK(before == 2000);
  config.memory_limit_bytes = (1u << 20) + 1000 * 16;
  collector.reconfigure(config);
  const std::size_t lowered = bind_many("b");
  CHECK(lowered < 2 * before);
  CHECK(collector.flush()->find("s", {{"pepper.overflow", "true"}}) != nullptr);
  config.memory_limit_bytes = 256u << 20;  // more than it was made with
  collector.reconfigure(config);
  CHECK(bind_many("c") >= lowered + 2000);
}

TEST_CASE("on_error changes: the old one hears nothing more, the new one all that comes") {
  std::vector<std::string> first, second;
  TelemetryConfig config = contract::manual();
  config.on_error = [&](std::string_view text) { first.emplace_back(text); };
  MetricsCollector collector(config);
  (void)collector.summary("s");
  (void)collector.counter("s");
  CHECK(first.size() == 1);
  config.on_error = [&](std::string_view text) { second.emplace_back(text); };
  collector.reconfigure(config);
  (void)collector.counter("s");
  CHECK(first.size() == 1);
  CHECK(second.size() == 1);
}

TEST_CASE("many threads reconfigure at once: what holds in the end is what one of them said, whole") {
  MetricsCollector collector(contract::background());
  const Counter counter = collector.counter("c");
  contract::on_threads(3, [&](std::size_t i) {
    TelemetryConfig config = collector.config();
    config.flush_interval = std::chrono::hours{i + 1};
    config.memory_limit_bytes = (100 + i) << 20;
    for (int round = 0; round < 50; ++round) {
      collector.reconfigure(config);
      counter.add();
      const TelemetryConfig is = collector.config();
      CHECK(is.flush_interval == std::chrono::hours{(is.memory_limit_bytes >> 20) - 99});
    }
  });
  CHECK(contract::count(*collector.flush(), "c") == 150);
}
