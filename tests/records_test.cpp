#include "contract.hpp"
#include "forked.hpp"

#include <atomic>
#include <barrier>
#include <limits>
#include <map>
#include <mutex>
#include <semaphore>
#include <stdexcept>
#include <string>

using namespace pepper;
using namespace std::chrono_literals;
using contract::background;
using contract::manual;
using contract::on_threads;

namespace {

/// All that a subscription has got.
class Heard {
 public:
  explicit Heard(MetricsCollector& collector) : subscription_(collector.on_records([this](const RecordBatch& batch) { take(batch); })) {}

  void end() { subscription_.reset(); }
  [[nodiscard]] std::uint64_t delivered() const { return locked(delivered_); }
  [[nodiscard]] std::uint64_t missed() const { return locked(missed_); }
  [[nodiscard]] std::uint64_t both() const {
    const std::lock_guard lock(mutex_);
    return delivered_ + missed_;
  }
  /// As "name{key=value}=1.5 ", since the last call.
  [[nodiscard]] std::string said() {
    const std::lock_guard lock(mutex_);
    return std::exchange(said_, {});
  }
  /// Records that are not larger than the one before of the same thread and series; for values that only grow.
  [[nodiscard]] std::uint64_t out_of_order() const { return locked(out_of_order_); }

 private:
  void take(const RecordBatch& batch) {
    const std::lock_guard lock(mutex_);
    delivered_ += batch.size();
    missed_ += batch.missed();
    for (const RawRecord& record : batch) {
      out_of_order_ += !(record.value > std::exchange(latest_.try_emplace({batch.thread(), record.name}, -1).first->second, record.value));
      if (said_.size() > 1000) continue;
      said_.append(record.name);
      for (const Tag& tag : record.tags) said_.append("{").append(tag.key).append("=").append(tag.value).append("}");
      said_ += "=" + std::to_string(record.value) + " ";
      said_.erase(said_.find_last_not_of('0', said_.size() - 2) + 1);
      said_ += ' ';
    }
  }
  template <class T>
  [[nodiscard]] T locked(const T& what) const {
    const std::lock_guard lock(mutex_);
    return what;
  }

  mutable std::mutex mutex_;
  std::uint64_t delivered_ = 0, missed_ = 0, out_of_order_ = 0;
  std::map<std::pair<std::uint64_t, std::string_view>, double> latest_;
  std::string said_;
  Subscription subscription_;
};

}  // namespace

TEST_CASE("a subscriber gets the records themselves, in the order of their thread") {
  MetricsCollector collector(manual());
  const Counter hits = collector.counter("hits", {{"b", "2"}, {"a", "1"}});
  const Gauge level = collector.gauge("level");
  hits.add(7);  // before
  Heard heard(collector);
  hits.add(2);
  level.set(-3);
  collector.record("sizes", 0.5);
  collector.timer("took").record(250ms);
  hits.record({4, 5});
  CHECK(heard.said().empty());
  (void)collector.flush();
  CHECK(heard.said() == "hits{a=1}{b=2}=2. level=-3. sizes=0.5 took=0.25 hits{a=1}{b=2}=4. hits{a=1}{b=2}=5. ");
  CHECK(heard.missed() == 0);
  (void)collector.flush();
  CHECK(heard.delivered() == 6);
}

TEST_CASE("a raw record says its kind, weighs one and has no time that nobody asked for; a timer's is in seconds") {
  MetricsCollector collector(manual());
  std::vector<RawRecord> got;
  const Subscription subscription =
      collector.on_records([&](const RecordBatch& batch) { got.insert(got.end(), batch.begin(), batch.end()); });
  { const ScopedTimer timed(collector.timer("took")); }
  collector.gauge("level").set(1);
  const auto begin = std::chrono::steady_clock::now();
  (void)collector.flush();
  REQUIRE(got.size() == 2);
  CHECK(got[0].kind == Kind::timer);
  CHECK(got[0].value >= 0);
  CHECK(got[0].value < 10);
  CHECK(got[1].kind == Kind::gauge);
  for (const RawRecord& record : got) {
    CHECK(record.weight == 1);
    CHECK(record.time == std::chrono::system_clock::time_point{});
  }
  CHECK(std::chrono::steady_clock::now() - begin < 10s);
}

TEST_CASE("what the fold refuses is neither delivered nor missed") {
  MetricsCollector collector(manual());
  const Counter hits = collector.counter("hits");
  const Summary sizes = collector.summary("sizes");
  Heard heard(collector);
  sizes.record({1, std::numeric_limits<double>::quiet_NaN(), -2});
  hits.record({3, -4, 5});
  const auto snapshot = collector.flush();
  CHECK(heard.said() == "sizes=1. sizes=-2. hits=3. hits=5. ");
  CHECK(heard.both() == snapshot->stats().aggregated);
  CHECK(snapshot->stats().dropped == 1);
}

TEST_CASE("what threads fold themselves, and what signal handlers count, is said to be missed") {
  MetricsCollector collector(manual(1));
  const Counter hits = collector.counter("hits");
  Heard heard(collector);
  for (int i = 0; i < 5000; ++i) hits.add();
  const SignalCounter caught = collector.signal_counter("caught");
  caught.add();
  caught.add(2);
  const auto snapshot = collector.flush();
  CHECK(snapshot->stats().spilled > 1000);
  CHECK(heard.missed() == snapshot->stats().spilled + 2);
  CHECK(heard.both() == 5002);
}

TEST_CASE("records delivered and missed are those aggregated, exactly, whatever the overload, and each thread's come in its order") {
  for (const std::size_t buffer_size : {1u, 20u * 255, 65'536u}) {
    CAPTURE(buffer_size);
    TelemetryConfig config = background(1ms);
    config.buffer_size = buffer_size;
    MetricsCollector collector(config);
    const Counter hits = collector.counter("hits");
    const Timer took = collector.timer("took");
    hits.add(1e9);
    const std::uint64_t before = collector.flush()->stats().aggregated;
    Heard heard(collector);
    std::barrier together(3);  // a thread that has ended would leave its number to a later one
    on_threads(3, [&](std::size_t) {
      collector.attach_thread();
      together.arrive_and_wait();
      for (int i = 0; i < 50'000; ++i) {
        hits.add(i);
        took.record(std::chrono::duration<double>(i));
        if (i % 10'000 == 0) (void)collector.flush();
      }
    });
    CHECK(collector.shutdown());
    const CollectorStats stats = collector.snapshot()->stats();
    CHECK(heard.both() == stats.aggregated - before);
    CHECK(heard.both() == 300'000);
    CHECK(heard.missed() >= stats.spilled);
    CHECK(heard.delivered() > 0);
    CHECK(heard.out_of_order() == 0);
  }
}

TEST_CASE("a subscriber that blocks holds up no flush, and is told what it has missed meanwhile") {
  TelemetryConfig config = background();
  config.buffer_size = 4 * 255;
  MetricsCollector collector(config);
  const Counter hits = collector.counter("hits");
  std::binary_semaphore may_go_on{0};
  std::atomic<bool> is_blocked{false};
  std::atomic<std::uint64_t> delivered{0}, missed{0};
  const Subscription subscription = collector.on_records([&](const RecordBatch& batch) {
    if (!is_blocked.exchange(true)) may_go_on.acquire();
    delivered += batch.size();
    missed += batch.missed();
  });
  std::uint64_t recorded = 0;
  std::size_t memory = 0;
  for (int flushes = 0; flushes < 400; ++flushes) {
    for (int i = 0; i < 200; ++i, ++recorded) hits.add();
    const auto snapshot = collector.flush();
    CHECK(contract::count(*snapshot, "hits") == recorded);
    memory = std::max(memory, snapshot->stats().memory_bytes);
    if (flushes == 0) CHECK(contract::comes_true([&] { return is_blocked.load(); }));
  }
  CHECK(memory <= config.memory_limit_bytes);
  may_go_on.release();
  CHECK(collector.shutdown());
  CHECK(missed > recorded / 2);
  CHECK(delivered > 10'000);
  CHECK(delivered + missed == recorded);
}

TEST_CASE("a subscriber that throws is counted, and keeps no batch from the others or from itself") {
  MetricsCollector collector(manual());
  const Counter hits = collector.counter("hits");
  std::uint64_t thrown = 0;
  const Subscription throwing = collector.on_records([&](const RecordBatch& batch) {
    thrown += batch.size();
    throw std::runtime_error("no");
  });
  Heard heard(collector);
  for (int flushes = 0; flushes < 3; ++flushes) {
    hits.add();
    (void)collector.flush();
  }
  CHECK(thrown == 3);
  CHECK(heard.delivered() == 3);
  CHECK(collector.stats().callback_errors == 3);
}

TEST_CASE("a subscription begins with the records after it, and ends with its last") {
  MetricsCollector collector(manual(1));
  const Counter hits = collector.counter("hits");
  const auto add = [&] {
    for (int i = 0; i < 2000; ++i) hits.add();
  };
  const SignalCounter caught = collector.signal_counter("caught");
  Heard first(collector);
  add();
  Heard second(collector);  // what waits for the first one is none of its, missed or not
  caught.add();             // what is only missed is
  (void)collector.flush();
  CHECK(first.both() == 2001);
  CHECK(second.both() == 1);
  first.end();
  add();
  (void)collector.flush();
  CHECK(first.both() == 2001);
  CHECK(second.both() == 2001);
  second.end();
  add();
  (void)collector.flush();
  CHECK(second.both() == 2001);
  Heard third(collector);
  add();
  (void)collector.flush();
  CHECK(third.both() == 2000);
}

TEST_CASE("the buffer's memory is given back once nobody subscribes") {
  MetricsCollector collector(manual());
  const Counter hits = collector.counter("hits");
  hits.add();
  const std::size_t before = collector.flush()->stats().memory_bytes;
  Heard heard(collector);
  CHECK(collector.stats().memory_bytes > before + 65'536 * 16);
  heard.end();
  (void)collector.flush();
  CHECK(collector.stats().memory_bytes == before);
}

TEST_CASE("a subscriber may record, flush, subscribe and end itself") {
  for (const TelemetryConfig& config : {manual(), background()}) {
    MetricsCollector collector(config);
    const Counter hits = collector.counter("hits"), more = collector.counter("more");
    Subscription self, other;
    std::atomic<int> calls{0}, others{0};
    std::atomic<bool> first_done{false};  // this thread adds nothing while the first call counts
    self = collector.on_records([&](const RecordBatch& batch) {
      if (++calls == 1) {
        more.add();
        other = collector.on_records([&](const RecordBatch& late) { others += static_cast<int>(late.size()); });
        hits.add(static_cast<double>(batch.size()));
        CHECK(contract::count(*collector.flush(), "hits") == 2);
        first_done = true;
      } else {
        self.reset();
      }
    });
    hits.add();
    (void)collector.flush();
    CHECK(contract::comes_true([&] { return first_done.load(); }));
    hits.add();
    CHECK(contract::comes_true([&] {
      hits.add();
      (void)collector.flush();
      return calls >= 2;
    }));
    const int called = calls;
    hits.add();
    CHECK(collector.shutdown());
    CHECK(calls == called);
    CHECK(others > 0);
  }
}

TEST_CASE("records are delivered until the collector's end, and its subscription may outlive it") {
  std::uint64_t got = 0;
  Subscription subscription;
  {
    MetricsCollector collector(background());
    subscription = collector.on_records([&](const RecordBatch& batch) { got += batch.size(); });
    collector.counter("hits").record({1, 2, 3});
  }
  CHECK(got == 3);
}

TEST_CASE("a child's subscribers get the child's records alone") {
  MetricsCollector collector(background());
  const Counter hits = collector.counter("hits");
  std::binary_semaphore may_go_on{0};
  std::atomic<bool> is_blocked{false}, is_parent{true};
  std::atomic<std::uint64_t> heard{0};
  const Subscription subscription = collector.on_records([&](const RecordBatch& batch) {
    if (is_parent && !is_blocked.exchange(true)) may_go_on.acquire();
    heard += batch.size() + batch.missed();
  });
  hits.record({1, 2, 3});
  (void)collector.flush();
  CHECK(contract::comes_true([&] { return is_blocked.load(); }));
  hits.record({4, 5});
  (void)collector.flush();  // these wait
  hits.add();               // and this is not even drained
  CHECK(forked::holds_in_child([&] {
    if (!forked::kChildrenHaveThreads) return true;  // the collector's would start with its first use
    is_parent = false;
    hits.record({6, 7});
    return collector.shutdown() && heard == 2;
  }));
  may_go_on.release();
  CHECK(collector.shutdown());
  CHECK(heard == 6);
}
