#include <pepper/detail/rate_gate.hpp>

#include "collector_impl.hpp"

#include <atomic>
#include <memory>
#include <string_view>
#include <utility>

namespace pepper::detail {

/// The limits of one RateLimitedCollector, for as long as their collector lives.
class RateLimitGroup {
 public:
  RateLimitGroup(std::shared_ptr<Collector> core, double max_per_second) : core_(std::move(core)), max_per_second_(max_per_second) {}
  ~RateLimitGroup() {
    if (const auto core = core_.lock()) core->end_limits(number_);
  }
  RateLimitGroup(const RateLimitGroup&) = delete;
  RateLimitGroup& operator=(const RateLimitGroup&) = delete;

  [[nodiscard]] RateGate gate(std::string_view name, TagsView tags) const {
    const auto core = core_.lock();
    return core == nullptr ? RateGate{} : core->limit(number_, name, tags, max_per_second_);
  }

 private:
  [[nodiscard]] static std::uint64_t next_number() noexcept {
    static constinit std::atomic<std::uint64_t> last{0};
    return last.fetch_add(1, std::memory_order_relaxed) + 1;  // [relaxed: a number, guards no data]
  }

  const std::weak_ptr<Collector> core_;
  const double max_per_second_;
  const std::uint64_t number_ = next_number();
};

RateLimiter::RateLimiter(MetricsCollector& core, double max_per_second)
    : group_(std::make_shared<RateLimitGroup>(core.collector_, max_per_second)) {}

RateLimiter::~RateLimiter() = default;

RateGate RateLimiter::gate(std::string_view name, TagsView tags) const { return group_->gate(name, tags); }

}  // namespace pepper::detail
