#include "collector_impl.hpp"
#include "internals.hpp"
#include "single_step.hpp"
#include "threads.hpp"

#include <chrono>
#include <cstdlib>
#include <functional>
#include <limits>
#include <memory>
#include <semaphore>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

using namespace internals;
using namespace std::chrono_literals;
using Steady = std::chrono::steady_clock;

namespace {

/// A thread that stops for good after so many instructions of `what`, until it is told to go on.
class StoppedIn {
 public:
  StoppedIn(std::size_t after_instructions, std::function<void()> before, std::function<void()> what)
      : thread_([this, after_instructions, before = std::move(before), what = std::move(what)] {
          before();
          const bool was_stopped = single_step::run(after_instructions, what, [this] {
            has_stopped_.release();
            go_on_.acquire();
          });
          instructions_ = single_step::stop.steps_done;
          if (!was_stopped) has_stopped_.release();
        }) {
    has_stopped_.acquire();
  }
  ~StoppedIn() { go_on(); }

  /// Returns how many instructions `what` took.
  std::size_t go_on() {
    if (thread_.joinable()) {
      go_on_.release();
      thread_.join();
    }
    return instructions_;
  }

 private:
  std::size_t instructions_ = 0;
  std::binary_semaphore has_stopped_{0}, go_on_{0};
  std::jthread thread_;
};

constexpr std::size_t kStops = single_step::kIsPossible ? 40 : 1;

struct Scene {
  explicit Scene(OverflowPolicy policy = OverflowPolicy::spill) {
    TelemetryConfig config;
    config.buffer_size = 1;
    config.on_overflow = policy;
    config.flush_mode = policy == OverflowPolicy::block ? FlushMode::background : FlushMode::manual;
    // The flusher of a collector whose threads are to wait frees nothing, until the scene is over.
    if (policy == OverflowPolicy::block) config.on_flusher_start = [this] { may_drain.acquire(); };
    collector = std::make_shared<Collector>(config);
    hits = collector->bind(Kind::counter, "hits", {}, {}).target;
  }
  void add(std::size_t times = 1) const {
    for (std::size_t i = 0; i < times; ++i) capture(hits.place, hits.head, 1);
  }
  [[nodiscard]] std::uint64_t count(std::string_view name) const {
    const auto series = collector->flush()->find(name);
    return series == nullptr ? 0 : series->count;
  }

  std::binary_semaphore may_drain{0};
  std::shared_ptr<Collector> collector;
  Target hits;
};

}  // namespace

TEST_CASE("a thread that stops for good in its first record keeps nobody from recording, binding and flushing") {
  // All alive to the end: so each is in a place of its own, where no thread has been before.
  std::vector<std::unique_ptr<Scene>> scenes;
  std::size_t length = 0, stops = 0, wanted = kStops;
  for (std::size_t i = 0; i < wanted + 2; ++i) {  // through to the end twice, as the first binds symbols
    CAPTURE(i);
    const auto begin = Steady::now();
    const Scene& scene = *scenes.emplace_back(std::make_unique<Scene>());
    const Target mine = scene.collector->bind(Kind::counter, "mine", {}, {}).target;
    const std::size_t after = i < 2 ? std::numeric_limits<std::size_t>::max() : length * (i - 2) / wanted;
    StoppedIn stopped(
        after, [] { std::free(std::malloc(1)); },  // the allocator's part of a new thread
        [&] { capture(mine.place, mine.head, 1); });
    (void)scene.collector->bind(Kind::summary, "other", {}, {});
    std::thread([&] { scene.add(3 * kChunkRecords); }).join();
    scene.add(3 * kChunkRecords);
    CHECK(scene.count("hits") == 6 * kChunkRecords);
    const std::size_t took = stopped.go_on();
    if (i < 2) {
      length = took;
      wanted = single_step::affordable(kStops, Steady::now() - begin);
    }
    stops += took >= after;
    CHECK(scene.count("mine") == 1);
    CHECK(scene.collector->shutdown(1s));
  }
  INFO(stops << " stops in " << length << " instructions");
  if (single_step::kIsPossible) CHECK(stops >= wanted / 2);
}

namespace {

/// A hash that stops a thread in the one call that the registry makes under its mutex: as its table grows. Not by single steps: those could
/// stop it in the allocator, for which all wait.
constinit thread_local int calls_to_stop = 0;
std::binary_semaphore is_in_growth{0}, may_grow{0};
std::uint64_t stopping_hash(const void* bytes, std::size_t size) noexcept {
  if (calls_to_stop > 0 && --calls_to_stop == 0) {
    is_in_growth.release();
    may_grow.acquire();
  }
  return xxh3(bytes, size);
}

}  // namespace

TEST_CASE("a thread that stops for good in making a series by record(name) keeps nobody from recording through handles and flushing") {
  TelemetryConfig config;
  config.flush_mode = FlushMode::manual;
  const auto collector = std::make_shared<Collector>(config, stopping_hash);
  const Target hits = collector->bind(Kind::counter, "hits", {}, {}).target;
  const auto add = [&] { capture(hits.place, hits.head, 1); };
  std::size_t made = 0;
  std::jthread stopped([&] {
    for (; made < 100'000; ++made) {
      calls_to_stop = 3;  // to look for it, to make it, and again for each that is there if the table must grow
      (void)collector->record("made", 7, {{"i", std::to_string(made)}});
      if (std::exchange(calls_to_stop, 0) == 0) return;
    }
  });
  is_in_growth.acquire();
  std::thread([&] { add(); }).join();
  add();
  const auto snapshot = collector->flush();
  CHECK(snapshot->find("hits")->count == 2);
  CHECK(snapshot->size() == 1 + made);  // without the one that it is stopped in
  may_grow.release();
  stopped.join();
  CHECK(collector->flush()->size() == 2 + made);
}

TEST_CASE("a thread that stops for good in record(name, ...) with metadata keeps nobody from that, from flushing and from shutting down") {
  std::size_t length = 0, passed_over = 0, wanted = kStops;
  for (std::size_t i = 0; i < wanted + 2; ++i) {
    CAPTURE(i);
    const auto begin = Steady::now();
    Scene scene;
    const auto record = [&](double value) { (void)scene.collector->record({"made", value, {}, {{"request", "1"}}}); };
    StoppedIn stopped(
        i < 2 ? std::numeric_limits<std::size_t>::max() : length * (i - 2) / wanted, [&] { record(1); }, [&] { record(2); });
    record(3);  // makes its own way to the series first: through an allocator that nobody is stopped in
    (void)scene.collector->flush();
    record(4);
    const auto made = scene.collector->flush()->find("made");
    CHECK(made->count >= 3);
    CHECK(made->max == 4);
    passed_over += made->exemplars.latest == nullptr;
    CHECK(scene.collector->shutdown(1s));
    const std::size_t took = stopped.go_on();
    if (i < 2) {
      length = took;
      wanted = single_step::affordable(kStops, Steady::now() - begin);
    }
    CHECK(scene.count("made") == 4);
    record(5);
    CHECK(scene.collector->flush()->find("made")->exemplars.latest->value == 5);
  }
  INFO(passed_over << " stops with the exemplars of the series in hand");
  if (single_step::kIsPossible) CHECK(passed_over > 0);
}

TEST_CASE("a thread that stops for good while it waits for a free chunk holds up no shutdown()") {
  for (std::size_t i = 0; i < kStops; ++i) {
    CAPTURE(i);
    Scene scene(OverflowPolicy::block);
    std::uint64_t recorded = 1;
    const auto fill_both = [&] {  // its own chunk, and the only free one
      const Cursor* cursor = nullptr;
      const auto is_full = [&] { return cursor->load() % kChunkBytes == 0; };
      const auto add = [&] { scene.add(), ++recorded; };
      // What an earlier thread has left here may be full already: then this record takes the free chunk, and the flush gives back the
      // other.
      add();
      (void)scene.collector->flush();
      cursor = &this_thread()->cursors[scene.hits.place / sizeof(Cursor)];
      for (int chunks = is_full() ? 1 : 0; chunks < 2; ++chunks) {
        do add();
        while (!is_full());
      }
    };
    StoppedIn stopped(i * 31, fill_both, [&] { scene.add(); });
    const auto begin = Steady::now();
    (void)scene.collector->shutdown(10ms);  // false: its flusher is held by a user's function
    CHECK(Steady::now() - begin < 10s);     // it would wait for ever
    scene.may_drain.release();
    stopped.go_on();
    CHECK(scene.collector->shutdown(10s));
    const CollectorStats stats = scene.collector->flush()->stats();
    CHECK(stats.recorded == recorded);
    CHECK(stats.aggregated + stats.dropped == stats.recorded);
  }
}
