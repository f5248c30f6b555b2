#pragma once

#include "contract.hpp"
#include "prometheus_page.hpp"

#include <pepper/prometheus.hpp>
#include <prometheus/collectable.h>
#include <prometheus/text_serializer.h>

#include <limits>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

/// What the tests of pages share.
namespace shown {

using namespace pepper;
using prometheus_page::Labels;
using prometheus_page::Page;

inline constexpr double kInfinity = std::numeric_limits<double>::infinity();

/// A collector and its page.
class Shown {
 public:
  explicit Shown(PrometheusOptions options = {}) : options_(std::move(options)) {
    options_.on_error = [this](std::string_view what) {
      const std::lock_guard lock(mutex_);
      said_.emplace_back(what);
    };
  }

  MetricsCollector collector{contract::manual()};

  /// Flushes before it.
  Page page() { return Page(text()); }
  std::string text() {
    (void)collector.flush();
    if (page_ == nullptr) page_ = prometheus_collectable(collector, options_);
    return prometheus::TextSerializer().Serialize(page_->Collect());
  }
  std::vector<std::string> said() {
    const std::lock_guard lock(mutex_);
    return said_;
  }

 private:
  PrometheusOptions options_;
  std::mutex mutex_;
  std::vector<std::string> said_;
  std::shared_ptr<prometheus::Collectable> page_;
};

inline PrometheusOptions with_buckets(std::vector<double> buckets) {
  PrometheusOptions options;
  options.shape.buckets = std::move(buckets);
  return options;
}

}  // namespace shown
