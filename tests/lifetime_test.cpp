#include "contract.hpp"

#include <atomic>
#include <barrier>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

using namespace pepper;
using contract::count;
using contract::manual;
using contract::series;

namespace {

/// One handle of each kind.
struct Handles {
  explicit Handles(MetricsCollector& collector)
      : counter(collector.counter("counter")),
        gauge(collector.gauge("gauge")),
        summary(collector.summary("summary")),
        histogram(collector.histogram("histogram")),
        timer(collector.timer("timer")) {}

  void record(int times) const {
    const double values[] = {1, 2, 3};
    for (int i = 0; i < times; ++i) {
      counter.add();
      gauge.set(i);
      summary.record(values);
      histogram.record(i);
      timer.record(std::chrono::seconds{1});
      const ScopedTimer scope(timer);
    }
  }

  Counter counter;
  Gauge gauge;
  Summary summary;
  Histogram histogram;
  Timer timer;
};

}  // namespace

TEST_CASE("handles may outlive their collector and record: nothing happens") {
  std::optional<MetricsCollector> collector;
  collector.emplace(manual());
  const Handles handles(*collector);
  handles.record(10);
  collector.reset();
  handles.record(1000);
  std::thread([&] { handles.record(1000); }).join();
}

TEST_CASE("the next collector in a place sees nothing of what the last one's handles record") {
  for (const std::size_t buffer_size : {1, 65'536}) {
    CAPTURE(buffer_size);
    std::optional<MetricsCollector> last;
    last.emplace(manual(buffer_size));
    const Handles stale(*last);
    stale.record(100);
    last.reset();
    MetricsCollector next(manual(buffer_size));
    const Counter before = next.counter("before");
    stale.record(1000);
    std::thread([&] { stale.record(1000); }).join();
    // As many series as the last one had, in the same order: were ids reused, these would be hit.
    const Handles fresh(next);
    fresh.record(1);
    stale.record(1000);
    before.add();
    const auto snapshot = next.flush();
    CHECK(count(*snapshot, "before") == 1);
    CHECK(count(*snapshot, "counter") == 1);
    CHECK(count(*snapshot, "gauge") == 1);
    CHECK(count(*snapshot, "summary") == 3);
    CHECK(count(*snapshot, "histogram") == 1);
    CHECK(count(*snapshot, "timer") == 2);
    CHECK(snapshot->stats().recorded == 9);
    CHECK(snapshot->stats().aggregated == 9);
    CHECK(snapshot->stats().dropped == 0);
    CHECK(snapshot->stats().rejected == 0);
  }
}

TEST_CASE("what was recorded before a collector's death is not found by the next one, drained or not") {
  for (const int left : {0, 1, 254, 255, 256, 1000}) {
    CAPTURE(left);
    std::optional<MetricsCollector> last;
    TelemetryConfig config = manual(2000);
    last.emplace(config);
    const Counter hits = last->counter("hits");
    CHECK(last->shutdown());
    for (int i = 0; i < left; ++i) hits.add(100);
    std::thread([&] {
      for (int i = 0; i < left; ++i) hits.add(100);
    }).join();
    last.reset();
    MetricsCollector next(config);
    next.counter("hits").add(1);
    const auto snapshot = next.flush();
    CHECK(series(*snapshot, "hits")->sum == 1);
    CHECK(snapshot->stats().recorded == 1);
  }
}

TEST_CASE("threads that record through collectors' deaths and births do no harm and reach nobody") {
  constexpr std::size_t kThreads = 3;
  std::atomic<const Handles*> handles{nullptr};
  std::vector<std::unique_ptr<Handles>> all;
  std::atomic<std::uint64_t> rounds{0};
  std::uint64_t unbalanced = 0, foreign = 0;
  {
    std::vector<std::jthread> threads;
    for (std::size_t i = 0; i < kThreads; ++i) {
      threads.emplace_back([&](const std::stop_token& stop) {
        for (; !stop.stop_requested(); ++rounds) {
          if (const Handles* const some = handles) some->record(20);
        }
      });
    }
    for (int life = 0; life < 30; ++life) {
      for (const FlushMode mode : {FlushMode::manual, FlushMode::background}) {
        TelemetryConfig config = contract::background(std::chrono::milliseconds{1});
        config.flush_mode = mode;
        config.buffer_size = life % 2 == 0 ? 1 : 10'000;
        MetricsCollector collector(config);
        const Counter own = collector.counter("own");
        for (int i = 0; i < 300; ++i) own.add();
        // The threads still use the handles of a collector that is gone, and begin with this one's as these are there.
        const auto first = collector.flush();
        unbalanced += !contract::is_balanced(first->stats());
        foreign += first->stats().aggregated != 300;
        all.push_back(std::make_unique<Handles>(collector));
        handles = all.back().get();
        const std::uint64_t before = rounds;
        while (rounds == before) std::this_thread::yield();
        const auto second = collector.flush();
        unbalanced += !contract::is_balanced(second->stats());
        foreign += count(*second, "own") != 300;
      }
    }
  }
  CHECK(unbalanced == 0);
  CHECK(foreign == 0);
}

TEST_CASE("a thread carries on where another has ended, and takes nothing of it along") {
  MetricsCollector collector(manual(2000));
  const Counter hits = collector.counter("hits");
  const Gauge level = collector.gauge("level");
  for (int i = 1; i <= 2000; ++i) {
    std::thread([&] {
      hits.add();
      level.set(i);
    }).join();
  }
  const auto snapshot = collector.flush();
  CHECK(count(*snapshot, "hits") == 2000);
  CHECK(series(*snapshot, "level")->last == 2000);
}

TEST_CASE("many short threads take no more memory than the most that lived at once") {
  MetricsCollector collector(manual());
  const Counter hits = collector.counter("hits");
  const auto run = [&] {
    std::barrier all_live(4);
    contract::on_threads(4, [&](std::size_t) {
      all_live.arrive_and_wait();
      for (int i = 0; i < 300; ++i) hits.add();
      all_live.arrive_and_wait();
    });
    (void)collector.flush();
  };
  for (int i = 0; i < 20; ++i) run();
  const std::size_t before = collector.flush()->stats().memory_bytes;
  for (int i = 0; i < 200; ++i) run();
  CHECK(collector.flush()->stats().memory_bytes == before);
  CHECK(count(*collector.flush(), "hits") == 220 * 4 * 300);
}

TEST_CASE("destructors of thread_locals and of a thread's last objects may record") {
  MetricsCollector collector(manual());
  static std::atomic<const Counter*> reached{nullptr};
  struct Recorder {
    ~Recorder() {
      for (int i = 0; i < 300; ++i) reached.load()->add();
    }
    bool used = false;
  };
  const Counter hits = collector.counter("hits");
  reached = &hits;
  for (int i = 0; i < 10; ++i) {
    std::thread([&] {
      static thread_local Recorder before;
      before.used = true;
      hits.add();
      static thread_local Recorder after;
      after.used = true;
    }).join();
  }
  CHECK(count(*collector.flush(), "hits") == 10 * 601);
}

TEST_CASE("a collector dies with its threads at work and its subscriptions alive") {
  std::vector<Subscription> subscriptions;
  for (int i = 0; i < 30; ++i) {
    MetricsCollector collector(contract::background(std::chrono::milliseconds{1}));
    subscriptions.push_back(collector.on_snapshot([](const Snapshot&) {}));
    subscriptions.push_back(collector.observe("observed", {}, [] { return 1.0; }));
    const Counter hits = collector.counter("hits");
    contract::on_threads(2, [&](std::size_t) {
      for (int r = 0; r < 1000; ++r) hits.add();
    });
  }
}

TEST_CASE("a callback may destroy its collector inside flush(), and so may on_error") {
  for (const int by : {0, 1, 2}) {
    std::unique_ptr<MetricsCollector> collector;
    Subscription subscription;
    TelemetryConfig config = manual();
    config.on_error = [&](std::string_view) { collector.reset(); };
    collector = std::make_unique<MetricsCollector>(config);
    const Counter hits = collector->counter("hits");
    hits.add();
    if (by == 0) subscription = collector->on_snapshot([&](const Snapshot&) { collector.reset(); });
    if (by == 1) subscription = collector->observe("level", {}, [&] { return collector.reset(), 1.0; });
    if (by == 2) hits.add(-1);
    const auto snapshot = collector->flush();
    CHECK(collector == nullptr);
    CHECK(count(*snapshot, "hits") == 1);
    hits.add();  // nobody's
  }
}

TEST_CASE("threads that wait for a free chunk of a collector that goes end up in no other's") {
  TelemetryConfig config = contract::background();
  config.on_overflow = OverflowPolicy::block;
  std::mutex mutex;
  Counter current;
  std::atomic<bool> is_over{false};
  std::vector<std::jthread> threads;
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([&] {
      while (!is_over) {
        Counter hits;
        {
          const std::lock_guard lock(mutex);
          hits = current;
        }
        for (int i = 0; i < 700; ++i) hits.add();
      }
    });
  }
  for (std::size_t i = 0; i < 100; ++i) {
    config.buffer_size = 1 + 255 * (i % 7);
    MetricsCollector collector(config);
    const Counter own = collector.counter("own");
    {
      const std::lock_guard lock(mutex);
      current = collector.counter("theirs");
    }
    for (int r = 0; r < 300; ++r) own.add();
    const auto snapshot = collector.flush();
    CHECK(count(*snapshot, "own") == 300);
    CHECK(contract::is_balanced(snapshot->stats()));
    const std::lock_guard lock(mutex);
    current = {};
  }
  is_over = true;
}
