#include "forked.hpp"
#include "prometheus_http.hpp"
#include "prometheus_page.hpp"

#include <pepper/prometheus.hpp>
#include <prometheus/exposer.h>

#include <atomic>
#include <memory>
#include <optional>
#include <stdexcept>
#include <system_error>

using namespace pepper;
using contract::background;
using contract::manual;
using prometheus_page::Page;

namespace {

/// What serve_prometheus() throws.
template <class Error>
std::string refusal(std::string_view address) {
  MetricsCollector collector(manual());
  try {
    (void)serve_prometheus(collector, address);
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

Page scrape(std::uint16_t port) {
  const std::string answer = http_get(port, "/metrics");
  CHECK(answer.starts_with("HTTP/1.1 200"));
  CHECK(answer.find("Content-Type: text/plain") != std::string::npos);
  return Page(answer.substr(answer.find("\r\n\r\n") + 4));
}

}  // namespace

TEST_CASE("a collector is served until its server is destroyed") {
  MetricsCollector collector(background());
  std::uint16_t port = 0;
  {
    PrometheusServer first = serve_prometheus(collector, "127.0.0.1:0");
    const PrometheusServer server = std::move(first);
    port = server.port();
    CHECK(server.url() == "http://127.0.0.1:" + std::to_string(port) + "/metrics");
    collector.counter("requests_total").add(5);
    CHECK(scrape(port).value("requests_total") == 5);
    CHECK(http_get(port, "/").starts_with("HTTP/1.1 404"));
    CHECK(http_get(port, "/../../etc/passwd").find("root:") == std::string::npos);
  }
  CHECK_THROWS_AS(http_get(port, "/metrics"), std::runtime_error);
}

TEST_CASE("an exposer that a program has already shows a collector too") {
  MetricsCollector collector(background());
  collector.counter("requests_total").add(5);
  prometheus::Exposer exposer("127.0.0.1:0");
  const auto page = prometheus_collectable(collector);
  exposer.RegisterCollectable(page);
  CHECK(scrape(static_cast<std::uint16_t>(exposer.GetListeningPorts().at(0))).value("requests_total") == 5);
}

TEST_CASE("a server outlives its collector") {
  auto collector = std::make_unique<MetricsCollector>(background());
  collector->counter("c").add();
  const PrometheusServer server = serve_prometheus(*collector, "localhost:0");
  collector.reset();
  CHECK(scrape(server.port()).samples("c").empty());
}

TEST_CASE("a child may let go of its parent's server, which goes on there") {
  MetricsCollector collector(background());
  std::optional<PrometheusServer> server = serve_prometheus(collector, "127.0.0.1:0");
  collector.counter("c").add();
  CHECK(scrape(server->port()).value("c") == 1);
  CHECK(forked::holds_in_child([&] {
    server.reset();
    return true;
  }));
  CHECK(scrape(server->port()).value("c") == 1);
}

TEST_CASE("scrapes from many clients, while threads record and collectors end, each get a whole page") {
  auto collector = std::make_unique<MetricsCollector>(background(std::chrono::milliseconds{1}));
  const Histogram histogram = collector->histogram("h");
  const PrometheusServer server = serve_prometheus(*collector, "127.0.0.1:0");
  std::atomic<int> scrapes{0};
  contract::on_threads(4, [&](std::size_t i) {
    if (i == 0) {
      while (scrapes < 20) histogram.record(1.5);
      collector.reset();
    } else {
      for (int n = 0; n < 20; ++n) {
        const Page page = scrape(server.port());
        ++scrapes;
        if (!page.samples("h_count").empty()) {
          CHECK(page.value("h_bucket", {{"le", "+Inf"}}) == page.value("h_count"));
        }
      }
    }
  });
}

TEST_CASE("an address that cannot be read is refused by name") {
  for (const char* const address :
       {"", "9464", ":9464", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:-1", "127.0.0.1:80,0.0.0.0:81", "127.0.0.1:80s",
        "127.0.0.1: 80", "127.0.0.1:+80", "127.0.0.256:80", "nowhere.invalid:80", "::1:80", "[::1:80", "[::1]:80", "[]:80", "*:80"}) {
    CAPTURE(address);
    CHECK(refusal<std::invalid_argument>(address).find("address \"" + std::string(address) + "\": ") == 0);
  }
}

TEST_CASE("an address in use, and one that is not this machine's, are refused by name and reason") {
  MetricsCollector collector(manual());
  const PrometheusServer server = serve_prometheus(collector, "127.0.0.1:0");
  const std::string address = "127.0.0.1:" + std::to_string(server.port());
  CHECK(refusal<std::system_error>(address).find("cannot serve at \"" + address + "\": Address already in use") == 0);
  CHECK(refusal<std::system_error>("192.0.2.1:9464").find("cannot serve at \"192.0.2.1:9464\": Cannot assign requested address") == 0);
}
