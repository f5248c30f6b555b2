#include "collector_impl.hpp"
#include "forked.hpp"
#include "internals.hpp"
#include "single_step.hpp"
#include "threads.hpp"

#include <atomic>
#include <functional>
#include <limits>
#include <memory>
#include <thread>

using namespace internals;

namespace {

constexpr std::size_t kMostForks = kIsSanitized ? 10 : 40;
constexpr std::uint64_t kInChild = 3 * kChunkRecords + 7;

void add(Target target, std::uint64_t times) {
  for (std::uint64_t i = 0; i < times; ++i) capture(target.place, target.head, 1);
}

/// In a child: on the thread that forked, and on a new one, which takes what belonged to the thread that was stopped.
bool counts_its_own_alone(Collector& collector, Target mine, Target theirs) {
  for (std::uint64_t round = 1; round <= 2; ++round) {
    add(mine, kInChild);
    if (sanitizers::kIsTsan) {
      add(theirs, kInChild);  // a child of threads must not start any with it
    } else {
      std::thread([&] { add(theirs, kInChild); }).join();
    }
    const auto snapshot = collector.flush();
    const CollectorStats& stats = snapshot->stats();
    const std::uint64_t each = round * kInChild;
    if (snapshot->find("mine")->count != each || snapshot->find("theirs")->count != each || stats.recorded != 2 * each ||
        stats.aggregated != 2 * each || stats.memory_bytes > stats.memory_limit_bytes) {
      return false;
    }
  }
  return true;
}

/// Another thread is stopped at instructions of the record that finds its chunk full. This one forks meanwhile.
void check_everywhere(std::size_t chunks, bool is_pool_empty) {
  TelemetryConfig config;
  config.buffer_size = chunks * kChunkRecords;
  config.flush_mode = FlushMode::manual;
  const auto collector = std::make_shared<Collector>(config);
  const Target mine = collector->bind(Kind::counter, "mine", {}, {}).target;
  const Target theirs = collector->bind(Kind::counter, "theirs", {}, {}).target;
  enum class Order { none, fill_pool, fork, end };
  std::atomic<Order> order{Order::none};
  const auto give = [&order](Order what) {
    order = what;
    while (order != Order::none) continue;
  };
  const std::uint64_t seed = new_seed();
  std::uint64_t made = 0, forks = 0, wrong = 0;  // made: by the other thread, which waits while this one reads it
  std::jthread other([&] {
    const auto add_one = [&] {
      capture(theirs.place, theirs.head, 1);
      ++made;
    };
    for (std::size_t i = 0; i <= kChunkRecords; ++i) add_one();  // this thread has settled in
    const Cursor& cursor = this_thread()->cursors[theirs.place / sizeof(Cursor)];
    const auto run_and_fork_after = [&](std::size_t steps) {
      while (cursor % kChunkBytes != 0) add_one();
      if (is_pool_empty) give(Order::fill_pool);
      return single_step::run(steps, add_one, [&] { give(Order::fork); });
    };
    (void)run_and_fork_after(std::numeric_limits<std::size_t>::max());
    const std::size_t stride = single_step::stop.steps_done / kMostForks + 1;  // all of them would take minutes: others in each run
    for (std::size_t steps = seed % stride; run_and_fork_after(steps); steps += stride) continue;
    order = Order::end;
  });
  std::uint64_t mine_made = 0;
  for (Order now = order; now != Order::end; now = order) {
    if (now == Order::none) {
      std::this_thread::yield();
      continue;
    }
    if (now == Order::fill_pool) {
      add(mine, (chunks + 1) * kChunkRecords);
      mine_made += (chunks + 1) * kChunkRecords;
    } else {
      wrong += forked::status_of(forked::fork_into([&] { return counts_its_own_alone(*collector, mine, theirs); })) != 0;
      const auto snapshot = collector->flush();
      const std::uint64_t count = snapshot->find("theirs")->count;
      wrong += count < made || count > made + 1 || snapshot->find("mine")->count != mine_made;
      ++forks;
    }
    order = Order::none;
  }
  other.join();
  INFO("PEPPER_SEED=" << seed << ", " << forks << " forks");
  CHECK(wrong == 0);
  CHECK(collector->flush()->find("theirs")->count == made);
  CHECK(forks >= (single_step::kIsPossible ? kMostForks / 2 : 1));
}

}  // namespace

TEST_CASE("a child counts its own alone wherever in a hand-over the fork stopped another thread, and takes over what that had") {
  check_everywhere(5, false);
}

TEST_CASE("a child counts its own alone wherever in folding its own records the fork stopped another thread") { check_everywhere(1, true); }

TEST_CASE("a child counts its own alone wherever in its first record the fork stopped another thread, once that has a chunk") {
  // Not before that: it holds the allocator's locks then, for which fork() waits itself.
  constexpr std::size_t kStride = kIsSanitized ? 10 : 1;
  TelemetryConfig config;
  config.buffer_size = 3 * kChunkRecords;
  config.flush_mode = FlushMode::manual;
  const auto elsewhere = std::make_shared<Collector>(config), collector = std::make_shared<Collector>(config);
  const Target known = elsewhere->bind(Kind::counter, "known", {}, {}).target;
  const Target mine = collector->bind(Kind::counter, "mine", {}, {}).target;
  const Target theirs = collector->bind(Kind::counter, "theirs", {}, {}).target;
  std::size_t instructions = 0;
  const forked::Forks forks = forked::fork_meanwhile(
      [&](const std::function<void()>& fork_now) {
        add(known, 1);
        const Cursor& cursor = this_thread()->cursors[theirs.place / sizeof(Cursor)];
        const auto look = [&] {
          if (cursor != 0 && instructions++ % kStride == 0) fork_now();
        };
        single_step::look_at_each([&] { add(theirs, 1); }, look);
        if (!single_step::kIsPossible) fork_now();
      },
      [&] { return counts_its_own_alone(*collector, mine, theirs); });
  INFO(forks.made << " forks");
  CHECK(forks.made >= (single_step::kIsPossible ? 20 : 1));
  CHECK(forks.wrong == 0);
  CHECK(collector->flush()->find("theirs")->count == 1);
}
