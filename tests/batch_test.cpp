#include "contract.hpp"

#include <pepper/pepper.hpp>

#include <doctest/doctest.h>

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>
#include <stdexcept>
#include <thread>
#include <vector>

namespace {

using namespace std::chrono_literals;
using contract::is_balanced;
using contract::manual;
using pepper::BatchCollector;
using pepper::MetricsCollector;
using pepper::RateLimitedCollector;
using pepper::SamplingCollector;

std::uint64_t recorded(MetricsCollector& collector) { return collector.flush()->stats().recorded; }

TEST_CASE("a batch is handed over when it is full, when it is flushed, by hand and when it ends") {
  MetricsCollector collector(manual());
  {
    BatchCollector batch{collector, 10};
    const auto counter = batch.counter("c");
    for (int i = 0; i < 9; ++i) counter.add();
    CHECK(recorded(collector) == 0);
    counter.add();
    CHECK(recorded(collector) == 10);
    for (int i = 0; i < 3; ++i) counter.add();
    CHECK(batch.flush()->stats().recorded == 13);
    counter.add();
    batch.hand_over();
    CHECK(recorded(collector) == 14);
    counter.add();
    CHECK(recorded(collector) == 14);
  }
  CHECK(recorded(collector) == 15);
}

TEST_CASE("nothing is lost when a batch's scope ends by an exception") {
  MetricsCollector collector(manual());
  try {
    BatchCollector batch{collector, 1'000};
    const auto summary = batch.summary("s");
    for (int i = 0; i < 7; ++i) summary.record(i);
    batch.record("dynamic", 3, {{"k", "v"}});
    throw std::runtime_error("the request failed");
  } catch (const std::runtime_error&) {
  }
  const auto snapshot = collector.flush();
  CHECK(snapshot->find("s")->count == 7);
  CHECK(snapshot->find("dynamic", {{"k", "v"}})->last == 3);
}

TEST_CASE("a batch's records are what single ones are, of every kind and in their order") {
  MetricsCollector batched(manual()), single(manual());
  const auto record_all = [](auto& to) {
    const auto counter = to.counter("counter");
    const auto gauge = to.gauge("gauge");
    const auto summary = to.summary("summary", {{"a", "b"}});
    const auto histogram = to.histogram("histogram");
    const auto timer = to.timer("timer");
    for (int i = 1; i <= 1'000; ++i) {
      counter.add(i);
      counter.add(-1);  // dropped
      gauge.set(i % 13);
      summary.record({1.0 * i, -1.0 * i});
      histogram.record(i);
      timer.record(1ms * i);
      timer.record({0.5, 0.25});
    }
  };
  {
    BatchCollector batch{batched, 64};
    record_all(batch);
  }
  record_all(single);
  const auto a = batched.flush(), b = single.flush();
  REQUIRE(a->size() == b->size());
  CHECK(a->to_text() == b->to_text());
  CHECK(a->stats().recorded == b->stats().recorded);
  CHECK(a->stats().dropped == b->stats().dropped);
  CHECK(is_balanced(a->stats()));
}

TEST_CASE("a batch is larger than the pool, and nothing is lost") {
  MetricsCollector collector(manual(255));
  {
    BatchCollector batch{collector, 10'000};
    const auto counter = batch.counter("c");
    for (int i = 0; i < 25'000; ++i) counter.add();
  }
  const auto snapshot = collector.flush();
  CHECK(snapshot->find("c")->count == 25'000);
  CHECK(snapshot->stats().spilled > 0);
}

TEST_CASE("each thread has a batch of its own, and what they hold adds up") {
  MetricsCollector collector(manual());
  std::vector<std::thread> threads;
  threads.reserve(3);
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([&] {
      BatchCollector batch{collector, 77};
      const auto counter = batch.counter("c");
      for (int i = 0; i < 10'000; ++i) counter.add();
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(recorded(collector) == 30'000);
}

TEST_CASE("a batch over layers and layers over a batch keep what these promise") {
  MetricsCollector collector(manual());
  {
    BatchCollector over_sampling{SamplingCollector{collector, 0.5, 1}, 100};
    BatchCollector over_limit{RateLimitedCollector{collector, 1e-3}, 100};
    SamplingCollector sampling_over{BatchCollector{collector, 100}, 0.5, 2};
    RateLimitedCollector limit_over{BatchCollector{collector, 100}, 1e-3};
    const auto a = over_sampling.counter("over_sampling");
    const auto b = over_limit.counter("over_limit");
    const auto c = sampling_over.counter("sampling_over");
    const auto d = limit_over.counter("limit_over");
    for (int i = 0; i < 10'010; ++i) {
      a.add();
      b.add();
      c.add();
      d.add();
      sampling_over.record("dynamic", 1);
    }
    over_sampling.flush();
  }
  const auto snapshot = collector.flush();
  for (const char* const name : {"over_sampling", "sampling_over", "dynamic"}) {
    CAPTURE(name);
    const auto found = snapshot->find(name);
    CHECK(static_cast<double>(found->count) == doctest::Approx(10'010).epsilon(0.05));
    CHECK(found->sample_rate == doctest::Approx(0.5));
  }
  for (const char* const name : {"over_limit", "limit_over"}) {
    CAPTURE(name);
    CHECK(snapshot->find(name)->count == 1);
    CHECK(snapshot->find(name)->refused == 10'009);
  }
  CHECK(is_balanced(snapshot->stats()));
}

TEST_CASE("a batch may be moved, and its handles with it") {
  MetricsCollector collector(manual());
  {
    BatchCollector first{collector, 10};
    const auto counter = first.counter("c");
    counter.add();
    BatchCollector<MetricsCollector&> second(std::move(first));
    counter.add();
  }
  CHECK(recorded(collector) == 2);
}

TEST_CASE("a batch of a size that is none is refused") {
  MetricsCollector collector(manual());
  for (const std::size_t size : {std::size_t{0}, (std::size_t{1} << 20) + 1}) {
    CAPTURE(size);
    CHECK_THROWS_AS((BatchCollector{collector, size}), std::invalid_argument);
  }
}

TEST_CASE("a batch hands on at once what carries its time, and times scopes as a timer does") {
  MetricsCollector collector(manual());
  {
    BatchCollector batch{collector, 10};
    const auto timed = batch.counter("timed", {}, {.timestamps = true});
    const auto plain = batch.counter("plain");
    for (int i = 0; i < 25; ++i) {
      timed.add();
      plain.add();
    }
    { const auto scope = batch.timer("t").scope(); }
    batch.timer("t").record(std::chrono::steady_clock::now());
    SamplingCollector all{BatchCollector{collector, 10}, 1.0};
    { const auto scope = all.timer("t").scope(); }
    pepper::AggregatingCollector request{collector};
    { const auto scope = request.timer("t").scope(); }
    CHECK(request.find("t").count == 1);
  }
  const auto snapshot = collector.flush();
  CHECK(snapshot->find("timed")->count == 25);
  CHECK(snapshot->find("plain")->count == 25);
  CHECK(snapshot->find("t")->count == 4);
}

}  // namespace
