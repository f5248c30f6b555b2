#include "forked.hpp"

#include <sys/mman.h>

#include <atomic>
#include <optional>
#include <stdexcept>

using namespace forked;

TEST_CASE("the flusher and the callbacks go on by themselves in a child, on_flusher_start included") {
  if (!kChildrenHaveThreads) return;
  std::atomic<int> started{0};
  TelemetryConfig config = background(std::chrono::milliseconds{5});
  config.on_flusher_start = [&] { ++started; };
  MetricsCollector collector(config);
  const Counter hits = collector.counter("hits");
  std::atomic<std::uint64_t> seen{0};
  std::atomic<double> level{1};
  const Subscription subscription = collector.on_snapshot([&](const Snapshot& snapshot) { seen = count(snapshot, "hits"); });
  const Subscription observer = collector.observe("level", {}, [&] { return level.load(); });
  add_times(hits, 1000);
  REQUIRE(contract::comes_true([&] { return seen == 1000; }));
  CHECK(holds_in_child([&] {
    hits.add();  // not one call more
    return contract::comes_true([&] { return seen == 1; }) && started == 2 &&
           contract::comes_true([&] { return count(*collector.snapshot(), "level") > 0; });
  }));
  CHECK(started == 1);
}

TEST_CASE("a subscription that ends in a child is not called there any more, though its callback ran at the fork") {
  MetricsCollector collector(background());
  std::atomic<bool> is_inside{false}, may_end{false};
  std::atomic<int> calls{0};
  auto subscription = std::make_optional(collector.on_snapshot([&](const Snapshot&) {
    ++calls;
    is_inside = true;
    while (!may_end) std::this_thread::sleep_for(std::chrono::milliseconds{1});
  }));
  (void)collector.flush();
  REQUIRE(contract::comes_true([&] { return is_inside.load(); }));
  const auto begin = std::chrono::steady_clock::now();
  const pid_t child = fork_into([&] {
    subscription.reset();  // would wait for a thread that is not there
    (void)collector.flush();
    return collector.shutdown() && calls == 1;
  });
  CHECK(std::chrono::steady_clock::now() - begin < std::chrono::seconds{10});  // nor did fork() wait for the callback
  CHECK(status_of(child) == 0);
  may_end = true;
}

TEST_CASE("fork() inside a callback gives a child that works while it is in there and after it has returned") {
  for (const auto& config : {manual(), background()}) {
    MetricsCollector collector(config);
    const Counter hits = collector.counter("hits");
    std::atomic<pid_t> child{-1};
    std::atomic<bool> is_child{false};
    std::atomic<bool> is_done{false};
    Subscription subscription = collector.on_snapshot([&](const Snapshot&) {
      if (child != -1) return;
      child = fork_clean();
      is_child = child == 0;
      if (is_child) {
        alarm(30);
        add_times(hits, kManyRecords);
        if (!has_exactly(*collector.flush(), "hits", kManyRecords)) _exit(1);
        subscription.reset();
        if (config.flush_mode == FlushMode::background) _exit(collector.shutdown() ? 1 : 0);  // the thread of this callback is left
      }
      is_done = true;
    });
    add_times(hits, 1000);
    const auto snapshot = collector.flush();
    if (is_child) {  // manual: the flush that began in the parent has returned here
      hits.add();
      _exit(has_exactly(*collector.flush(), "hits", kManyRecords + 1) && collector.shutdown() ? 0 : 1);
    }
    REQUIRE(contract::comes_true([&] { return is_done.load(); }));
    CHECK(status_of(child) == 0);
    CHECK(has_exactly(*collector.flush(), "hits", 1000));
  }
}

TEST_CASE("fork() inside an observer, on_error and on_flusher_start gives a child that works") {
  for (const FlushMode mode : {FlushMode::manual, FlushMode::background}) {
    TelemetryConfig config = background();
    config.flush_mode = mode;
    std::atomic<int> children{0}, wrong{0};
    std::atomic<MetricsCollector*> known{nullptr};
    const pid_t parent = getpid();
    const auto fork_here = [&] {
      if (getpid() != parent) return;  // a child's flusher starts too: it would fork one that forks one, without end
      const pid_t child = fork_into([&] {
        if (known == nullptr) return true;
        const Counter hits = known.load()->counter("hits");
        add_times(hits, kManyRecords);
        const auto snapshot = known.load()->flush();
        return count(*snapshot, "hits") == kManyRecords && is_balanced(snapshot->stats());
      });
      wrong += status_of(child) != 0;
      ++children;
    };
    config.on_error = [&](std::string_view) { fork_here(); };
    config.on_flusher_start = fork_here;
    MetricsCollector collector(config);
    known = &collector;
    const Counter hits = collector.counter("hits");
    (void)collector.gauge("hits");  // a conflict: on_error
    const Subscription observer = collector.observe("level", {}, [&] {
      fork_here();
      return 1.0;
    });
    add_times(hits, 10);
    collector.counter("hits").add(-1);  // a loss: on_error
    (void)collector.flush();
    const int expected = mode == FlushMode::manual ? 3 : 4;
    CHECK(contract::comes_true([&] { return children >= expected; }));
    CHECK(collector.shutdown());
    CHECK(wrong == 0);
    CHECK(count(*collector.snapshot(), "hits") == 10);
  }
}

TEST_CASE("a flush() whose observer forks, and leaves the child by an exception, goes on in the child with the child's own records") {
  // One that returns a value records it, and so settles in the child by that.
  int losses_told = 0;
  TelemetryConfig config = manual();
  config.on_error = [&](std::string_view line) { losses_told += line.find("dropped") != line.npos; };
  MetricsCollector collector(config);
  const Counter hits = collector.counter("hits");
  std::optional<pid_t> child;
  const Subscription observer = collector.observe("level", {}, [&]() -> double {
    if (!child) child = fork_clean();
    throw std::runtime_error("no level");
  });
  add_times(hits, 1000);
  hits.add(-1);  // a loss of the parent's
  const auto snapshot = collector.flush();
  if (child == 0) {
    alarm(30);
    bool is_right = has_exactly(*snapshot, "hits", 0) && losses_told == 0;
    add_times(hits, kManyRecords);
    is_right = is_right && has_exactly(*collector.flush(), "hits", kManyRecords);
    _exit(is_right ? 0 : 1);
  }
  CHECK(status_of(child.value_or(-1)) == 0);
  CHECK(count(*snapshot, "hits") == 1000);
  CHECK(losses_told == 1);
}

TEST_CASE("a flush() whose on_error forks gives the child a snapshot of its own, and shows its subscribers nothing of the parent's") {
  std::optional<pid_t> child;
  TelemetryConfig config = manual();
  config.on_error = [&](std::string_view) {
    if (!child) child = fork_clean();
  };
  MetricsCollector collector(config);
  const Counter hits = collector.counter("hits");
  std::uint64_t shown = 0;
  const Subscription subscription = collector.on_snapshot([&](const Snapshot& snapshot) { shown += count(snapshot, "hits"); });
  add_times(hits, 1000);
  hits.add(-1);  // a loss: on_error
  const auto snapshot = collector.flush();
  if (child == 0) {
    alarm(30);
    bool is_right = shown == 0 && has_exactly(*snapshot, "hits", 0);
    add_times(hits, kManyRecords);
    is_right = is_right && has_exactly(*collector.flush(), "hits", kManyRecords) && shown == kManyRecords;
    _exit(is_right ? 0 : 1);
  }
  CHECK(status_of(child.value_or(-1)) == 0);
  CHECK(shown == 1000);
}

TEST_CASE("a flush() whose subscriber forks gives the child a snapshot of its own") {
  MetricsCollector collector(manual());
  const Counter hits = collector.counter("hits");
  std::optional<pid_t> child;
  const Subscription subscription = collector.on_snapshot([&](const Snapshot&) {
    if (!child) child = fork_clean();
  });
  add_times(hits, 1000);
  const auto snapshot = collector.flush();
  if (child == 0) {
    alarm(30);
    add_times(hits, kManyRecords);
    _exit(has_exactly(*snapshot, "hits", 0) && has_exactly(*collector.flush(), "hits", kManyRecords) ? 0 : 1);
  }
  CHECK(status_of(child.value_or(-1)) == 0);
  CHECK(has_exactly(*snapshot, "hits", 1000));
}

TEST_CASE(
    "a subscriber that forks whenever it is called is called once for a flush(), and others are not shown the parent's in the child") {
  auto* const calls = static_cast<std::atomic<int>*>(mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  REQUIRE(calls != MAP_FAILED);
  MetricsCollector collector(manual());
  const Counter hits = collector.counter("hits");
  pid_t child = -1;
  std::uint64_t shown = 0;
  const Subscription forking = collector.on_snapshot([&](const Snapshot&) {
    if (++*calls < 10) child = fork_clean();
  });
  const Subscription other = collector.on_snapshot([&](const Snapshot& snapshot) { shown += count(snapshot, "hits"); });
  const Subscription observer = collector.observe("level", {}, [] { return 7.0; });
  add_times(hits, 1000);
  const auto snapshot = collector.flush();
  if (child == 0) {
    alarm(30);
    _exit(count(*snapshot, "hits") == 0 && count(*snapshot, "level") == 1 && shown == 0 ? 0 : 1);
  }
  CHECK(status_of(child) == 0);
  CHECK(*calls == 1);
  CHECK(shown == 1000);
  munmap(calls, 4096);
}

TEST_CASE("an on_error that forks is not told the parent's other losses in the child") {
  std::optional<pid_t> child;
  int told_after = 0;
  TelemetryConfig config = manual(255);
  config.on_overflow = OverflowPolicy::drop;
  config.on_error = [&](std::string_view) {
    told_after += child.has_value();
    if (!child) child = fork_clean();
  };
  MetricsCollector collector(config);
  const Counter hits = collector.counter("hits");
  hits.add(-1);
  add_times(hits, 2000);
  (void)collector.flush();
  if (child == 0) _exit(told_after == 0 ? 0 : 1);
  CHECK(status_of(child.value_or(-1)) == 0);
  CHECK(told_after == 1);
}
