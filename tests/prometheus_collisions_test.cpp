#include "prometheus_shown.hpp"

#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

using namespace shown;
using contract::background;
using contract::manual;

namespace {

/// A collector with a page from its beginning, and what that said since it was asked last. Nothing flushes or scrapes.
struct Registered {
  explicit Registered(PrometheusOptions options = {}) {
    options.on_error = [this](std::string_view what) {
      said.emplace_back(what);
      thread = std::this_thread::get_id();
    };
    page = prometheus_collectable(collector, options);
  }
  [[nodiscard]] std::vector<std::string> taken() { return std::exchange(said, {}); }

  std::vector<std::string> said;
  std::thread::id thread;
  MetricsCollector collector{manual()};
  std::shared_ptr<prometheus::Collectable> page;
};

using Lines = std::vector<std::string>;

}  // namespace

TEST_CASE("two names that become one are said to in the call that registers the second, by its thread") {
  Registered on;
  (void)on.collector.counter("a.b");
  CHECK(on.taken().empty());
  (void)on.collector.counter("a_b");
  CHECK(on.thread == std::this_thread::get_id());
  CHECK(on.taken() ==
        Lines{R"(series "a_b" and "a.b" are both a_b to Prometheus, which is shown one of them where their labels are the same)"});
  (void)on.collector.gauge("a-b");
  CHECK(on.taken() == Lines{R"(series "a-b" and "a.b" are both a_b to Prometheus, which is shown one of them)"});
  (void)on.collector.record("h", 1);
  (void)on.collector.record("h.count", 1);
  CHECK(on.taken() == Lines{R"(series "h.count" and "h" are both h_count to Prometheus, which is shown one of them)"});
  (void)on.collector.counter("pepper_recorded_total");
  CHECK(on.taken() ==
        Lines{R"(series "pepper_recorded_total" is not shown: to Prometheus its pepper_recorded_total is that of the ledger)"});
  (void)on.collector.counter("a_b", {{"other", "tags"}});  // nothing new about its name
  CHECK(on.taken().empty());
}

TEST_CASE("labels that become the same are said to in the call that registers the second series") {
  Registered on;
  (void)on.collector.counter("c", {{"x.y", "1"}});
  (void)on.collector.counter("c", {{"x_y", "2"}});
  CHECK(on.taken().empty());
  (void)on.collector.counter("c", {{"x_y", "1"}});
  CHECK(on.taken() == Lines{R"(two series "c" have the same labels to Prometheus, which is shown one of them)"});
  (void)on.collector.counter("d", {{"x.y", "1"}, {"x_y", "2"}});
  CHECK(on.taken() == Lines{R"(label "x.y" of series "d" is shown as x_y_: another label has its legal name)"});
}

TEST_CASE("a label without a value is none to Prometheus: a series that differs in one alone is shown once") {
  Registered on;
  on.collector.counter("c").add(1);
  on.collector.counter("c", {{"k", ""}}).add(2);
  CHECK(on.taken() == Lines{R"(two series "c" have the same labels to Prometheus, which is shown one of them)"});
  (void)on.collector.flush();
  const Page page(prometheus::TextSerializer().Serialize(on.page->Collect()));
  CHECK(page.samples("c").size() == 1);
  CHECK(page.value("pepper_series_not_shown") == 1);
}

TEST_CASE("kinds of one name that contradict each other are said to; a kind that a series takes later contradicts nothing") {
  Registered on;
  (void)on.collector.record("upgraded", 1);
  (void)on.collector.counter("upgraded");
  (void)on.collector.counter("upgraded", {{"k", "v"}});
  (void)on.collector.summary("values");
  (void)on.collector.timer("values", {{"k", "v"}});
  CHECK(on.taken().empty());
  (void)on.collector.counter("values", {{"k", "w"}});
  CHECK(
      on.taken() ==
      Lines{
          R"(series "values" is with some tags a summary, histogram or timer, with others a counter: Prometheus is shown those of one kind)"});
}

TEST_CASE("a collision that comes with a unit's suffix, or with a distribution's buckets, is said to when it comes") {
  PrometheusOptions options;
  options.suffixes = true;
  Registered on(options);
  (void)on.collector.record("sent", 1);
  (void)on.collector.summary("sent_bytes");
  (void)on.collector.gauge("wait_bucket");
  (void)on.collector.summary("wait");
  CHECK(on.taken().empty());
  (void)on.collector.summary("sent", {}, {.unit = "bytes"});
  CHECK(on.taken().size() == 1);
  (void)on.collector.histogram("wait", {{"k", "v"}});
  CHECK(on.taken() == Lines{R"(series "wait" and "wait_bucket" are both wait_bucket to Prometheus, which is shown one of them)"});
}

TEST_CASE("collisions that are there before a page are said to while it is made") {
  MetricsCollector collector(manual());
  (void)collector.counter("a.b");
  (void)collector.counter("a_b");  // no snapshot has them
  Lines said;
  PrometheusOptions options;
  options.on_error = [&](std::string_view what) { said.emplace_back(what); };
  const auto page = prometheus_collectable(collector, options);
  CHECK(said.size() == 1);
}

TEST_CASE("on_error of a page may bind, let go of the page, and destroy the collector") {
  auto collector = std::make_unique<MetricsCollector>(background());
  std::shared_ptr<prometheus::Collectable> page;
  int calls = 0;
  PrometheusOptions options;
  options.on_error = [&](std::string_view) {
    if (++calls == 1) {
      (void)collector->gauge("a-b");
    } else {
      page.reset();
      collector.reset();
    }
  };
  page = prometheus_collectable(*collector, options);
  (void)collector->counter("a.b");
  (void)collector->counter("a_b");
  CHECK(calls == 2);
  CHECK(collector == nullptr);
}
