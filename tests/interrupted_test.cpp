#include "collector_impl.hpp"
#include "drain.hpp"
#include "internals.hpp"
#include "place.hpp"
#include "single_step.hpp"
#include "threads.hpp"

#include <algorithm>
#include <atomic>
#include <memory>
#include <thread>

using namespace internals;

namespace {

/// A thread that records so many numbers, from 1 on, when it is told to, and does nothing else meanwhile.
class Other {
 public:
  explicit Other(Target target) : thread_([this, target] { run(target); }) {}
  ~Other() { ordered_ = kEnd; }

  void record(int count) noexcept {
    ordered_ = count;
    while (ordered_ != 0) continue;
  }

 private:
  static constexpr int kEnd = -1;

  void run(Target target) noexcept {
    for (double number = 0;;) {
      const int ordered = ordered_;
      if (ordered == kEnd) return;
      for (int i = 0; i < ordered; ++i) capture(target.place, target.head, ++number);
      if (ordered != 0) ordered_ = 0;
      if (ordered == 0) std::this_thread::yield();
    }
  }

  std::atomic<int> ordered_{0};
  std::jthread thread_;
};

bool is_balanced(const CollectorStats& stats) {
  return stats.recorded == stats.aggregated + stats.pending + stats.dropped && stats.pending <= stats.recorded;
}

/// Stops a thread at each instruction of the record that finds its chunk full; meanwhile another one records and flushes.
void check_everywhere(std::size_t chunks, bool is_pool_empty) {
  TelemetryConfig config;
  config.buffer_size = chunks * kChunkRecords;
  config.flush_mode = FlushMode::manual;
  const auto collector = std::make_shared<Collector>(config);
  const Target mine = collector->bind(Kind::counter, "mine", {}, {}).target;
  Other other(collector->bind(Kind::counter, "theirs", {}, {}).target);
  std::uint64_t made = 0, made_there = 0, wrong = 0;
  const auto add = [&] {
    capture(mine.place, mine.head, 1);
    ++made;
  };
  const auto add_there = [&](std::size_t count) {
    other.record(static_cast<int>(count));
    made_there += count;
  };
  const auto check = [&](std::uint64_t least, std::uint64_t most) {
    const auto snapshot = collector->flush();
    const std::uint64_t count = snapshot->find("mine")->count;
    wrong += count < least || count > most || snapshot->find("theirs")->count != made_there || !is_balanced(snapshot->stats());
  };
  for (std::size_t i = 0; i <= kChunkRecords; ++i) add();  // this thread has settled in
  check(made, made);
  const Cursor& cursor = this_thread()->cursors[mine.place / sizeof(Cursor)];
  const std::size_t rounds = single_step::for_each_step([&](std::size_t steps) {
    while (cursor % kChunkBytes != 0) add();
    if (is_pool_empty) add_there((chunks + 1) * kChunkRecords);
    const std::uint64_t before = made;
    const bool was_stopped = single_step::run(steps, add, [&] {
      for (int i = 0; i < 2; ++i) {
        check(before, before + 1);
        add_there(600);
      }
    });
    check(made, made);
    return was_stopped;
  });
  INFO(rounds << " rounds");
  CHECK(wrong == 0);
  CHECK(rounds >= (single_step::kIsPossible ? 5 : 1));
}

}  // namespace

TEST_CASE("a thread that stops anywhere in a hand-over keeps nobody from recording and flushing, and loses nothing") {
  for (const std::size_t chunks : {1u, 2u, 5u}) check_everywhere(chunks, false);
}

TEST_CASE("a thread that stops anywhere in folding its own records keeps nobody from recording and flushing, and loses nothing") {
  for (const std::size_t chunks : {1u, 3u}) check_everywhere(chunks, true);
}

TEST_CASE("a look that stops anywhere has all that was recorded before it, in its order, whatever is handed over meanwhile") {
  TelemetryConfig config;
  config.buffer_size = 8 * kChunkRecords;
  const Tenancy tenancy(config);
  Place& place = tenancy.place();
  RecordTap tap(place.budget());
  Drain drain(place, tap);
  place.open_gate();
  Other other({make_head(place.series().base(), kExtraPlain), place.offset()});
  std::uint64_t made = 0, late = 0, wrong = 0;
  const auto record = [&](int count) {
    other.record(count);
    made += static_cast<std::uint64_t>(count);
  };
  record(1);
  drain.look();
  std::size_t rounds = 0;
  for (const std::size_t offset : {0u, 20u, 40u}) {  // where steps are slow not all are tried: not the same ones each time
    rounds += single_step::for_each_step([&](std::size_t steps) {
      record(3);
      const std::uint64_t before = made;
      const bool was_stopped = single_step::run(
          std::max(steps, steps + offset), [&] { drain.look(); }, [&] { record(kChunkRecords + 40); });
      const Cell& cell = drain.cell(0);
      late += cell.count < before;
      wrong += cell.last != static_cast<double>(cell.count);  // in the order in which they were recorded
      drain.look();
      wrong += cell.count != made || cell.last != static_cast<double>(made) || drain.ledger().recorded != made;
      drain.forget_changed();
      return was_stopped;
    });
  }
  INFO(rounds << " rounds");
  CHECK(late == 0);
  CHECK(wrong == 0);
  CHECK(rounds >= (single_step::kIsPossible ? 5 : 1));
}

TEST_CASE("a thread that stops anywhere on its way to a closed gate records again once the gate is opened") {
  TelemetryConfig config;
  config.flush_mode = FlushMode::manual;
  const auto collector = std::make_shared<Collector>(config);
  const Target target = collector->bind(Kind::counter, "mine", {}, {}).target;
  const auto add = [&] { capture(target.place, target.head, 1); };
  add();
  const Cursor& cursor = this_thread()->cursors[target.place / sizeof(Cursor)];
  std::uint64_t wrong = 0;
  const std::size_t rounds = single_step::for_each_step([&](std::size_t steps) {
    collector->set_enabled(true);
    while (cursor % kChunkBytes != 0) add();
    collector->set_enabled(false);
    const std::uint64_t before = collector->flush()->find("mine")->count;
    const bool was_stopped = single_step::run(steps, add, [&] { collector->set_enabled(true); });
    if (!was_stopped) collector->set_enabled(true);
    add();
    const std::uint64_t more = collector->flush()->find("mine")->count - before;
    wrong += more != 1 && more != 2;  // the one that was stopped was made while the gate was opened
    return was_stopped;
  });
  INFO(rounds << " rounds");
  CHECK(wrong == 0);
  CHECK(rounds >= (single_step::kIsPossible ? 5 : 1));
}
