// A program with a page for Prometheus, whose headers it does not need.

#include <pepper/prometheus.hpp>

int main() {
  pepper::MetricsCollector collector;
  const pepper::PrometheusServer server = pepper::serve_prometheus(collector, "127.0.0.1:0");
  collector.counter("requests_total").add();
  return server.port() != 0 && server.url().find("http://127.0.0.1:") == 0 ? 0 : 1;
}
