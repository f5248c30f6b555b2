#include <pepper/prometheus.hpp>

#include "page.hpp"

#include <prometheus/collectable.h>

#include <cstdio>
#include <exception>
#include <mutex>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace pepper {

namespace {

class Page final : public prometheus::Collectable {
 public:
  Page(MetricsCollector& collector, PrometheusOptions options) : options_(std::move(options)), read_(collector.reader()) {
    detail::check(options_);
    look(*collector.snapshot());
    names_ = collector.on_snapshot([this](const Snapshot& snapshot) { look(snapshot); });
  }

  /// Called through C: throws nothing.
  [[nodiscard]] std::vector<prometheus::MetricFamily> Collect() const override {
    try {
      const auto snapshot = read_();
      if (snapshot == nullptr) return {};
      detail::Plan plan = detail::make_plan(*snapshot, options_);
      (void)report(plan.collisions);
      return detail::make_page(*snapshot, options_, std::move(plan));
    } catch (const std::exception& error) {
      say(std::string("a scrape failed: ") + error.what());
    } catch (...) {
      say("a scrape failed");
    }
    return {};
  }

 private:
  /// Series are never taken back, but can change their kind and shape once: where they are as many as before, the next scrape sees it.
  void look(const Snapshot& snapshot) {
    if (looked_at_ == snapshot.size()) return;
    if (report(detail::make_plan(snapshot, options_).collisions)) looked_at_ = snapshot.size();
  }

  /// What was not said yet. False: somebody else is at it, the next time will do. Never waits: in a child it would for a thread that is not
  /// there.
  bool report(const std::vector<std::string>& collisions) const {
    std::vector<std::string> news;
    {
      const std::unique_lock lock(mutex_, std::try_to_lock);
      if (!lock.owns_lock()) return false;
      for (const std::string& collision : collisions) {
        if (said_.insert(collision).second) news.push_back(collision);
      }
    }
    for (const std::string& collision : news) say(collision);
    return true;
  }

  void say(const std::string& what) const noexcept {
    try {
      if (options_.on_error) {
        options_.on_error(what);
      } else {
        std::fprintf(stderr, "pepper (prometheus): %s\n", what.c_str());
      }
    } catch (...) {  // it has been told
    }
  }

  const PrometheusOptions options_;
  const std::function<std::shared_ptr<const Snapshot>()> read_;
  std::size_t looked_at_ = 0;  // by one callback at a time
  mutable std::mutex mutex_;
  mutable std::set<std::string> said_;
  Subscription names_;  // the last: it must be gone before what it uses
};

}  // namespace

std::shared_ptr<prometheus::Collectable> prometheus_collectable(MetricsCollector& collector, PrometheusOptions options) {
  return std::make_shared<Page>(collector, std::move(options));
}

}  // namespace pepper
