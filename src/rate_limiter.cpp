#include <pepper/detail/rate_gate.hpp>

#include "collector_impl.hpp"

#include <atomic>
#include <exception>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>

namespace pepper::detail {

/// The limits of one RateLimitedCollector, for as long as their collector lives.
class RateLimitGroup {
 public:
  RateLimitGroup(const std::shared_ptr<Collector>& core, double max_per_second) : core_(core), max_per_second_(max_per_second) {}
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

double checked_rate_limit(double rate) {
  if (rate == 0 || (rate >= 1e-6 && rate <= 1e12)) return rate;
  throw std::invalid_argument("RateLimitedCollector: max_per_second is " + std::to_string(rate) + "; it must be 0, or 1e-6 to 1e12");
}

RateLimiter::RateLimiter(MetricsCollector& core, double max_per_second)
    : group_(std::make_shared<RateLimitGroup>(core.collector_, max_per_second)) {}

RateLimiter::~RateLimiter() = default;

RateGate RateLimiter::gate(std::string_view name, TagsView tags) const { return group_->gate(name, tags); }

RateLimiter::Verdict RateLimiter::judge(const DynamicRecord& record) const noexcept {
  if (record.value != record.value) return Verdict::pass;
  try {
    return gate(record.name, record.tags).pass() ? Verdict::pass : Verdict::refuse;
  } catch (const std::invalid_argument&) {
    return Verdict::pass;
  } catch (const std::exception&) {
    return Verdict::no_room;
  }
}

}  // namespace pepper::detail
