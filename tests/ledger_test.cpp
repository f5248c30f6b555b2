#include "contract.hpp"

#include <array>
#include <atomic>
#include <barrier>
#include <cmath>
#include <random>

using namespace pepper;
using contract::count;
using contract::is_balanced;
using contract::lost;
using contract::manual;
using contract::series;

namespace {

/// What threads counted themselves, to hold against the ledger.
struct Own {
  std::atomic<std::uint64_t> records{0}, negatives{0}, nans{0};
};

/// Records of every kind, good and bad.
void record_mixed(const Counter& hits, const Summary& sizes, const Gauge& level, std::uint64_t rounds, Own& own) {
  const double span[] = {1, 2, 3, 4, 5};
  for (std::uint64_t i = 0; i < rounds; ++i) {
    hits.add(i % 16 == 3 ? -1 : 1);
    sizes.record(i % 32 == 5 ? std::nan("") : static_cast<double>(i));
    sizes.record(span);
    level.set(static_cast<double>(i));
  }
  own.records += rounds * 8;
  own.negatives += (rounds + 12) / 16;
  own.nans += (rounds + 26) / 32;
}

std::uint64_t total(const Snapshot& snapshot) {
  std::uint64_t total = 0;
  for (const SeriesSnapshot& one : snapshot) total += one.count;
  return total;
}

}  // namespace

TEST_CASE("the ledger balances in every snapshot while threads record and flush, and in the end with what they counted") {
  struct Way {
    OverflowPolicy policy;
    FlushMode mode;
    std::size_t buffer_size;
  };
  constexpr FlushMode kManual = FlushMode::manual, kBackground = FlushMode::background;
  for (const Way& way : {Way{OverflowPolicy::spill, kManual, 1},
                         {OverflowPolicy::spill, kBackground, 1},
                         {OverflowPolicy::spill, kManual, 5000},
                         {OverflowPolicy::drop, kManual, 1},
                         {OverflowPolicy::drop, kBackground, 5000},
                         {OverflowPolicy::block, kBackground, 1},
                         {OverflowPolicy::block, kBackground, 5000}}) {
    CAPTURE(static_cast<int>(way.policy));
    CAPTURE(static_cast<int>(way.mode));
    CAPTURE(way.buffer_size);
    TelemetryConfig config = contract::background(std::chrono::milliseconds{1});
    config.on_overflow = way.policy;
    config.flush_mode = way.mode;
    config.buffer_size = way.buffer_size;
    MetricsCollector collector(config);
    const Counter hits = collector.counter("hits");
    const Summary sizes = collector.summary("sizes");
    const Gauge level = collector.gauge("level");
    Own own;
    std::atomic<std::uint64_t> unbalanced{0}, recording{4};
    {
      std::vector<std::jthread> threads;
      for (int i = 0; i < 4; ++i) {
        threads.emplace_back([&] {
          record_mixed(hits, sizes, level, 20'000, own);
          --recording;
        });
      }
      for (int i = 0; i < 2; ++i) {
        threads.emplace_back([&] {
          std::uint64_t recorded = 0, aggregated = 0, dropped = 0;
          while (recording > 0) {
            const auto snapshot = collector.flush();
            const CollectorStats& stats = snapshot->stats();
            unbalanced += !is_balanced(stats) || stats.aggregated != total(*snapshot) || stats.aggregated < aggregated ||
                          stats.dropped < dropped || stats.recorded + own.nans + 4 * 20'000 < recorded;
            aggregated = stats.aggregated;
            dropped = stats.dropped;
            recorded = stats.recorded;
          }
        });
      }
    }
    CHECK(unbalanced.load() == 0);
    const auto snapshot = collector.flush();
    const CollectorStats& stats = snapshot->stats();
    CHECK(is_balanced(stats));
    CHECK(stats.pending == 0);
    CHECK(total(*snapshot) == stats.aggregated);
    if (way.policy == OverflowPolicy::drop) {  // what was dropped nobody looked at
      CHECK(stats.recorded + stats.rejected == own.records);
      CHECK(stats.dropped == lost(stats, Cause::overflow) + lost(stats, Cause::negative));
      CHECK(lost(stats, Cause::negative) <= own.negatives);
    } else {
      CHECK(stats.recorded == own.records - own.nans);
      CHECK(stats.rejected == own.nans);
      CHECK(stats.dropped == own.negatives);
      CHECK(lost(stats, Cause::negative) == own.negatives);
      CHECK(stats.aggregated == own.records - own.nans - own.negatives);
    }
  }
}

TEST_CASE("with spill nothing is lost, and what threads folded themselves is said") {
  MetricsCollector collector(manual(1));
  const Counter hits = collector.counter("hits");
  for (int i = 0; i < 100'000; ++i) hits.add();
  const auto snapshot = collector.flush();
  CHECK(count(*snapshot, "hits") == 100'000);
  CHECK(snapshot->stats().dropped == 0);
  CHECK(snapshot->stats().spilled > 90'000);
  CHECK(snapshot->stats().spilled <= snapshot->stats().aggregated);
}

TEST_CASE("while chunks are free nothing is spilled") {
  MetricsCollector collector(manual(100'000));
  const Counter hits = collector.counter("hits");
  for (int i = 0; i < 90'000; ++i) hits.add();
  CHECK(collector.flush()->stats().spilled == 0);
}

TEST_CASE("with drop, what does not fit is lost, counted, and said by its cause with its times") {
  TelemetryConfig config = manual(1);
  config.on_overflow = OverflowPolicy::drop;
  std::string error;
  config.on_error = [&](std::string_view text) { error = text; };
  MetricsCollector collector(config);
  const Counter hits = collector.counter("hits");
  CHECK(collector.flush()->stats().losses.empty());
  const auto begin = std::chrono::system_clock::now();
  for (int i = 0; i < 100'000; ++i) hits.add();
  const CollectorStats first = collector.flush()->stats();
  CHECK(first.recorded == 100'000);
  CHECK(first.dropped > 90'000);
  CHECK(first.aggregated == count(*collector.snapshot(), "hits"));
  REQUIRE(first.losses.size() == 1);
  CHECK(first.losses[0].cause == Cause::overflow);
  CHECK(first.losses[0].count == first.dropped);
  CHECK(first.losses[0].first >= begin);
  CHECK(first.losses[0].last <= std::chrono::system_clock::now());
  CHECK(error.find("overflow") != std::string::npos);
  const CollectorStats quiet = collector.flush()->stats();
  CHECK(quiet.losses[0].last == first.losses[0].last);
  for (int i = 0; i < 100'000; ++i) hits.add();
  const CollectorStats second = collector.flush()->stats();
  CHECK(second.losses[0].count > first.losses[0].count);
  CHECK(second.losses[0].first == first.losses[0].first);
  CHECK(second.losses[0].last > first.losses[0].last);
}

TEST_CASE("with drop nothing is lost while chunks are free, however small the pool of the last collector in the place") {
  TelemetryConfig config = manual(1);
  config.on_overflow = OverflowPolicy::drop;
  for (const std::size_t buffer_size : {1, 100'000}) {
    config.buffer_size = buffer_size;
    MetricsCollector collector(config);
    const Counter hits = collector.counter("hits");
    const int records = buffer_size == 1 ? 100 : 90'000;
    for (int i = 0; i < records; ++i) hits.add();
    CHECK(collector.flush()->stats().dropped == 0);
  }
}

TEST_CASE("with block nothing is lost") {
  TelemetryConfig config = contract::background();
  config.on_overflow = OverflowPolicy::block;
  config.buffer_size = 1;
  MetricsCollector collector(config);
  const Counter hits = collector.counter("hits");
  contract::on_threads(3, [&](std::size_t) {
    for (int i = 0; i < 50'000; ++i) hits.add();
  });
  const auto snapshot = collector.flush();
  CHECK(count(*snapshot, "hits") == 150'000);
  CHECK(snapshot->stats().dropped == 0);
  CHECK(snapshot->stats().spilled == 0);
}

TEST_CASE("stats() is the latest snapshot's ledger") {
  MetricsCollector collector(manual());
  const Counter hits = collector.counter("hits");
  hits.add();
  CHECK(collector.stats().recorded == 0);
  (void)collector.flush();
  hits.add();
  CHECK(collector.stats().recorded == 1);
  CHECK(collector.stats().series == 1);
  CHECK(collector.stats().flushes == 1);
  CHECK(is_balanced(collector.stats()));
}

TEST_CASE("threads for which there is no memory drop their records with that cause, and the limit holds") {
  constexpr std::size_t kThreads = 200, kRecords = 1000;
  TelemetryConfig config = manual(1);
  config.memory_limit_bytes = std::size_t{2} << 20;
  MetricsCollector collector(config);
  const Counter hits = collector.counter("hits");
  std::barrier all_live(static_cast<std::ptrdiff_t>(kThreads));
  contract::on_threads(kThreads, [&](std::size_t) {
    hits.add();
    all_live.arrive_and_wait();
    for (std::size_t i = 1; i < kRecords; ++i) hits.add();
  });
  const auto snapshot = collector.flush();
  const CollectorStats& stats = snapshot->stats();
  CHECK(stats.recorded == kThreads * kRecords);
  CHECK(is_balanced(stats));
  CHECK(lost(stats, Cause::threads) > 0);
  CHECK(count(*snapshot, "hits") > 0);
  CHECK(count(*snapshot, "hits") + stats.dropped == kThreads * kRecords);
  CHECK(stats.memory_bytes <= stats.memory_limit_bytes);
}

TEST_CASE("series for which there is no memory overflow, and the limit holds") {
  TelemetryConfig config = manual(1);
  config.memory_limit_bytes = std::size_t{2} << 20;
  std::size_t tags = 0;
  SUBCASE("many small series") {}
  SUBCASE("long tags") { tags = 30; }
  MetricsCollector collector(config);
  const std::string value(1000, 'v');
  std::uint64_t recorded = 0;
  for (int i = 0; i < 20'000; ++i) {
    std::vector<std::string> keys;
    for (std::size_t t = 0; t < tags; ++t) keys.push_back("key" + std::to_string(t));
    const std::string number = std::to_string(i);
    std::vector<Tag> all{{"i", number}};
    for (const std::string& key : keys) all.push_back({key, value});
    if (i % 2 == 0) {
      collector.counter("hits", all).add();
    } else {
      CHECK(collector.record("hits", 1, all));
    }
    ++recorded;
  }
  const auto snapshot = collector.flush();
  const CollectorStats& stats = snapshot->stats();
  CHECK(stats.recorded == recorded);
  CHECK(is_balanced(stats));
  CHECK(total(*snapshot) + stats.dropped == recorded);
  CHECK(snapshot->size() < 20'000);
  CHECK(stats.memory_bytes <= stats.memory_limit_bytes);
}

TEST_CASE("snapshots that a program keeps are its own affair: they take nothing of the limit") {
  MetricsCollector collector(manual());  // a pool that holds it all: no thread folds, which takes memory as it goes
  std::vector<Counter> hits;
  for (int i = 0; i < 500; ++i) hits.push_back(collector.counter("hits", {{"i", std::to_string(i)}}));
  std::vector<std::shared_ptr<const Snapshot>> kept;
  for (int i = 0; i < 200; ++i) {
    for (const Counter& one : hits) one.add();
    kept.push_back(collector.flush());
    REQUIRE(kept.back()->stats().memory_bytes == kept.front()->stats().memory_bytes);
  }
  kept.clear();
  CHECK(collector.flush()->stats().recorded == 500 * 200);
  CHECK(is_balanced(collector.stats()));
}

TEST_CASE("a sum errs by no more than 2^-46 of the sum of absolute values, however many cancel out") {
  constexpr std::size_t kValues = 1'000'000;
  std::mt19937_64 random(20'240'229);
  std::uniform_real_distribution<double> mantissa(-1, 1);
  std::uniform_int_distribution<int> exponent(-60, 60);
  std::vector<double> values(kValues);
  for (double& value : values) value = std::ldexp(mantissa(random), exponent(random));
  for (std::size_t i = 0; i < kValues / 2; ++i) values[kValues - 1 - i] = -values[i] * (1 + 1e-9 * mantissa(random));
  long double exact = 0, lost_bits = 0, absolute = 0;
  for (const double value : values) {  // Kahan and Babuska in 64 bits of mantissa: exact beside 2^-46
    const long double next = exact + value;
    lost_bits += std::abs(exact) >= std::abs(static_cast<long double>(value)) ? (exact - next) + value : (value - next) + exact;
    exact = next;
    absolute += std::abs(value);
  }
  exact += lost_bits;
  for (const std::size_t buffer_size : {std::size_t{1}, std::size_t{65'536}, 2 * kValues}) {  // folded by the thread, by flush(), and both
    CAPTURE(buffer_size);
    MetricsCollector collector(manual(buffer_size));
    const Summary one_by_one = collector.summary("one by one"), in_runs = collector.summary("in runs"),
                  flushed = collector.summary("flushed");
    for (std::size_t i = 0; i < kValues; ++i) one_by_one.record(values[i]);
    in_runs.record(values);
    for (std::size_t i = 0; i < kValues; ++i) {
      flushed.record(values[i]);
      if (i % 1000 == 0) (void)collector.flush();
    }
    const auto snapshot = collector.flush();
    for (const SeriesSnapshot& found : *snapshot) {
      CHECK(found.count == kValues);
      CHECK(std::abs(static_cast<long double>(found.sum) - exact) <= std::ldexp(absolute, -46));
    }
  }
}

TEST_CASE("a sum of many small values beside a large one keeps them") {
  // 255 of the small ones are less than half of what the last bit of the large one stands for.
  constexpr int kValues = 300'000;
  const double large = std::ldexp(1.0, 65), small = 16;
  const std::vector<double> run(kValues, small);
  MetricsCollector collector(manual(1'000'000));  // nothing is folded apart from the large one
  const Summary one_by_one = collector.summary("one by one"), in_runs = collector.summary("in runs");
  const Summary other = collector.summary("other");
  one_by_one.record(large);
  in_runs.record(large);
  for (const double value : run) {
    one_by_one.record(value);
    other.record(value);  // so that there is no run
  }
  in_runs.record(run);
  one_by_one.record(-large);
  in_runs.record(-large);
  for (const char* const name : {"one by one", "in runs"}) {
    const auto found = series(*collector.flush(), name);
    CHECK(std::abs(found->sum - kValues * small) <= std::ldexp(2 * large + kValues * small, -46));
  }
}
