#include "disabled_beside.hpp"

#include <chrono>

void beside::record_all(pepper::MetricsCollector& collector) {
  collector.counter("counter").add();
  collector.gauge("gauge").set(1);
  const pepper::Timer timer = collector.timer("timer");
  { const pepper::ScopedTimer timed(timer); }
  collector.signal_counter("signals").add();
  collector.record("dynamic", 1);
  pepper::counter<"static">().add();
}
