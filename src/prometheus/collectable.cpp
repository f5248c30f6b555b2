#include <pepper/prometheus.hpp>

#include "collisions.hpp"
#include "page.hpp"

#include <prometheus/collectable.h>

#include <cstdio>
#include <exception>
#include <memory>
#include <new>
#include <string>
#include <utility>
#include <vector>

namespace pepper {

namespace {

/// Where trouble goes, and what of it was said. Thread-safe.
class Voice {
 public:
  explicit Voice(PrometheusOptions options) : options_(std::move(options)) { detail::check(options_); }

  [[nodiscard]] const PrometheusOptions& options() const noexcept { return options_; }

  /// By one thread at a time.
  void see(const SeriesSnapshot& series) {
    if (is_seeing_) return;  // in a child that was forked in the midst of it
    is_seeing_ = true;
    std::vector<std::string> news;
    try {
      news = collisions_.see(series);
    } catch (const std::bad_alloc&) {  // that one is not looked at
    }
    is_seeing_ = false;
    for (const std::string& one : news) say(one);
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

 private:
  const PrometheusOptions options_;
  detail::Collisions collisions_{options_};
  bool is_seeing_ = false;
};

class Page final : public prometheus::Collectable {
 public:
  Page(MetricsCollector& collector, PrometheusOptions options)
      : voice_(std::make_shared<Voice>(std::move(options))), read_(collector.reader()) {
    // With a share of its own: on_error may let go of the page.
    names_ = collector.on_series([voice = voice_](const SeriesSnapshot& series) { voice->see(series); });
  }

  /// Called through C: throws nothing.
  [[nodiscard]] std::vector<prometheus::MetricFamily> Collect() const override {
    try {
      const auto snapshot = read_();
      if (snapshot == nullptr) return {};
      return detail::make_page(*snapshot, voice_->options(), detail::make_plan(*snapshot, voice_->options()));
    } catch (const std::exception& error) {
      voice_->say(std::string("a scrape failed: ") + error.what());
    } catch (...) {
      voice_->say("a scrape failed");
    }
    return {};
  }

 private:
  const std::shared_ptr<Voice> voice_;
  const std::function<std::shared_ptr<const Snapshot>()> read_;
  Subscription names_;
};

}  // namespace

std::shared_ptr<prometheus::Collectable> prometheus_collectable(MetricsCollector& collector, PrometheusOptions options) {
  return std::make_shared<Page>(collector, std::move(options));
}

}  // namespace pepper
