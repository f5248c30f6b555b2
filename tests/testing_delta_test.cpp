#include "contract.hpp"

#include <pepper/testing.hpp>

#include <cmath>
#include <limits>
#include <stdexcept>

using namespace pepper;
using contract::manual;
using testing::Delta;
using testing::Others;

TEST_CASE("a delta has what was recorded since it was made, and no more") {
  MetricsCollector collector(manual());
  const Counter hits = collector.counter("hits", {{"method", "GET"}});
  const Gauge level = collector.gauge("level");
  hits.add(100);
  level.set(7);
  const Delta delta(collector);
  CHECK(delta.of("hits", {{"method", "GET"}}).count == 0);
  CHECK(std::isnan(delta.of("level").last));
  hits.add(2);
  contract::on_threads(1, [&](std::size_t) { hits.add(3); });
  level.set(8);
  collector.summary("new").record(0.5);
  const testing::Change found = delta.of("hits", {{"method", "GET"}});
  CHECK(found.count == 2);
  CHECK(found.sum == 5);
  CHECK(delta.of("level").last == 8);
  CHECK(delta.of("new").sum == 0.5);
  CHECK(delta.of("hits").count == 0);
  CHECK(delta.of("absent").count == 0);
  const std::vector<testing::Change> all = delta.all();
  REQUIRE(all.size() == 3);
  CHECK(all[0].name == "hits");
  CHECK(all[0].tags == Tags{{"method", "GET"}});
  CHECK(all[2].name == "new");
}

TEST_CASE("there is no difference if all is as expected") {
  MetricsCollector collector(manual());
  const Counter hits = collector.counter("hits", {{"a", "1"}, {"b", "2"}});
  const Summary sizes = collector.summary("sizes");
  sizes.record(1e9);
  const Delta delta(collector);
  CHECK(delta.difference({}) == "");
  for (int i = 0; i < 3; ++i) hits.add(0.1);
  sizes.record(0.1);
  CHECK(delta.difference({{.name = "hits", .tags = {{"b", "2"}, {"a", "1"}}, .count = 3, .sum = 0.3, .last = 0.1},
                          {.name = "sizes", .sum = 0.1},
                          {.name = "absent", .count = 0}}) == "");
  CHECK(delta.difference({{.name = "sizes"}}, Others::ignored) == "");
  CHECK_NOTHROW(delta.expect({{.name = "sizes"}, {.name = "hits", .tags = {{"a", "1"}, {"b", "2"}}}}));
}

TEST_CASE("a difference is a table of what was expected and what came, with the tags that came instead, and what came besides") {
  MetricsCollector collector(manual());
  const Delta delta(collector);
  for (const std::string_view method : {"GET", "POST"}) collector.counter("requests_total", {{"method", method}}).add(2);
  collector.gauge("level").set(3);
  const std::string difference = delta.difference({
      {.name = "requests_total", .tags = {{"method", "GET"}}, .count = 3, .sum = 2.000001},
      {.name = "requests_total", .tags = {{"method", "PUT"}}, .count = 1},
      {.name = "errors_total"},
  });
  CHECK(difference ==
        "series                       what   expected  got\n"
        "requests_total{method=GET}   count  3         1\n"
        "requests_total{method=GET}   sum    2.000001  2\n"
        "requests_total{method=PUT}   count  1         none, but 1 of requests_total{method=GET}, 1 of requests_total{method=POST}\n"
        "errors_total                 count  some      none\n"
        "level                        count  none      1, sum 3\n"
        "requests_total{method=POST}  count  none      1, sum 2\n");
  CHECK(delta.difference({{.name = "level", .count = 0}}, Others::ignored) ==
        "series  what   expected  got\n"
        "level   count  0         1\n");
  CHECK_THROWS_WITH_AS(delta.expect({{.name = "level", .last = 4}}, Others::ignored),
                       "not recorded as expected:\n"
                       "series  what  expected  got\n"
                       "level   last  4         3\n",
                       std::runtime_error);
}

TEST_CASE("a difference tells what was dropped and refused meanwhile, and no difference does not") {
  MetricsCollector collector(manual());
  const Counter hits = collector.counter("hits");
  hits.add(-1);
  const Delta delta(collector);
  CHECK(delta.difference({}) == "");
  hits.add(-1);
  hits.add(std::numeric_limits<double>::quiet_NaN());
  CHECK(delta.difference({}) == "");
  CHECK(delta.difference({{.name = "hits", .count = 2}}) ==
        "series  what   expected  got\n"
        "hits    count  2         none\n"
        "dropped meanwhile: 1, cause: negative\n"
        "rejected meanwhile: 1 (NaN, or a name or tag outside the limits)\n");
}

TEST_CASE("a series that is expected twice is an error") {
  MetricsCollector collector(manual());
  const Delta delta(collector);
  CHECK_THROWS_WITH_AS((void)delta.difference({{.name = "hits", .tags = {{"a", "1"}}}, {.name = "hits", .tags = {{"a", "1"}}}}),
                       "Delta: hits{a=1} is expected twice", std::invalid_argument);
}

TEST_CASE("a delta is of the default collector if none is named") {
  testing::ScopedDefaultCollector replaced;
  const Delta delta;
  counter<"testing_delta_hits">().add();
  CHECK(delta.of("testing_delta_hits").count == 1);
  CHECK(delta.difference({{.name = "testing_delta_hits", .count = 1}}) == "");
}
