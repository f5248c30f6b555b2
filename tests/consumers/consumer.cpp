// What a program does with pepper, however it was built into it. Exit code 0: all of it worked.

#include <pepper/pepper.hpp>

#include <chrono>

int main() {
  pepper::TelemetryConfig config;
  config.flush_mode = pepper::FlushMode::manual;
  pepper::MetricsCollector collector(config);
  const pepper::Counter served = collector.counter("served", {{"path", "/"}});
  for (int i = 0; i < 1000; ++i) served.add();
  const pepper::Timer timer = collector.timer("duration");
  { const pepper::ScopedTimer timed(timer); }
  timer.record(std::chrono::milliseconds{5});
  pepper::counter<"static_total", "method", "GET">().add();
  collector.record("dynamic", 1.5, {{"key", "value"}});

  const auto snapshot = collector.flush();
  const auto series = snapshot->find("served", {{"path", "/"}}), times = snapshot->find("duration");
  const auto statics = pepper::default_collector().flush()->find("static_total", {{"method", "GET"}});
  const bool is_right = series && series->count == 1000 && series->sum == 1000 && times && times->count == 2 &&
                        times->quantile(1) == 0.005 && statics && statics->count == 1 && snapshot->stats().recorded == 1003 &&
                        snapshot->to_text().size() > 100;
  return is_right ? 0 : 1;
}
