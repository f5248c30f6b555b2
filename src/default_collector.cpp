#include <pepper/static_handles.hpp>
#include <pepper/testing.hpp>

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
constinit std::atomic<MetricsCollector*> own{nullptr};        ///< null: nobody has asked for it yet
constinit std::atomic<MetricsCollector*> collector{nullptr};  ///< what default_collector() gives: that, or a test's
constinit testing::ScopedDefaultCollector* innermost = nullptr;
constinit detail::StaticSlot* first_slot = nullptr;

MetricsCollector& make_default() {
  (void)detail::settle();  // not under the mutex: may call on_error
  const std::lock_guard lock(mutex);
  if (MetricsCollector* const known = collector.load(std::memory_order_relaxed)) return *known;  // [relaxed: written under the mutex]
  auto* const made = new MetricsCollector(configured == nullptr ? TelemetryConfig{} : *configured);
  own.store(made, std::memory_order_relaxed);        // [relaxed: for who has the mutex, and below]
  collector.store(made, std::memory_order_release);  // [default:release] pairs with [default:acquire] in default_collector()
  std::atexit([] { own.load(std::memory_order_relaxed)->shutdown(); });  // [relaxed: written before this was registered]
  return *made;
}

/// Under the mutex.
void show(MetricsCollector* now) noexcept {
  collector.store(now, std::memory_order_release);  // [default:release] pairs with [default:acquire] in default_collector()
  for (detail::StaticSlot* slot = first_slot; slot != nullptr; slot = slot->next)
    slot->words[detail::kPlaceWord].store(0, std::memory_order_relaxed);  // [relaxed: says only: bind anew]
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
  if (own.load(std::memory_order_relaxed) != nullptr) {  // [relaxed: written under the mutex]
    throw std::logic_error("configure_default: default_collector() exists already");
  }
  auto fresh = std::make_unique<TelemetryConfig>(std::move(config));
  delete std::exchange(configured, fresh.release());
}

namespace detail {

bool publish_static(StaticSlot& slot, std::atomic<std::uint64_t>* kept, const std::uint64_t* words, std::size_t count,
                    const MetricsCollector& from) noexcept {
  const std::lock_guard lock(mutex);
  if (collector.load(std::memory_order_relaxed) != &from) return false;  // [relaxed: written under the mutex]
  for (std::size_t i = 0; i < count; ++i) {
    if (i != kPlaceWord) kept[i].store(words[i], std::memory_order_relaxed);  // [relaxed: published with the place]
  }
  // [static:release] pairs with [static:acquire] in handle()
  kept[kPlaceWord].store(words[kPlaceWord], std::memory_order_release);
  if (slot.is_listed) return false;
  slot.is_listed = true;
  slot.words = kept;
  slot.next = std::exchange(first_slot, &slot);
  return true;
}

void forget_static(StaticSlot& slot) noexcept {
  const std::lock_guard lock(mutex);
  for (StaticSlot** at = &first_slot; *at != nullptr; at = &(*at)->next) {
    if (*at != &slot) continue;
    *at = slot.next;
    slot.is_listed = false;
    return;
  }
}

}  // namespace detail

namespace testing {

ScopedDefaultCollector::ScopedDefaultCollector(TelemetryConfig config) : collector_(std::move(config)) {
  const std::lock_guard lock(mutex);
  outer_ = std::exchange(innermost, this);
  show(&collector_);
}

ScopedDefaultCollector::~ScopedDefaultCollector() {
  const std::lock_guard lock(mutex);
  ScopedDefaultCollector** at = &innermost;
  while (*at != this) at = &(*at)->outer_;
  *at = outer_;
  // [relaxed: written under the mutex]
  show(innermost == nullptr ? own.load(std::memory_order_relaxed) : &innermost->collector_);
}

}  // namespace testing

}  // namespace pepper
