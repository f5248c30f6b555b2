#include "forked.hpp"

#include <pthread.h>

#include <array>
#include <atomic>
#include <cstdlib>
#include <limits>

using namespace forked;

// TSan lets the child of a process with threads start threads of its own only where it is told to.
extern "C" const char* __tsan_default_options();  // NOLINT(bugprone-reserved-identifier): its name
extern "C" const char* __tsan_default_options() { return "die_after_fork=0"; }

namespace {

/// Threads that record until it ends, and know how often they did.
class Recorders {
 public:
  Recorders(std::size_t threads, Counter counter) {
    for (std::size_t i = 0; i < threads; ++i) {
      threads_.emplace_back([this, counter] {
        std::uint64_t made = 0;
        for (++begun_; !is_over_; ++made) counter.add();
        made_ += made;
      });
    }
    while (begun_ != threads) std::this_thread::yield();
  }
  ~Recorders() { (void)stop(); }
  std::uint64_t stop() {
    is_over_ = true;
    threads_.clear();
    return made_;
  }

 private:
  std::atomic<bool> is_over_{false};
  std::atomic<std::size_t> begun_{0};
  std::atomic<std::uint64_t> made_{0};
  std::vector<std::jthread> threads_;
};

}  // namespace

TEST_CASE("a child counts from zero with the handles it inherits, and the parent keeps what it had") {
  for (const auto& config : {manual(), background()}) {
    for (const std::uint64_t before : {0u, 1u, 254u, 255u, 256u, 100'000u}) {
      MetricsCollector collector(config);
      const Counter hits = collector.counter("hits");
      add_times(hits, before);
      CHECK(holds_in_child([&] {
        add_times(hits, 7);
        if (!has_exactly(*collector.flush(), "hits", 7)) return false;
        add_times(hits, kManyRecords);
        return has_exactly(*collector.flush(), "hits", 7 + kManyRecords);
      }));
      add_times(hits, 3);
      CHECK(has_exactly(*collector.flush(), "hits", before + 3));
    }
  }
}

TEST_CASE("all kinds of series go on in a child, by handle and by name, and new ones can be bound") {
  MetricsCollector collector(manual());
  const Gauge level = collector.gauge("level");
  const Histogram size = collector.histogram("size", {}, {.unit = "bytes", .help = "of a file"});
  const Timer time = collector.timer("time");
  const auto record = [&](double value) {
    level.set(value);
    size.record(value);
    time.record(std::chrono::seconds{2});
    { const ScopedTimer timed(time); }
    collector.record("by name", value, {{"k", "v"}});
    collector.record("rejected", std::numeric_limits<double>::quiet_NaN());
  };
  record(1000);
  (void)collector.flush();
  CHECK(holds_in_child([&] {
    record(5);
    collector.counter("new").add();
    const auto snapshot = collector.flush();
    const auto bytes = contract::series(*snapshot, "size");
    return contract::series(*snapshot, "level")->last == 5 && contract::series(*snapshot, "level")->max == 5 && bytes->sum == 5 &&
           bytes->unit == "bytes" && bytes->help == "of a file" && bytes->kind == Kind::histogram && count(*snapshot, "time") == 2 &&
           count(*snapshot, "by name", {{"k", "v"}}) == 1 && count(*snapshot, "new") == 1 && snapshot->stats().rejected == 1 &&
           snapshot->stats().recorded == 6 && is_balanced(snapshot->stats());
  }));
  CHECK(collector.flush()->find("new") == nullptr);
}

TEST_CASE("a child's first snapshot has the parent's series, none of its values, and comes after the parent's") {
  for (const auto& config : {manual(), background()}) {
    MetricsCollector collector(config);
    const Counter hits = collector.counter("hits");
    add_times(hits, 1000);
    collector.counter("negative").add(-1);
    const auto before = collector.flush();
    CHECK(holds_in_child([&] {
      const auto after = collector.snapshot();
      const CollectorStats stats = collector.stats();
      return after->sequence() > before->sequence() && after->size() == 2 && has_exactly(*after, "hits", 0) && stats.losses.empty() &&
             stats.flushes == 0 && stats.memory_bytes <= stats.memory_limit_bytes && stats.memory_bytes > 0 &&
             count(*before, "hits") == 1000 && collector.flush()->stats().flushes == 1;
    }));
  }
}

TEST_CASE("forking while threads record and flush loses nothing in the parent, and every child counts its own alone") {
  const int forks = sanitizers::kIsTsan ? 20 : 200;
  for (const auto policy : {OverflowPolicy::spill, OverflowPolicy::block}) {
    TelemetryConfig config = background(std::chrono::milliseconds{1});
    config.buffer_size = 4 * 255;  // so that threads are stopped in folds of their own, too
    config.on_overflow = policy;
    MetricsCollector collector(config);
    const Counter theirs = collector.counter("theirs"), mine = collector.counter("mine");
    Recorders recorders(2, theirs);
    std::atomic<bool> is_over{false};
    std::atomic<int> unbalanced{0};
    std::jthread flushing([&] {
      while (!is_over) unbalanced += !is_balanced(collector.flush()->stats());
    });
    add_times(mine, 100);
    std::array<int, 2> wrong{};
    for (int i = 0; i < forks / 2; ++i) {
      std::array<pid_t, 2> children{};
      for (pid_t& child : children) {
        child = fork_into([&] {
          add_times(mine, kManyRecords);
          const auto snapshot = collector.flush();
          return has_exactly(*snapshot, "mine", kManyRecords) && count(*snapshot, "theirs") == 0;
        });
      }
      for (std::size_t n = 0; n < children.size(); ++n) wrong[n] += status_of(children[n]) != 0;
    }
    is_over = true;
    flushing.join();
    const std::uint64_t made = recorders.stop();
    const auto snapshot = collector.flush();
    CHECK(wrong == std::array{0, 0});
    CHECK(unbalanced == 0);
    CHECK(count(*snapshot, "theirs") == made);
    CHECK(count(*snapshot, "mine") == 100);
    CHECK(snapshot->stats().recorded == made + 100);
    CHECK(is_balanced(snapshot->stats()));
  }
}

TEST_CASE("threads that a child starts take the places of those it does not have, within the same memory") {
  if (!kChildrenHaveThreads) return;
  TelemetryConfig config = manual(4 * 255);
  MetricsCollector collector(config);
  const Counter hits = collector.counter("hits");
  Recorders recorders(8, hits);
  for (int round = 0; round < 20; ++round) {
    const std::size_t before = collector.flush()->stats().memory_bytes;
    CHECK(holds_in_child([&] {
      contract::on_threads(8, [&](std::size_t) { add_times(hits, kManyRecords); });
      add_times(hits, 1);
      const auto snapshot = collector.flush();
      return has_exactly(*snapshot, "hits", 8 * kManyRecords + 1) && snapshot->stats().memory_bytes <= before + before / 4;
    }));
  }
}

TEST_CASE("a grandchild, and each process on the way to it, counts its own alone") {
  MetricsCollector collector(background());
  const Counter hits = collector.counter("hits");
  add_times(hits, 1000);
  CHECK(holds_in_child([&] {
    add_times(hits, 300);  // not flushed
    const pid_t unsettled = fork_into([&] {
      return status_of(fork_into([&] {  // its parent has not used it at all
               add_times(hits, 5);
               return has_exactly(*collector.flush(), "hits", 5) && collector.shutdown();
             })) == 0;
    });
    const pid_t settled = fork_into([&] {
      add_times(hits, 600);
      return has_exactly(*collector.flush(), "hits", 600) && collector.shutdown();
    });
    return status_of(unsettled) == 0 && status_of(settled) == 0 && has_exactly(*collector.flush(), "hits", 300);
  }));
  CHECK(has_exactly(*collector.flush(), "hits", 1000));
}

TEST_CASE("many collectors work in a child whatever state they were in, can be destroyed there, and new ones made") {
  std::vector<std::unique_ptr<MetricsCollector>> collectors;
  std::vector<Counter> hits;
  for (int i = 0; i < 100; ++i) {
    TelemetryConfig config = i % 3 == 0 && kChildrenHaveThreads ? background() : manual();
    config.buffer_size = 255;
    collectors.push_back(std::make_unique<MetricsCollector>(config));
    hits.push_back(collectors.back()->counter("hits"));
    add_times(hits.back(), 100);
    if (i % 5 == 1) (void)collectors.back()->shutdown();
    if (i % 5 == 2) collectors.back()->set_enabled(false);
    add_times(hits.back(), 300);
  }
  CHECK(holds_in_child([&] {
    bool is_right = true;
    for (int i = 0; i < 100; ++i) {
      const bool is_enabled = i % 5 != 2;
      add_times(hits[i], kManyRecords);
      is_right = is_right && has_exactly(*collectors[i]->flush(), "hits", is_enabled ? kManyRecords : 0);
      collectors[i]->set_enabled(true);
      add_times(hits[i], 2);
      is_right = is_right && has_exactly(*collectors[i]->flush(), "hits", is_enabled ? kManyRecords + 2 : 2);
    }
    collectors.clear();
    add_times(hits[0], 1000);  // nobody's
    for (int i = 0; i < 200; ++i) {
      MetricsCollector fresh(i % 50 == 0 && kChildrenHaveThreads ? background() : manual());
      add_times(fresh.counter("fresh"), kManyRecords);
      is_right = is_right && has_exactly(*fresh.flush(), "fresh", kManyRecords) && fresh.shutdown();
    }
    return is_right;
  }));
  for (int i = 0; i < 100; ++i) CHECK(has_exactly(*collectors[i]->flush(), "hits", i % 5 == 2 ? 100 : 400));
}

TEST_CASE("any number of collectors may come and go in a child: those it inherits give back their places") {
  std::vector<std::unique_ptr<MetricsCollector>> collectors;
  const auto make = [&] {
    TelemetryConfig config = kChildrenHaveThreads ? background() : manual();
    config.buffer_size = 255;
    config.max_series = 1;
    collectors.push_back(std::make_unique<MetricsCollector>(config));
    (void)collectors.back()->counter("hits");  // starts the flusher, which holds the collector
  };
  for (int i = 0; i < 10; ++i) make();
  CHECK(holds_in_child([&] {
    collectors.clear();
    std::vector<std::unique_ptr<MetricsCollector>> all;
    while (all.size() < 959) {
      TelemetryConfig config = manual(255);
      config.max_series = 1;
      all.push_back(std::make_unique<MetricsCollector>(config));
    }
    return true;
  }));
}

TEST_CASE("threads may fork at once") {
  MetricsCollector collector(background());
  const Counter hits = collector.counter("hits");
  std::atomic<int> wrong{0};
  contract::on_threads(4, [&](std::size_t) {
    for (int i = 0; i < 10; ++i) {
      add_times(hits, 10);
      const pid_t child = fork_into([&] {
        add_times(hits, kManyRecords);
        return has_exactly(*collector.flush(), "hits", kManyRecords);
      });
      wrong += status_of(child) != 0;
    }
  });
  CHECK(wrong == 0);
  CHECK(has_exactly(*collector.flush(), "hits", 400));
}

TEST_CASE("a child that only execs, spawns or ends leaves the parent alone, and pays nothing") {
  MetricsCollector collector(background());
  const Counter hits = collector.counter("hits");
  add_times(hits, 1000);
  CHECK(std::system("exit 0") == 0);
  const pid_t vforked = vfork();
  if (vforked == 0) {
    execl("/bin/true", "true", nullptr);
    _exit(1);
  }
  CHECK(status_of(vforked) == 0);
  const pid_t executed = fork_clean();
  if (executed == 0) {
    execl("/bin/true", "true", nullptr);
    _exit(1);
  }
  CHECK(status_of(executed) == 0);
  CHECK(holds_in_child([] { return true; }));
  CHECK(has_exactly(*collector.flush(), "hits", 1000));
}

TEST_CASE("other people's fork handlers may record and flush, before the fork and after it") {
  static MetricsCollector* collector = nullptr;
  static Counter hits;
  static std::atomic<int> calls{0};
  MetricsCollector made(manual());
  hits = made.counter("hits");
  collector = &made;
  const auto use = [] {
    if (collector == nullptr) return;
    hits.add();
    (void)collector->flush();
    ++calls;
  };
  REQUIRE(pthread_atfork(use, use, use) == 0);
  CHECK(holds_in_child([&] {
    hits.add();
    return calls == 2 && has_exactly(*made.flush(), "hits", 2);  // its own, and its handler's
  }));
  CHECK(calls == 2);
  CHECK(has_exactly(*made.flush(), "hits", 2));
  collector = nullptr;
}
