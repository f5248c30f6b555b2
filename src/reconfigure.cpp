#include "collector_impl.hpp"
#include "config_check.hpp"
#include "drain_lock.hpp"

#include <exception>
#include <memory>
#include <utility>

namespace pepper::detail {

void Collector::switch_to(bool is_enabled) noexcept {
  config_.enabled = is_enabled;
  drain_.set_discarding(!is_enabled);
  rate_limits_.set_discarding(!is_enabled);
  if (is_enabled) {
    place_.open_gate();
  } else {
    place_.close_gate();
  }
}

void Collector::set_enabled(bool enabled) noexcept {
  const auto alive = weak_from_this().lock();  // on_error may destroy the MetricsCollector
  try {
    require_settled();
    const DrainLock lock(drain_mutex_);
    drain_.look();
    switch_to(enabled);
  } catch (const std::exception& error) {
    errors_->report("set_enabled", {"set_enabled had no effect: ", error.what()});
  }
}

TelemetryConfig Collector::config() const {
  require_settled();
  const DrainLock lock(drain_mutex_);
  return config_;
}

void Collector::reconfigure(TelemetryConfig config) {
  check(config);
  require_settled();
  auto on_error = std::make_shared<const Errors::OnError>(config.on_error);  // what was before dies after the lock, as `config` does
  const DrainLock lock(drain_mutex_);
  check_change(config_, config);
  drain_.look();  // what was recorded before is under the old settings; the last that may throw

  if (config.enabled != config_.enabled) switch_to(config.enabled);
  flush_interval_ns_.store(config.flush_interval.count(), std::memory_order_relaxed);  // [relaxed: a number, guards no data]
  place_.set_policy(config.on_overflow);
  place_.budget().set_limit(config.memory_limit_bytes);
  on_error = errors_->replace(std::move(on_error));
  // One by one: the others are read under no lock.
  config_.flush_interval = config.flush_interval;
  config_.on_overflow = config.on_overflow;
  config_.memory_limit_bytes = config.memory_limit_bytes;
  config_.on_error.swap(config.on_error);
  config_.on_flusher_start.swap(config.on_flusher_start);
  place_.pressure().raise();  // the flusher may be asleep until the end of an interval that is shorter now
}

}  // namespace pepper::detail
