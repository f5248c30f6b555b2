#include "contract.hpp"

#include <chrono>
#include <functional>
#include <stdexcept>

using namespace pepper;
using namespace std::chrono_literals;

namespace {

struct Handles {
  explicit Handles(MetricsCollector& collector)
      : counter(collector.counter("counter")),
        gauge(collector.gauge("gauge")),
        summary(collector.summary("summary")),
        histogram(collector.histogram("histogram")),
        timer(collector.timer("timer")) {}
  Handles() = default;

  /// Returns how many of the five were asked for a value, which is 2.
  int ask_all() const {
    int asked = 0;
    const auto value = [&asked] {
      ++asked;
      return 2;
    };
    counter.add(value);
    gauge.set(value);
    summary.record(value);
    histogram.record(value);
    timer.record([&] { return std::chrono::seconds{value()}; });
    return asked;
  }

  Counter counter;
  Gauge gauge;
  Summary summary;
  Histogram histogram;
  Timer timer;
};

constexpr std::string_view kNames[] = {"counter", "gauge", "summary", "histogram", "timer"};

/// A number that may be called as well: it is a number.
struct CallableNumber {
  operator double() const { return 1; }  // NOLINT(google-explicit-constructor)
  double operator()() const { return 2; }
};

double plain_function() { return 2; }

}  // namespace

TEST_CASE("a handle asks a function for the value it records, once") {
  MetricsCollector collector(contract::manual());
  CHECK(Handles(collector).ask_all() == 5);
  const auto snapshot = collector.flush();
  for (const std::string_view name : kNames) {
    CHECK(contract::series(*snapshot, name)->count == 1);
    CHECK(contract::series(*snapshot, name)->sum == 2);
  }
}

TEST_CASE(
    "nobody is asked where the record would be nobody's: unbound, disabled, and after the collector is gone, its place taken or not") {
  CHECK(Handles().ask_all() == 0);
  Handles handles;
  {
    MetricsCollector collector(contract::manual());
    handles = Handles(collector);
    CHECK(handles.ask_all() == 5);
    collector.set_enabled(false);
    CHECK(handles.ask_all() == 0);
    collector.set_enabled(true);
    CHECK(handles.ask_all() == 5);
    collector.shutdown();
    CHECK(handles.ask_all() == 5);  // as with FlushMode::manual
    CHECK(contract::count(*collector.flush(), "timer") == 3);
  }
  CHECK(handles.ask_all() == 0);
  MetricsCollector next(contract::manual());
  CHECK(handles.ask_all() == 0);
  CHECK(Handles(next).ask_all() == 5);
  CHECK(next.flush()->stats().recorded == 5);
}

TEST_CASE("what a function throws passes through the handle, and nothing is recorded") {
  MetricsCollector collector(contract::manual());
  const Handles handles(collector);
  const auto throws = []() -> double { throw std::runtime_error("no value"); };
  CHECK_THROWS_AS(handles.counter.add(throws), std::runtime_error);
  CHECK_THROWS_AS(handles.gauge.set(throws), std::runtime_error);
  CHECK_THROWS_AS(handles.summary.record(throws), std::runtime_error);
  CHECK_THROWS_AS(handles.histogram.record(throws), std::runtime_error);
  CHECK_THROWS_AS(handles.timer.record([&] { return std::chrono::duration<double>(throws()); }), std::runtime_error);
  CHECK(collector.flush()->stats().recorded == 0);
  static_assert(noexcept(handles.summary.record([]() noexcept { return 1.0; })));
  static_assert(!noexcept(handles.summary.record([] { return 1.0; })));
  static_assert(noexcept(handles.summary.record(1)));
  static_assert(noexcept(handles.counter.add()));
}

TEST_CASE("functions of any form are taken, and what is a number stays one") {
  MetricsCollector collector(contract::manual());
  const Summary summary = collector.summary("s");
  int state = 0;
  auto counts = [state]() mutable { return ++state; };
  std::function<double()> function = plain_function;
  summary.record(counts);
  summary.record(plain_function);
  summary.record(&plain_function);
  summary.record(function);
  summary.record(std::as_const(function));
  summary.record([] { return 2.5f; });
  summary.record(CallableNumber{});
  summary.record(1);
  summary.record(1u);
  summary.record(true);
  summary.record({1, 2.5});
  summary.record(std::vector<double>{1, 2});
  collector.timer("t").record([] { return 500ms; });
  collector.timer("t").record(250ms);
  const auto snapshot = collector.flush();
  CHECK(contract::series(*snapshot, "s")->sum == 1 + 4 * 2 + 2.5 + 1 + 3 + 3.5 + 3);
  CHECK(contract::series(*snapshot, "t")->sum == 0.75);
}
