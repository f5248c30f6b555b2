#include "forked.hpp"
#include "single_step.hpp"

#include <functional>

using namespace forked;

namespace {

/// The series has one call, of that amount, and the ledger nothing else.
bool has_one(const Snapshot& snapshot, double amount) {
  const auto found = contract::series(snapshot, "signals");
  return has_exactly(snapshot, "signals", 1) && found->sum == amount && found->min == amount && found->max == amount &&
         found->last == amount;
}

}  // namespace

TEST_CASE("what signal counters counted before the fork is the parent's, flushed or not") {
  for (const auto& config : {manual(), background()}) {
    for (const bool is_flushed : {false, true}) {
      MetricsCollector collector(config);
      const SignalCounter signals = collector.signal_counter("signals");
      signals.add();
      signals.add(1000);
      if (is_flushed) (void)collector.flush();
      signals.add(0);
      signals.add();
      CHECK(holds_in_child([&] { return has_exactly(*collector.flush(), "signals", 0); }));
      CHECK(holds_in_child([&] {
        signals.add(5);  // before anything else of the library
        return has_one(*collector.flush(), 5);
      }));
      CHECK(holds_in_child([&] {
        signals.add();
        return has_one(*collector.flush(), 1);
      }));
      const auto snapshot = collector.flush();
      CHECK(has_exactly(*snapshot, "signals", 4));
      CHECK(contract::series(*snapshot, "signals")->sum == 1002);
    }
  }
}

TEST_CASE("a child has nothing of an add() in another thread, wherever in it the fork stopped that") {
  MetricsCollector collector(manual());
  const SignalCounter signals = collector.signal_counter("signals");
  std::uint64_t made = 0;
  const Forks forks = fork_meanwhile(
      [&](const std::function<void()>& fork_now) {
        (void)single_step::for_each_step([&](std::size_t steps) {
          ++made;
          (void)collector.flush();  // what is new to the child's first look is this call alone
          return single_step::run(
              steps, [&] { signals.add(1000); }, fork_now);
        });
      },
      [&] {
        signals.add(5);
        return has_one(*collector.flush(), 5);
      });
  INFO(forks.made << " forks");
  CHECK(forks.made >= (single_step::kIsPossible ? 5 : 1));
  CHECK(forks.wrong == 0);
  const auto snapshot = collector.flush();
  CHECK(has_exactly(*snapshot, "signals", made));
  CHECK(contract::series(*snapshot, "signals")->sum == 1000 * static_cast<double>(made));
}
