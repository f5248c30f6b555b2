#include "contract.hpp"
#include "resident.hpp"
#include "sanitizers.hpp"

#include <atomic>
#include <barrier>

using namespace pepper;

namespace {

constexpr std::size_t kOwn = 20;
constexpr bool kIsSanitized = sanitizers::kIsAsan || sanitizers::kIsTsan;

std::uint64_t total(const Snapshot& snapshot) {
  std::uint64_t total = 0;
  for (const SeriesSnapshot& one : snapshot) total += one.count;
  return total;
}

/// Two threads record under tags that a client makes up, no two the same, by name and through handles; a third goes about its business.
class Flood {
 public:
  explicit Flood(MetricsCollector& collector) : collector_(collector) {
    for (std::size_t i = 0; i < kOwn; ++i) own_.push_back(collector.summary("own", {{"i", std::to_string(i)}}));
    (void)collector.record("request", 1, {{"path", "/"}});
  }

  /// Goes on for so many paths more, and looks at the ledger meanwhile.
  void go_on(std::size_t paths) {
    std::atomic<std::size_t> running{2};
    std::vector<std::jthread> threads;
    for (std::size_t t = 0; t < 2; ++t) {
      threads.emplace_back([&, t] {
        for (std::size_t i = 0; i < paths / 2; ++i) make_up(i % 2 == 0, std::to_string(paths_ + 2 * i + t));
        --running;
      });
    }
    while (running != 0) {
      for (int i = 0; i < 1000; ++i, ++own_records_) own_[own_records_ % kOwn].record(1);
      look();
    }
    threads.clear();
    paths_ += paths;
    look();
  }

  /// Threads that come afterwards still find room.
  void record_on_new_threads() {
    constexpr std::size_t kThreads = 16, kRecords = 50 * kOwn;
    std::barrier all_live(static_cast<std::ptrdiff_t>(kThreads));
    contract::on_threads(kThreads, [&](std::size_t) {
      for (std::size_t i = 0; i < kRecords; ++i) own_[i % kOwn].record(1);
      all_live.arrive_and_wait();
    });
    own_records_ += kThreads * kRecords;
  }

  void check() {
    CHECK(unbalanced_ == 0);
    CHECK(over_limit_ == 0);
    const auto snapshot = collector_.flush();
    CHECK(snapshot->stats().recorded == 1 + paths_ + own_records_);
    CHECK(snapshot->stats().dropped == 0);
    CHECK(total(*snapshot) == 1 + paths_ + own_records_);
    CHECK(contract::count(*snapshot, "request", {{"path", "/"}}) == 1);
    const auto overflow = snapshot->find("request", {{"pepper.overflow", "true"}});
    REQUIRE(overflow != nullptr);
    // The others have a series of one record each.
    CHECK(overflow->count == paths_ - (snapshot->size() - kOwn - 2));
    for (std::size_t i = 0; i < kOwn; ++i)
      CHECK(contract::count(*snapshot, "own", {{"i", std::to_string(i)}}) == (own_records_ + kOwn - 1 - i) / kOwn);
  }

 private:
  void make_up(bool is_bound, const std::string& number) {
    const std::string path = "/articles/" + number + "/as-long-as-paths-are/and-then-some/index.html?session=" + number;
    const Tag tags[] = {{"method", "GET"}, {"path", path}};
    if (is_bound) {
      collector_.summary("request", tags).record(1);
    } else {
      (void)collector_.record("request", 1, tags);
    }
  }
  void look() {
    const CollectorStats stats = collector_.flush()->stats();
    unbalanced_ += !contract::is_balanced(stats);
    over_limit_ += stats.memory_bytes > stats.memory_limit_bytes;
  }

  MetricsCollector& collector_;
  std::vector<Summary> own_;  ///< series of the program's own, in turn
  std::size_t paths_ = 0, unbalanced_ = 0, over_limit_ = 0;
  std::uint64_t own_records_ = 0;
};

void check_flood(const TelemetryConfig& config) {
  const std::size_t paths = kIsSanitized ? 20'000 : 200'000;
  const std::size_t resident = resident_bytes();
  MetricsCollector collector(config);
  Flood flood(collector);
  flood.go_on(paths);
  flood.check();
  const std::size_t resident_then = resident_bytes();
  flood.go_on(paths);
  flood.check();
  flood.record_on_new_threads();
  flood.check();
  if (kIsSanitized) return;
  // Beside the collector's: the threads that make up paths, what malloc keeps, and the snapshots in between.
  CHECK(resident_bytes() < resident + config.memory_limit_bytes + (std::size_t{4} << 20));
  CHECK(resident_bytes() < resident_then + (std::size_t{2} << 20));
}

}  // namespace

TEST_CASE("endless tags of a client's making stay below max_series, are counted to the last one, and do other series no harm") {
  TelemetryConfig config = contract::background();
  config.max_series = 2000;
  config.memory_limit_bytes = std::size_t{32} << 20;
  check_flood(config);
}

TEST_CASE("endless tags of a client's making stay below memory_limit_bytes, are counted to the last one, and do other series no harm") {
  TelemetryConfig config = contract::background();
  config.buffer_size = 5000;
  config.memory_limit_bytes = std::size_t{8} << 20;
  check_flood(config);
}
