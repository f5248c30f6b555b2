// What reading costs with many series: making them, publishing those that changed, finding one, walking all.

#include "benches.hpp"
#include "bursts.hpp"

#include <pepper/pepper.hpp>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <numeric>
#include <random>
#include <string>
#include <unordered_map>
#include <vector>

namespace pepper::bench {
namespace {

/// A name and a tag value; with {"status", "200"} the full key of one series.
struct Key {
  std::string name, route;
};

[[nodiscard]] std::vector<Key> make_keys(std::size_t count) {
  std::vector<Key> keys;
  for (std::size_t i = 0; i < count; ++i) keys.push_back({"requests." + std::to_string(i % 100), "/api/" + std::to_string(i / 100)});
  return keys;
}

/// The same in an order that nothing foresees.
[[nodiscard]] std::vector<Key> make_shuffled_keys(std::size_t count) {
  std::vector<Key> keys = make_keys(count);
  std::shuffle(keys.begin(), keys.end(), std::mt19937_64{1});
  return keys;
}

/// A manually flushed collector whose pool holds a record for each of its series.
class ManySeries {
 public:
  explicit ManySeries(std::size_t count)
      : collector_({.buffer_size = count * 2 + 65'536, .flush_mode = FlushMode::manual, .max_series = count}) {
    for (const Key& key : make_keys(count)) {
      summaries_.push_back(collector_.summary(key.name, {{"route", key.route}, {"status", "200"}}));
    }
  }
  /// One record in each, and a flush.
  std::shared_ptr<const Snapshot> record_all() {
    for (const Summary& summary : summaries_) summary.record(1);
    return collector_.flush();
  }
  [[nodiscard]] MetricsCollector& collector() { return collector_; }
  [[nodiscard]] const std::vector<Summary>& summaries() const { return summaries_; }

 private:
  MetricsCollector collector_;
  std::vector<Summary> summaries_;
};

/// One flush() after one record in each of some series, drawn anew each time.
void flush_changed(benchmark::State& state) {
  const auto count = static_cast<std::size_t>(state.range(0));
  const std::size_t changed = count * static_cast<std::size_t>(state.range(1)) / 100;
  ManySeries series(count);
  series.record_all();
  std::vector<std::size_t> order(count);
  std::iota(order.begin(), order.end(), 0);
  std::mt19937_64 random{1};
  double total = 0;
  for (auto _ : state) {
    for (std::size_t i = 0; changed < count && i < changed; ++i) {
      std::swap(order[i], order[std::uniform_int_distribution<std::size_t>{i, count - 1}(random)]);
    }
    for (std::size_t i = 0; i < changed; ++i) series.summaries()[order[i]].record(static_cast<double>(i));
    const auto start = std::chrono::steady_clock::now();
    const auto snapshot = series.collector().flush();
    const double seconds = seconds_since(start);
    state.SetIterationTime(seconds);
    total += seconds;
  }
  const auto flushes = static_cast<std::uint64_t>(state.iterations());
  state.counters["ns"] = total * 1e9 / static_cast<double>(flushes);
  const CollectorStats stats = series.collector().flush()->stats();
  if (stats.aggregated != count + flushes * changed || stats.spilled != 0) state.SkipWithError("records are missing or were spilled");
}

/// A handle for each of many series that did not exist.
void bind_new(benchmark::State& state) {
  const auto count = static_cast<std::size_t>(state.range(0));
  const std::vector<Key> keys = make_keys(count);
  double total = 0;
  for (auto _ : state) {
    MetricsCollector collector({.flush_mode = FlushMode::manual, .max_series = count});
    const auto start = std::chrono::steady_clock::now();
    for (const Key& key : keys) benchmark::DoNotOptimize(collector.summary(key.name, {{"route", key.route}, {"status", "200"}}));
    const double seconds = seconds_since(start);
    state.SetIterationTime(seconds);
    total += seconds;
    if (collector.flush()->size() != count) state.SkipWithError("series are missing");
  }
  state.counters["ns"] = total * 1e9 / static_cast<double>(static_cast<std::size_t>(state.iterations()) * count);
}

/// Times `pass()` over all series, after one un-timed; gives ns per series.
template <class Pass>
void time_passes(benchmark::State& state, std::size_t count, Pass pass) {
  benchmark::DoNotOptimize(pass());
  double total = 0;
  for (auto _ : state) {
    const auto start = std::chrono::steady_clock::now();
    const std::size_t seen = pass();
    const double seconds = seconds_since(start);
    state.SetIterationTime(seconds);
    total += seconds;
    if (seen != count) state.SkipWithError("series are missing");
  }
  state.counters["ns"] = total * 1e9 / static_cast<double>(static_cast<std::size_t>(state.iterations()) * count);
}

/// find() of every series in random order: the keys lie in a row, as the caller's own would be near; what is looked up does not.
void find(benchmark::State& state) {
  const auto count = static_cast<std::size_t>(state.range(0));
  ManySeries series(count);
  const auto snapshot = series.record_all();
  const std::vector<Key> keys = make_shuffled_keys(count);
  time_passes(state, count, [&] {
    std::size_t found = 0;
    for (const Key& key : keys) {
      const auto one = snapshot->find(key.name, {{"route", key.route}, {"status", "200"}});
      found += one != nullptr && one->count == 1;
    }
    return found;
  });
}

/// Beside it: the standard map, its keys ready made in one string.
void find_in_unordered_map(benchmark::State& state) {
  const auto count = static_cast<std::size_t>(state.range(0));
  std::unordered_map<std::string, std::uint64_t> map;
  const auto flatten = [](const Key& key) { return key.name + ";route=" + key.route + ";status=200"; };
  for (const Key& key : make_keys(count)) map.emplace(flatten(key), 1);
  std::vector<std::string> keys;
  for (const Key& key : make_shuffled_keys(count)) keys.push_back(flatten(key));
  time_passes(state, count, [&] {
    std::size_t found = 0;
    for (const std::string& key : keys) {
      const auto one = map.find(key);
      found += one != map.end() && one->second == 1;
    }
    return found;
  });
}

/// And two reads, each of a place that the one before it names and no near cache has, in as much memory as find() looks through: as the
/// hash's slot and the series are, which a look-up cannot read at once.
void two_dependent_reads(benchmark::State& state) {
  struct alignas(64) Line {
    std::uint32_t next;
  };
  const auto count = static_cast<std::size_t>(state.range(0));
  constexpr std::size_t kLinesEach = 3;
  std::vector<std::uint32_t> order(count * kLinesEach);
  std::iota(order.begin(), order.end(), 0);
  std::shuffle(order.begin(), order.end(), std::mt19937_64{1});
  std::vector<Line> lines(order.size());
  for (std::size_t i = 0; i < order.size(); ++i) lines[order[i]].next = order[(i + 1) % order.size()];
  std::uint32_t at = 0;
  time_passes(state, count, [&] {
    for (std::size_t i = 0; i < count; ++i) at = lines[lines[at].next].next;
    benchmark::DoNotOptimize(at);
    return count;
  });
}

/// flush() of as many histograms, each with one record more in one of 32 buckets that it has.
void flush_distributed(benchmark::State& state) {
  const auto count = static_cast<std::size_t>(state.range(0));
  MetricsCollector collector({.buffer_size = count * 2 + 65'536, .flush_mode = FlushMode::manual, .max_series = count});
  std::vector<Histogram> histograms;
  for (const Key& key : make_keys(count)) histograms.push_back(collector.histogram(key.name, {{"route", key.route}, {"status", "200"}}));
  constexpr std::size_t kBuckets = 32;
  const auto value = [](std::size_t i) { return std::exp2(static_cast<double>(i % kBuckets) / 64 + 0.001); };
  for (std::size_t i = 0; i < kBuckets; ++i) {
    for (const Histogram& histogram : histograms) histogram.record(value(i));
    (void)collector.flush();
  }
  std::size_t turn = 0;
  double total = 0;
  for (auto _ : state) {
    for (std::size_t i = 0; i < count; ++i) histograms[i].record(value(i + turn));
    ++turn;
    const auto start = std::chrono::steady_clock::now();
    const auto snapshot = collector.flush();
    const double seconds = seconds_since(start);
    state.SetIterationTime(seconds);
    total += seconds;
  }
  state.counters["ns"] = total * 1e9 / static_cast<double>(state.iterations());
  const auto snapshot = collector.flush();
  if (snapshot->begin()->distribution.undistributed() != 0 || snapshot->stats().spilled != 0) state.SkipWithError("records are missing");
}

/// quantile() of a distribution over three decades at 1 %; `bytes`: what memory_bytes has grown by for each such series, and
/// `bytes_without` for each that has none, beside their keys: text and the tags that view it. Of the registry, that is: what a thread that
/// folds its own needs is one series of many threads', so none does here.
void quantile(benchmark::State& state) {
  constexpr std::size_t kSeries = 16'000, kKeyBytes = 24 + sizeof(Tag);
  const auto bytes_each = [](bool is_distributed) {
    MetricsCollector collector({.flush_mode = FlushMode::manual});
    const std::size_t before = collector.flush()->stats().memory_bytes;
    std::vector<double> values;
    for (int i = 0; i < 2'000; ++i) values.push_back(std::pow(10, i / 2'000.0 * 3));
    for (std::size_t i = 0; i < kSeries; ++i) {
      const Tags tags{{"i", std::to_string(100'000 + i)}};
      is_distributed ? collector.histogram("series", tags).record(values) : collector.summary("series", tags).record(values);
      (void)collector.flush();
    }
    (void)collector.flush();
    return static_cast<double>(collector.flush()->stats().memory_bytes - before) / static_cast<double>(kSeries) - kKeyBytes;
  };
  state.counters["bytes"] = bytes_each(true);
  state.counters["bytes_without"] = bytes_each(false);
  MetricsCollector collector({.flush_mode = FlushMode::manual});
  const Histogram histogram = collector.histogram("series");
  for (int i = 0; i < 100'000; ++i) histogram.record(std::pow(10, i / 100'000.0 * 3));
  const auto found = collector.flush()->find("series");
  constexpr std::size_t kQuantiles = 1'024;
  time_passes(state, kQuantiles, [&] {
    for (std::size_t i = 0; i < kQuantiles; ++i) benchmark::DoNotOptimize(found->quantile(static_cast<double>(i) / kQuantiles));
    return kQuantiles;
  });
}

void iterate(benchmark::State& state) {
  const auto count = static_cast<std::size_t>(state.range(0));
  ManySeries series(count);
  const auto snapshot = series.record_all();
  time_passes(state, count, [&] {
    std::uint64_t records = 0;
    for (const SeriesSnapshot& one : *snapshot) records += one.count;
    return records;
  });
}

/// The first begin() after series were made: it sorts them.
void iterate_first(benchmark::State& state) {
  const auto count = static_cast<std::size_t>(state.range(0));
  double total = 0;
  for (auto _ : state) {
    ManySeries series(count);
    const auto snapshot = series.record_all();
    const auto start = std::chrono::steady_clock::now();
    benchmark::DoNotOptimize(snapshot->begin());
    const double seconds = seconds_since(start);
    state.SetIterationTime(seconds);
    total += seconds;
  }
  state.counters["ns"] = total * 1e9 / static_cast<double>(static_cast<std::size_t>(state.iterations()) * count);
}

}  // namespace

void add_snapshot_benches() {
  benchmark::RegisterBenchmark("flush_changed", flush_changed)
      ->ArgNames({"series", "percent"})
      ->ArgsProduct({{100'000}, {1, 100}})
      ->UseManualTime();
  benchmark::RegisterBenchmark("flush_distributed", flush_distributed)->ArgName("series")->Arg(100'000)->UseManualTime();
  benchmark::RegisterBenchmark("quantile", quantile)->UseManualTime();
  benchmark::RegisterBenchmark("bind_new", bind_new)->ArgName("series")->Arg(100'000)->UseManualTime()->Iterations(1);
  benchmark::RegisterBenchmark("find", find)->ArgName("series")->Arg(1'000)->Arg(100'000)->UseManualTime();
  benchmark::RegisterBenchmark("find_in_unordered_map", find_in_unordered_map)
      ->ArgName("series")
      ->Arg(1'000)
      ->Arg(100'000)
      ->UseManualTime();
  benchmark::RegisterBenchmark("two_dependent_reads", two_dependent_reads)->ArgName("series")->Arg(100'000)->UseManualTime();
  benchmark::RegisterBenchmark("iterate", iterate)->ArgName("series")->Arg(100'000)->UseManualTime();
  benchmark::RegisterBenchmark("iterate_first", iterate_first)->ArgName("series")->Arg(100'000)->UseManualTime()->Iterations(1);
}

}  // namespace pepper::bench
