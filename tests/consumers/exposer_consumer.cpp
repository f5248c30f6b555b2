// A program that has an exposer already.

#include <pepper/prometheus.hpp>

#include <prometheus/exposer.h>
#include <prometheus/metric_family.h>

int main() {
  pepper::MetricsCollector collector;
  prometheus::Exposer exposer("127.0.0.1:0");
  const auto page = pepper::prometheus_collectable(collector);
  exposer.RegisterCollectable(page);
  collector.counter("requests_total").add();
  return page->Collect().empty() ? 1 : 0;
}
