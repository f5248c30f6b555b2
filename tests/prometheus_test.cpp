#include "prometheus_shown.hpp"

#include <algorithm>
#include <clocale>
#include <cmath>
#include <initializer_list>
#include <locale>
#include <optional>
#include <stdexcept>

using namespace shown;
using contract::manual;

namespace {

bool mentions(const std::vector<std::string>& said, std::initializer_list<std::string_view> words) {
  return std::ranges::any_of(said, [&](const std::string& line) {
    return std::ranges::all_of(words, [&](std::string_view word) { return line.find(word) != std::string::npos; });
  });
}

}  // namespace

TEST_CASE("a counter is shown as its sum, zero before it counts; a gauge as it was set last, and not before") {
  Shown shown;
  const Counter counter = shown.collector.counter("requests_total", {{"path", "/"}}, {.help = "Requests"});
  const Gauge gauge = shown.collector.gauge("temperature");
  Page page = shown.page();
  CHECK(page.value("requests_total", {{"path", "/"}}) == 0);
  CHECK(page.families["requests_total"].type == "counter");
  CHECK(page.families["requests_total"].help == "Requests");
  CHECK(page.families.count("temperature") == 0);
  counter.add(9'007'199'254'740'991);  // 2^53 - 1
  gauge.set(3);
  gauge.set(-0.5);
  page = shown.page();
  CHECK(page.value("requests_total", {{"path", "/"}}) == 9'007'199'254'740'991);
  CHECK(page.value("temperature") == -0.5);
  CHECK(page.families["temperature"].type == "gauge");
}

TEST_CASE("a summary is shown as count and sum") {
  Shown shown;
  shown.collector.summary("size", {}, {.unit = "bytes", .help = "Of answers"}).record({1, 2, 4});
  Page page = shown.page();
  CHECK(page.families["size"].type == "summary");
  CHECK(page.families["size"].help == "Of answers (bytes)");
  CHECK(page.value("size_count") == 3);
  CHECK(page.value("size_sum") == 7);
}

TEST_CASE("NaN and infinities stand on the page as Prometheus has them") {
  Shown shown;
  shown.collector.gauge("up").set(kInfinity);
  shown.collector.gauge("down").set(-kInfinity);
  shown.collector.histogram("h").record({kInfinity, -kInfinity, 1.0});
  const Page page = shown.page();
  CHECK(page.value("up") == kInfinity);
  CHECK(page.value("down") == -kInfinity);
  const auto sum = page.samples("h_sum");
  REQUIRE(sum.size() == 1);
  CHECK(std::isnan(sum[0].value));
  CHECK(page.value("h_bucket", {{"le", "1"}}) == 2);
  CHECK(page.value("h_bucket", {{"le", "+Inf"}}) == 3);
}

TEST_CASE("quotes, newlines, backslashes, UTF-8 and what is none: a label says what the tag said") {
  Shown shown;
  const std::vector<std::pair<std::string, std::string>> texts{
      {"a\"b\\c\nd\re\tf", "a\"b\\c\nd\re\tf"},
      {"\"} 1\n# TYPE evil counter\nevil 1\n", "\"} 1\n# TYPE evil counter\nevil 1\n"},
      {"gr\xc3\xb6\xc3\x9f"
       "e \xe2\x82\xac \xf0\x9f\x8c\xb6",
       "gr\xc3\xb6\xc3\x9f"
       "e \xe2\x82\xac \xf0\x9f\x8c\xb6"},
      {"\xff\xc3", "\\xff\\xc3"},
      {"\xc0\xaf \xed\xa0\x80 \xf4\x90\x80\x80", "\\xc0\\xaf \\xed\\xa0\\x80 \\xf4\\x90\\x80\\x80"},
      {std::string("zero\0byte", 9), "zero\\x00byte"},
      {"", ""},
  };
  for (const auto& [given, expected] : texts) {
    shown.collector.counter("c", {{"text", given}}, {.help = "one\ntwo \\ \"three\" \xff"}).add();
  }
  Page page = shown.page();
  CHECK(page.families["c"].samples.size() == texts.size());
  for (const auto& [given, expected] : texts) CHECK(page.value("c", {{"text", expected}}) == 1);
  CHECK(page.families["c"].help == "one\ntwo \\ \"three\" \\xff");
}

TEST_CASE("names are made legal, and are otherwise left alone") {
  Shown shown;
  const std::vector<std::pair<std::string, std::string>> names{
      {"requests", "requests"},
      {"http:requests", "http:requests"},
      {"a.b-c d", "a_b_c_d"},
      {"9lives", "_9lives"},
      {"gr\xc3\xb6\xc3\x9f"
       "e",
       "gr__e"},
      {"\xff", "_"},
  };
  for (const auto& [given, expected] : names) shown.collector.counter(given).add();
  const std::vector<std::pair<std::string, std::string>> keys{
      {"plain", "plain"}, {"a:b", "a_b"}, {"__name__", "_name__"}, {"___", "_"},
      {"1st", "_1st"},    {"x.y", "x_y"}, {"le", "le_"},           {"quantile", "quantile_"},
  };
  for (const auto& [given, expected] : keys) shown.collector.counter("k", {{given, "v"}}).add();
  shown.collector.histogram("h", {{"le", "mine"}}).record(1);
  Page page = shown.page();
  for (const auto& [given, expected] : names) {
    CHECK(page.value(expected) == 1);
    CHECK(page.families[expected].help == (given == "\xff" ? "\\xff" : given));
  }
  for (const auto& [given, expected] : keys) CHECK(page.value("k", {{expected, "v"}}) == 1);
  CHECK(page.value("h_count", {{"le_", "mine"}}) == 1);
  CHECK(shown.said().empty());
}

TEST_CASE("labels of which no character is legal are told apart") {
  Shown shown;
  shown.collector.counter("c", {{"\xc3\xa4", "1"}, {"\xc3\xb6", "2"}, {"_", "3"}, {"__", "4"}, {"\xff", "5"}}).add();
  CHECK(shown.page().value("c", {{"_", "3"}, {"_0", "4"}, {"_0_", "1"}, {"_0__", "2"}, {"_0___", "5"}}) == 1);
}

TEST_CASE("suffixes are given where they are asked for, once") {
  PrometheusOptions options;
  options.suffixes = true;
  Shown shown(options);
  shown.collector.counter("demo.files").add();
  shown.collector.counter("demo.bytes", {}, {.unit = "bytes"}).add();
  shown.collector.counter("sent_total", {}, {.unit = "bytes"}).add();
  shown.collector.timer("work").record({1.0});
  shown.collector.timer("wait_seconds").record({1.0});
  const Page page = shown.page();
  for (const char* const name : {"demo_files_total", "demo_bytes_total", "sent_bytes_total", "work_seconds_count", "wait_seconds_count"}) {
    CHECK(page.value(name) == 1);
  }
}

TEST_CASE("what becomes the same is shown once, said once, and counted") {
  Shown shown;
  shown.collector.counter("a.b").add(1);
  shown.collector.gauge("a_b").set(2);  // legal: it keeps the name
  shown.collector.counter("c.d", {{"k", "v"}}).add(3);
  shown.collector.counter("c_d", {{"k", "v"}}).add(4);
  shown.collector.counter("c.d", {{"k", "w"}}).add(5);  // the same family, another series
  shown.collector.histogram("h").record(6);
  shown.collector.counter("h_count").add(7);
  shown.collector.counter("pepper_recorded_total").add(8);
  shown.collector.counter("kinds", {{"k", "1"}}).add(9);
  shown.collector.gauge("kinds", {{"k", "2"}}).set(10);
  shown.collector.counter("labels", {{"x.y", "1"}, {"x_y", "2"}}).add(11);
  shown.collector.counter("bytes", {{"k", "\xff"}}).add(12);
  shown.collector.counter("bytes", {{"k", "\\xff"}}).add(13);
  const Page page = shown.page();
  CHECK(page.value("a_b") == 2);
  CHECK(page.value("c_d", {{"k", "v"}}) == 4);
  CHECK(page.value("c_d", {{"k", "w"}}) == 5);
  CHECK(page.value("h_count") == 1);
  CHECK(page.value("pepper_recorded_total") == 13);
  CHECK(page.value("kinds", {{"k", "1"}}) == 9);
  CHECK(page.value("labels", {{"x_y_", "1"}, {"x_y", "2"}}) == 11);
  CHECK(page.samples("bytes").size() == 1);
  CHECK(page.value("pepper_series_not_shown") == 6);
  const auto said = shown.said();
  CHECK(said.size() == 7);
  CHECK(mentions(said, {"\"a.b\"", "a_b"}));
  CHECK(mentions(said, {"\"c.d\""}));
  CHECK(mentions(said, {"\"h_count\"", "\"h\""}));
  CHECK(mentions(said, {"\"pepper_recorded_total\"", "ledger"}));
  CHECK(mentions(said, {"\"kinds\"", "gauge"}));
  CHECK(mentions(said, {"\"x.y\"", "\"labels\"", "x_y_"}));
  CHECK(mentions(said, {"\"bytes\""}));
  (void)shown.page();
  CHECK(shown.said().size() == 7);
}

TEST_CASE("the page is the same under a foreign locale") {
  struct Comma : std::numpunct<char> {
    char do_decimal_point() const override { return ','; }
    char do_thousands_sep() const override { return '.'; }
    std::string do_grouping() const override { return "\3"; }
  };
  Shown shown(with_buckets({1234.5}));
  shown.collector.gauge("g").set(1234567.25);
  shown.collector.histogram("h").record(1234.5);
  const std::string before = shown.text();
  const std::locale old = std::locale::global(std::locale(std::locale::classic(), new Comma));
  const char* const c_locale = std::setlocale(LC_ALL, "de_DE.UTF-8");  // where there is one
  const std::string foreign = shown.text();
  std::locale::global(old);
  if (c_locale != nullptr) std::setlocale(LC_ALL, "C");
  const auto without_ledger = [](const std::string& page) { return page.substr(0, page.find("# HELP pepper_")); };
  CHECK(without_ledger(foreign) == without_ledger(before));
  CHECK(Page(foreign).value("g") == 1234567.25);
}

TEST_CASE("the ledger is on the page, and can be left out") {
  Shown shown;
  shown.collector.counter("c").add(-1);
  shown.collector.counter("c").add(1);
  const Page page = shown.page();
  CHECK(page.value("pepper_recorded_total") == 2);
  CHECK(page.value("pepper_aggregated_total") == 1);
  CHECK(page.value("pepper_dropped_total") == 1);
  CHECK(page.value("pepper_losses_total", {{"cause", "negative"}}) == 1);
  CHECK(page.value("pepper_series") == 1);
  PrometheusOptions options;
  options.ledger = false;
  Shown bare(options);
  bare.collector.counter("c").add(1);
  CHECK(bare.page().families.size() == 1);
}

TEST_CASE("a page outlives its collector, and is empty then") {
  std::optional<MetricsCollector> collector(contract::background());
  collector->counter("c").add();
  const auto page = prometheus_collectable(*collector);
  CHECK(page->Collect().size() > 1);
  collector.reset();
  CHECK(page->Collect().empty());
}

TEST_CASE("a scrape shows what was recorded before it, without a flush by the program") {
  MetricsCollector collector(contract::background());
  const auto page = prometheus_collectable(collector);
  const Counter counter = collector.counter("c");
  for (int i = 1; i <= 3; ++i) {
    counter.add();
    CHECK(Page(prometheus::TextSerializer().Serialize(page->Collect())).value("c") == i);
  }
}

TEST_CASE("wrong options are refused by field and value") {
  MetricsCollector collector(manual());
  const auto refusal = [&](PrometheusOptions options) -> std::string {
    try {
      (void)prometheus_collectable(collector, std::move(options));
    } catch (const std::invalid_argument& error) {
      return error.what();
    }
    return "";
  };
  CHECK(refusal(with_buckets({1, 1})) == "PrometheusOptions::shape.buckets: 1: must be above the one before");
  CHECK(refusal(with_buckets({1, kInfinity})) == "PrometheusOptions::shape.buckets: inf: must be finite");
  PrometheusOptions options;
  options.shapes["x"].quantiles = {1.5};
  CHECK(refusal(options) == "PrometheusOptions::shapes[\"x\"].quantiles: 1.5: must be in [0, 1]");
}
