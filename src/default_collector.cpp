#include <pepper/collector.hpp>

#include "config_check.hpp"
#include "fork.hpp"
#include "mutex.hpp"

#include <atomic>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <utility>

namespace pepper {

namespace {

// Never destroyed: threads, and objects that die after it would, still record.
constinit detail::Mutex mutex;
constinit TelemetryConfig* configured = nullptr;
constinit std::atomic<MetricsCollector*> collector{nullptr};

MetricsCollector& make_default() {
  (void)detail::settle();  // not under the mutex: may call on_error
  const std::lock_guard lock(mutex);
  if (MetricsCollector* const known = collector.load(std::memory_order_relaxed)) return *known;  // [relaxed: written under the mutex]
  auto* const made = new MetricsCollector(configured == nullptr ? TelemetryConfig{} : *configured);
  collector.store(made, std::memory_order_release);  // [default:release] pairs with [default:acquire] in default_collector()
  // [relaxed: written before this was registered]
  std::atexit([] { collector.load(std::memory_order_relaxed)->shutdown(); });
  return *made;
}

}  // namespace

MetricsCollector& default_collector() {
  // [default:acquire] pairs with [default:release] in make_default()
  MetricsCollector* const known = collector.load(std::memory_order_acquire);
  return known != nullptr ? *known : make_default();
}

void configure_default(TelemetryConfig config) {
  detail::check(config);
  const std::lock_guard lock(mutex);
  if (collector.load(std::memory_order_relaxed) != nullptr) {  // [relaxed: written under the mutex]
    throw std::logic_error("configure_default: default_collector() exists already");
  }
  auto fresh = std::make_unique<TelemetryConfig>(std::move(config));
  delete std::exchange(configured, fresh.release());
}

}  // namespace pepper
