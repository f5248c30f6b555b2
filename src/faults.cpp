#include <pepper/testing.hpp>

#include "collector_impl.hpp"
#include "drain_lock.hpp"
#include "fork.hpp"

#include <new>

namespace pepper {

namespace detail {

void Collector::withhold_chunks() {
  require_settled();
  const DrainLock lock(drain_mutex_);
  place_.withhold_chunks();
}

void Collector::give_chunks_back() noexcept {
  (void)settle();
  const DrainLock lock(drain_mutex_);
  try {
    place_.give_chunks_back();
  } catch (const std::bad_alloc&) {  // the pool is smaller by what is left
  }
}

}  // namespace detail

namespace testing {

Faults::Faults(MetricsCollector& collector, Which which) : collector_(collector.collector_), which_(which) {
  if (which.no_free_chunk) collector_->withhold_chunks();
  if (which.no_memory) collector_->budget().refuse_all();
}

Faults::~Faults() {
  if (which_.no_memory) collector_->budget().refuse_no_more();
  if (which_.no_free_chunk) collector_->give_chunks_back();
}

}  // namespace testing
}  // namespace pepper
