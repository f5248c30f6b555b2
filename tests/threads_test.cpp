#include "collector_impl.hpp"
#include "forked.hpp"
#include "internals.hpp"
#include "place.hpp"
#include "resident.hpp"
#include "threads.hpp"

#include <pepper/collector.hpp>

#include <limits.h>
#include <pthread.h>

#include <atomic>
#include <barrier>
#include <thread>
#include <vector>

using namespace internals;

namespace {

TelemetryConfig manual(std::size_t buffer_size = 2000) {
  TelemetryConfig config;
  config.buffer_size = buffer_size;
  config.flush_mode = FlushMode::manual;
  return config;
}

/// What destructors at a thread's end record into.
Counter at_end;

constexpr std::uint64_t kAtOnce = 300;
void record_at_end(void*) {
  for (std::uint64_t i = 0; i < kAtOnce; ++i) at_end.add();
}
pthread_key_t make_key(void (*destructor)(void*)) {
  pthread_key_t key{};
  if (pthread_key_create(&key, destructor) != 0) std::abort();
  return key;
}
/// Records, and asks to be called again in the next round, after the destructors of all keys have been called in this one.
template <pthread_key_t& key>
void record_at_end_again(void* rounds_left) {
  record_at_end(nullptr);
  const auto left = reinterpret_cast<std::uintptr_t>(rounds_left);
  if (left > 1) pthread_setspecific(key, reinterpret_cast<void*>(left - 1));
}
/// Destructors run in the order of their keys: the early one before the library's own, the late one, which is made later, after it.
pthread_key_t early_key, late_key;
const bool early_is_made = (early_key = make_key(record_at_end_again<early_key>), true);

struct RecordsAsItDies {
  ~RecordsAsItDies() { at_end.add(); }
  void touch() {}
};
thread_local RecordsAsItDies made_before_first_record, made_after_first_record;

}  // namespace

TEST_CASE("a hundred thousand short threads take the memory of one, and lose nothing") {
  MetricsCollector collector(manual());
  const Counter counter = collector.counter("threads");
  const int threads = kIsSanitized ? 5'000 : 100'000;
  const auto run = [&](int count) {
    for (int i = 0; i < count; ++i) std::thread([&counter] { counter.add(); }).join();
  };
  for (int set = 0; set < 2; ++set) {  // more than the pool holds, twice: both overload sets have what they will ever have
    run(3000);
    (void)collector.flush();
  }
  const std::size_t resident = resident_bytes(), held = collector.flush()->stats().memory_bytes;
  run(threads);
  const auto snapshot = collector.flush();
  CHECK(snapshot->find("threads")->count == static_cast<std::uint64_t>(threads + 6000));
  CHECK(snapshot->stats().memory_bytes <= held);
  if (!kIsSanitized) CHECK(resident_bytes() < resident + (std::size_t{1} << 20));
}

TEST_CASE("a thread goes on in the chunk of the one that has ended") {
  const auto collector = std::make_shared<Collector>(manual());
  const Collector::Bound bound = collector->bind(Kind::counter, "c", {}, {});
  const std::size_t index = bound.target.place / sizeof(Cursor);
  std::uintptr_t before = 0;
  for (int i = 0; i < 600; ++i) {
    std::uintptr_t after = 0;
    std::thread([&] {
      capture(bound.target.place, bound.target.head, 1);
      after = this_thread()->cursors[index];
    }).join();
    if (before % kChunkBytes != 0) CHECK(after == before + sizeof(Record));
    before = after;
  }
  CHECK(collector->flush()->find("c")->count == 600);
}

TEST_CASE("threads that live at once have a block each, and share no cache line") {
  constexpr std::size_t kThreads = 6;
  const auto collector = std::make_shared<Collector>(manual());
  const Collector::Bound bound = collector->bind(Kind::counter, "c", {}, {});
  std::uintptr_t cursors[kThreads] = {}, chunks[kThreads] = {};
  const ThreadBlock* blocks[kThreads] = {};
  {
    std::barrier all_recorded(kThreads);
    std::vector<std::jthread> threads;
    for (std::size_t t = 0; t < kThreads; ++t) {
      threads.emplace_back([&, t] {
        capture(bound.target.place, bound.target.head, 1);
        const ThreadRecord* const self = this_thread();
        const std::size_t index = bound.target.place / sizeof(Cursor);
        cursors[t] = reinterpret_cast<std::uintptr_t>(&self->cursors[index]);
        chunks[t] = self->cursors[index] / kChunkBytes;
        blocks[t] = self->blocks[index];
        all_recorded.arrive_and_wait();
      });
    }
  }
  CHECK(alignof(ThreadBlock) == kCacheLine);
  for (std::size_t a = 0; a < kThreads; ++a) {
    REQUIRE(blocks[a] != nullptr);
    const auto block = reinterpret_cast<std::uintptr_t>(blocks[a]);
    CHECK(block % kCacheLine == 0);
    for (std::size_t b = 0; b < kThreads; ++b) {
      if (a == b) continue;
      const auto other = reinterpret_cast<std::uintptr_t>(blocks[b]);
      CHECK(cursors[a] / kCacheLine != cursors[b] / kCacheLine);
      CHECK(chunks[a] != chunks[b]);
      CHECK((block + sizeof(ThreadBlock) <= other || other + sizeof(ThreadBlock) <= block));
    }
  }
}

TEST_CASE("destructors of thread_locals and of pthread keys record, before and after the library has left the thread") {
  MetricsCollector collector(manual());
  at_end = collector.counter("at end");
  REQUIRE(early_is_made);
  late_key = make_key(record_at_end_again<late_key>);
  constexpr std::uint64_t kSpawners = 3, kThreads = 200;
  // TSan lets go of a thread in the last round, and nothing may run after that.
  constexpr std::uint64_t kRounds = PTHREAD_DESTRUCTOR_ITERATIONS - sanitizers::kIsTsan;
  const std::size_t without_threads = collector.flush()->stats().memory_bytes;
  std::thread([] { record_at_end(nullptr); }).join();
  const std::size_t of_one_thread = collector.flush()->stats().memory_bytes - without_threads;
  REQUIRE(of_one_thread > 0);
  for (int round = 0; round < 2; ++round) {
    {
      // Several at once: a thread that has left may not touch what another one has taken over.
      std::vector<std::jthread> spawners;
      for (std::uint64_t s = 0; s < kSpawners; ++s) {
        spawners.emplace_back([] {
          for (std::uint64_t i = 0; i < kThreads; ++i) {
            std::thread([] {
              made_before_first_record.touch();
              at_end.add();
              made_after_first_record.touch();
              for (const pthread_key_t key : {early_key, late_key})
                pthread_setspecific(key, reinterpret_cast<void*>(std::uintptr_t{kRounds}));
            }).join();
          }
        });
      }
    }
    const auto snapshot = collector.flush();
    const std::uint64_t threads = kSpawners * kThreads * static_cast<std::uint64_t>(round + 1);
    CHECK(snapshot->find("at end")->count == kAtOnce + threads * (1 + 2 + 2 * kRounds * kAtOnce));
  }
  // Blocks for as many threads as lived at once, and some more, as one that leaves can be overlooked by one that comes; not for all 1200.
  CHECK(collector.stats().memory_bytes <= without_threads + 4 * kSpawners * of_one_thread);
  at_end = {};
  pthread_key_delete(late_key);
}

TEST_CASE("records of a thread that ends while another collector is made are in the right one") {
  for (int round = 0; round < 50; ++round) {
    MetricsCollector first(manual());
    const Counter counter = first.counter("c");
    std::jthread thread([counter] {
      for (int i = 0; i < 700; ++i) counter.add();
    });
    MetricsCollector second(manual());
    const Counter other = second.counter("c");
    other.add();
    thread.join();
    CHECK(first.flush()->find("c")->count == 700);
    CHECK(second.flush()->find("c")->count == 1);
  }
}

namespace {

/// As many threads at once as ever are, in this process and in each of a chain of children that begins while they live. True: in none of
/// them does the list of thread records become longer than `known`; 0: this process is the first.
bool stays_as_long(MetricsCollector& collector, Counter counter, int children, std::size_t known) {
  constexpr std::size_t kThreads = 16;
  const std::size_t threads = known == 0 || forked::kChildrenHaveThreads ? kThreads : 0;
  std::atomic<std::size_t> longest{0};
  // The list from this thread's record on. Whoever takes one takes the first that is idle, and new ones come first: so somebody's of those
  // who are alive is the first of all.
  const auto record_and_look = [&] {
    counter.add();
    std::size_t length = 0, seen = longest;
    for (const ThreadRecord* record = this_thread(); record != nullptr; record = record->next) ++length;
    while (seen < length && !longest.compare_exchange_weak(seen, length)) continue;
  };
  std::barrier all_have_recorded(static_cast<std::ptrdiff_t>(threads + 1)), may_end(static_cast<std::ptrdiff_t>(threads + 1));
  std::vector<std::jthread> running;
  record_and_look();
  for (std::size_t i = 0; i < threads; ++i) {
    running.emplace_back([&] {
      record_and_look();
      all_have_recorded.arrive_and_wait();
      may_end.arrive_and_wait();
    });
  }
  all_have_recorded.arrive_and_wait();
  bool is_right =
      (known == 0 || longest == known || (threads == 0 && longest < known)) && collector.flush()->find("hits")->count == threads + 1;
  if (children != 0) {
    is_right = forked::holds_in_child([&] { return stays_as_long(collector, counter, children - 1, longest); }) && is_right;
  }
  may_end.arrive_and_wait();
  return is_right;
}

}  // namespace

TEST_CASE("the threads of a child, and of its children, take the memory of the parent's, which it does not have") {
  MetricsCollector collector(manual());
  CHECK(stays_as_long(collector, collector.counter("hits"), 4, 0));
}
