#include "internals.hpp"

#include <pepper/collector.hpp>

#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <thread>

using namespace internals;

namespace {

constexpr std::size_t kMaxSeries = 40;

TelemetryConfig tiny(std::size_t chunks, FlushMode mode) {
  TelemetryConfig config;
  config.buffer_size = chunks * kChunkRecords;
  config.flush_mode = mode;
  config.flush_interval = std::chrono::milliseconds{1};
  config.on_error = [](std::string_view) {};
  return config;
}

bool is_balanced(const CollectorStats& stats) {
  return stats.recorded == stats.aggregated + stats.pending + stats.dropped && stats.pending <= stats.recorded &&
         stats.spilled <= stats.aggregated;
}

struct Handles {
  Handles(MetricsCollector& collector, std::size_t series) {
    for (std::size_t i = 0; i < series; ++i) summaries.push_back(collector.summary("s", {{"i", std::to_string(i)}}));
  }
  std::vector<Summary> summaries;
};

/// What one thread has recorded: counted by itself, published after each record.
struct alignas(64) Own {
  std::array<Sum, kMaxSeries> sums{};
  std::atomic<std::uint64_t> count{0};
};

/// Records at random: runs, single values, spans, pauses.
void record_at_random(const Handles& handles, std::uint64_t seed, std::size_t records, Own& own) {
  std::mt19937_64 random(seed);
  for (std::size_t made = 0; made < records;) {
    const std::size_t series = random() % handles.summaries.size(), run = random() % 4 == 0 ? random() % 600 : random() % 4;
    if (random() % 16 == 0) {
      const std::vector<double> values(run, static_cast<double>(random() % 1000));
      handles.summaries[series].record(values);
      for (const double value : values) own.sums[series].add(value);
    } else {
      for (std::size_t i = 0; i < run; ++i) {
        const auto value = static_cast<double>(random() % 1000);
        handles.summaries[series].record(value);
        own.sums[series].add(value);
      }
    }
    made += run;
    own.count.fetch_add(run, std::memory_order_release);
    if (random() % 512 == 0) std::this_thread::yield();
  }
}

std::uint64_t counted(const std::vector<Own>& all) {
  std::uint64_t count = 0;
  for (const Own& own : all) count += own.count.load(std::memory_order_acquire);
  return count;
}

void check_sums(const Snapshot& snapshot, const std::vector<Own>& all, std::size_t series) {
  for (std::size_t i = 0; i < series; ++i) {
    Sum expected;
    for (const Own& own : all) expected = {expected.count + own.sums[i].count, expected.sum + own.sums[i].sum};
    const auto found = snapshot.find("s", {{"i", std::to_string(i)}});
    REQUIRE(found != nullptr);
    CAPTURE(i);
    CHECK(Sum{found->count, found->sum} == expected);
  }
}

}  // namespace

TEST_CASE("threads that record at random into tiny pools lose nothing, and every snapshot balances and has what came before it") {
  const std::uint64_t seed = new_seed();
  CAPTURE(seed);
  std::mt19937_64 random(seed);
  const int rounds = kIsSanitized ? 12 : 60;
  for (int round = 0; round < rounds; ++round) {
    CAPTURE(round);
    const std::size_t threads = 1 + random() % 6, chunks = 1 + random() % 8, series = 1 + random() % kMaxSeries;
    const FlushMode mode = random() % 2 == 0 ? FlushMode::manual : FlushMode::background;
    CAPTURE(threads);
    CAPTURE(chunks);
    MetricsCollector collector(tiny(chunks, mode));
    const Handles handles(collector, series);
    std::vector<Own> all(threads);
    std::atomic<std::size_t> running{threads};
    std::uint64_t unbalanced = 0, late = 0;
    {
      std::vector<std::jthread> recording;
      for (std::size_t t = 0; t < threads; ++t) {
        recording.emplace_back([&, t, seed_of_thread = random()] {
          record_at_random(handles, seed_of_thread, kIsSanitized ? 8'000 : 40'000, all[t]);
          --running;
        });
      }
      while (running != 0) {
        const std::uint64_t before = counted(all);
        const CollectorStats stats = collector.flush()->stats();
        unbalanced += !is_balanced(stats);
        late += stats.aggregated < before;
        if (random() % 4 == 0) std::this_thread::sleep_for(std::chrono::microseconds{random() % 300});
      }
    }
    CHECK(unbalanced == 0);
    CHECK(late == 0);
    const auto snapshot = collector.flush();
    CHECK(snapshot->stats().recorded == counted(all));
    CHECK(snapshot->stats().aggregated == counted(all));
    CHECK(snapshot->stats().pending == 0);
    check_sums(*snapshot, all, series);
  }
}

TEST_CASE("flush() has all that came before it, also while another thread seals chunks faster than it drains") {
  std::vector<std::unique_ptr<MetricsCollector>> elsewhere;
  for (const std::size_t buffer_size : {10'000u, 65'536u, 300'000u}) {
    CAPTURE(buffer_size);
    TelemetryConfig config = tiny(1, FlushMode::manual);
    // In a place of its own, where this thread is the first to record.
    for (int i = 0; i < 4; ++i) elsewhere.push_back(std::make_unique<MetricsCollector>(config));
    config.buffer_size = buffer_size;
    MetricsCollector collector(config);
    const Counter mine = collector.counter("mine"), noise = collector.counter("noise");
    mine.add();
    std::uint64_t made = 1, wrong = 0, unbalanced = 0;
    std::atomic<bool> is_done{false};
    std::atomic<std::uint64_t> noise_made{0};
    {
      std::jthread other([&] {
        while (!is_done) {
          for (std::size_t i = 0; i < kChunkRecords; ++i) noise.add();
          noise_made += kChunkRecords;
        }
      });
      for (int round = 0; round < (kIsSanitized ? 50 : 400); ++round) {
        for (int i = 0; i < 300 + round % 256; ++i, ++made) mine.add();
        const std::uint64_t enough = noise_made + buffer_size / 4;
        while (noise_made < enough) std::this_thread::yield();
        const auto snapshot = collector.flush();
        wrong += snapshot->find("mine")->count != made;
        unbalanced += !is_balanced(snapshot->stats());
      }
      is_done = true;
    }
    CHECK(wrong == 0);
    CHECK(unbalanced == 0);
    const auto snapshot = collector.flush();
    CHECK(snapshot->find("mine")->count == made);
    CHECK(snapshot->find("noise")->count == noise_made);
  }
}

TEST_CASE("collectors come and go in one place while threads record through the handles of all of them") {
  const std::uint64_t seed = new_seed();
  CAPTURE(seed);
  std::mt19937_64 random(seed);
  std::atomic<std::shared_ptr<const Handles>*> latest{nullptr};
  std::vector<std::shared_ptr<const Handles>> kept;
  kept.reserve(1000);
  std::atomic<bool> is_done{false};
  std::vector<std::jthread> stale;
  for (std::uint64_t t = 0; t < 2; ++t) {
    stale.emplace_back([&, t] {
      std::mt19937_64 own_random(seed + t);
      while (!is_done) {
        const auto* const handles = latest.load(std::memory_order_acquire);
        if (handles == nullptr) continue;
        const Handles& some = **(handles - own_random() % 2);  // the latest, which may be gone, or the one before
        for (int i = 0; i < 300; ++i) some.summaries[own_random() % some.summaries.size()].record(1e9);
      }
    });
  }
  const int rounds = kIsSanitized ? 60 : 300;
  for (int round = 0; round < rounds; ++round) {
    CAPTURE(round);
    TelemetryConfig config = tiny(1 + random() % 4, random() % 2 == 0 ? FlushMode::manual : FlushMode::background);
    if (random() % 3 == 0) config.on_overflow = OverflowPolicy::drop;
    MetricsCollector collector(config);
    const std::size_t series = 1 + random() % 5;
    const Handles mine(collector, series);
    std::vector<Own> own(1);
    const std::size_t records = random() % 3000;
    std::uint64_t unbalanced = 0;
    for (std::size_t made = 0; made < records; made += 500) {
      record_at_random(mine, random(), 500, own[0]);
      unbalanced += !is_balanced(collector.flush()->stats());
    }
    const auto snapshot = collector.flush();
    unbalanced += !is_balanced(snapshot->stats());
    CHECK(unbalanced == 0);
    // Nothing but this thread's own: what the others record belongs to collectors that are gone.
    if (config.on_overflow == OverflowPolicy::spill) {
      check_sums(*snapshot, own, series);
      CHECK(snapshot->stats().aggregated == own[0].count);
    } else {
      CHECK(snapshot->stats().aggregated <= own[0].count);
    }
    // From now on they have the handles of this one, which is about to die.
    kept.push_back(std::make_shared<const Handles>(mine));
    if (kept.size() > 1) latest.store(&kept.back(), std::memory_order_release);
  }
  is_done = true;
}

TEST_CASE("a collector that is switched off and on takes whole what happens while it is on") {
  MetricsCollector collector(tiny(3, FlushMode::manual));
  const Counter counter = collector.counter("c");
  std::uint64_t made = 0;
  for (int round = 0; round < 300; ++round) {
    for (int i = 0; i < round * 7 % 900; ++i, ++made) counter.add();
    collector.set_enabled(false);
    for (int i = 0; i < round * 5 % 600; ++i) counter.add();
    collector.set_enabled(true);
    const auto snapshot = collector.flush();
    CHECK(snapshot->find("c")->count == made);
    CHECK(snapshot->stats().recorded == made);
    CHECK(is_balanced(snapshot->stats()));
  }
}
