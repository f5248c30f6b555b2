#include <pepper/collector.hpp>

#include <cstdlib>
#include <mutex>
#include <optional>
#include <stdexcept>

#include "config_check.hpp"

namespace pepper {

namespace {

/// Never destroyed: threads, and objects that die after it would, still record.
struct Default {
  std::mutex mutex;
  TelemetryConfig config;
  std::atomic<MetricsCollector*> collector{nullptr};
};

Default& the_default() {
  static Default& immortal = *new Default;
  return immortal;
}

MetricsCollector& make_default() {
  Default& made = the_default();
  const std::lock_guard lock(made.mutex);
  if (MetricsCollector* const known = made.collector.load(std::memory_order_relaxed)) return *known;  // [relaxed: written under the mutex]
  auto* const collector = new MetricsCollector(made.config);
  made.collector.store(collector, std::memory_order_release);  // [default:release] pairs with [default:acquire] in default_collector()
  // [relaxed: written before this was registered]
  std::atexit([] { the_default().collector.load(std::memory_order_relaxed)->shutdown(); });
  return *collector;
}

}  // namespace

MetricsCollector& default_collector() {
  // [default:acquire] pairs with [default:release] in make_default()
  MetricsCollector* const known = the_default().collector.load(std::memory_order_acquire);
  return known != nullptr ? *known : make_default();
}

void configure_default(TelemetryConfig config) {
  detail::check(config);
  Default& made = the_default();
  const std::lock_guard lock(made.mutex);
  if (made.collector.load(std::memory_order_relaxed) != nullptr) {  // [relaxed: written under the mutex]
    throw std::logic_error("configure_default: default_collector() exists already");
  }
  made.config = std::move(config);
}

}  // namespace pepper
