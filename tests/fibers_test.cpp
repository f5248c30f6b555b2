#include "contract.hpp"
#include "sanitizers.hpp"

#include <ucontext.h>

#include <barrier>
#include <bit>
#include <coroutine>
#include <exception>
#include <semaphore>

using namespace pepper;

// Built with -O3, as it is and with -flto: what is looked for is an optimiser that keeps the address of a thread's variable over a call
// after which the code runs on another thread.

namespace {

/// Where the calling thread's next record goes. Out of line, so that it is asked anew.
[[gnu::noinline]] std::uintptr_t cursor_here(const Counter& counter) {
  asm volatile("");
  return detail::this_thread_slots()->cursors[std::bit_cast<detail::Target>(counter).place / sizeof(detail::Cursor)];
}

struct Carried {
  int legs = 0;
  int elsewhere = 0;  ///< legs that did not move the cursor of the thread they ran on
  int intruded = 0;   ///< and those that moved the other thread's
};

/// Two threads take turns in calling `resume`, which is to make a few records and come back.
template <class Resume>
Carried carry(const Counter& counter, Resume resume) {
  constexpr int kLegs = 400;  // past the end of a chunk
  std::binary_semaphore turns[] = {std::binary_semaphore{1}, std::binary_semaphore{0}};
  std::barrier both_recorded(2);
  Carried carried[2];
  contract::on_threads(2, [&](std::size_t me) {
    counter.add();
    std::uintptr_t left = cursor_here(counter);
    both_recorded.arrive_and_wait();
    for (; carried[me].legs < kLegs; ++carried[me].legs) {
      turns[me].acquire();
      carried[me].intruded += cursor_here(counter) != left;
      left = cursor_here(counter);
      resume(me);
      carried[me].elsewhere += cursor_here(counter) == left;
      left = cursor_here(counter);
      turns[1 - me].release();
    }
  });
  return {carried[0].legs + carried[1].legs, carried[0].elsewhere + carried[1].elsewhere, carried[0].intruded + carried[1].intruded};
}

void check(MetricsCollector& collector, const Carried& carried, int records_per_leg) {
  CHECK(carried.elsewhere == 0);
  CHECK(carried.intruded == 0);
  CHECK(contract::count(*collector.flush(), "legs") == static_cast<std::uint64_t>(2 + carried.legs * records_per_leg));
}

/// Runs when it is resumed; never ends by itself.
struct Coroutine {
  struct promise_type {
    Coroutine get_return_object() { return {std::coroutine_handle<promise_type>::from_promise(*this)}; }
    std::suspend_always initial_suspend() noexcept { return {}; }
    std::suspend_always final_suspend() noexcept { return {}; }
    void return_void() {}
    void unhandled_exception() { std::terminate(); }
  };
  std::coroutine_handle<promise_type> handle;
};

Coroutine record_between_suspensions(Counter counter) {
  for (;;) {
    counter.add();
    counter.add();
    co_await std::suspend_always{};
    counter.add();
    counter.add();
    co_await std::suspend_always{};
  }
}

/// One fiber with a stack of its own, and where to go when it yields.
struct Fiber {
  ucontext_t context{}, carriers[2]{};
  ucontext_t* carrier = nullptr;
  Counter counter;
  std::vector<char> stack = std::vector<char>(std::size_t{256} << 10);
} fiber;

[[gnu::noinline]] void yield() { swapcontext(&fiber.context, fiber.carrier); }

void record_between_yields() {
  const Counter counter = fiber.counter;
  for (;;) {
    counter.add();
    counter.add();
    yield();
  }
}

}  // namespace

TEST_CASE("a coroutine that goes on on another thread records there") {
  MetricsCollector collector(contract::manual());
  const Counter counter = collector.counter("legs");
  const Coroutine coroutine = record_between_suspensions(counter);
  check(collector, carry(counter, [&](std::size_t) { coroutine.handle.resume(); }), 2);
  coroutine.handle.destroy();
}

// TSan would have to be told of each switch.
TEST_CASE("a fiber that goes on on another thread records there" * doctest::skip(sanitizers::kIsTsan)) {
  MetricsCollector collector(contract::manual());
  fiber.counter = collector.counter("legs");
  getcontext(&fiber.context);
  fiber.context.uc_stack.ss_sp = fiber.stack.data();
  fiber.context.uc_stack.ss_size = fiber.stack.size();
  makecontext(&fiber.context, record_between_yields, 0);
  const auto resume = [](std::size_t me) {
    fiber.carrier = &fiber.carriers[me];
    swapcontext(fiber.carrier, &fiber.context);
  };
  check(collector, carry(fiber.counter, resume), 2);
}
