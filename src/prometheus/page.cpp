#include "page.hpp"

#include "borders.hpp"
#include "ledger_families.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

namespace pepper::detail {

namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;

[[noreturn]] void refuse(const std::string& field, double value, const char* wanted) {
  char digits[32];
  const auto end = std::to_chars(digits, digits + sizeof digits, value).ptr;
  throw std::invalid_argument("PrometheusOptions::" + field + ": " + std::string(digits, end) + ": " + wanted);
}

void check(const PrometheusShape& shape, const std::string& field) {
  for (std::size_t i = 0; i < shape.buckets.size(); ++i) {
    const double border = shape.buckets[i];
    if (!std::isfinite(border)) refuse(field + ".buckets", border, "must be finite");
    if (i != 0 && !(shape.buckets[i - 1] < border)) refuse(field + ".buckets", border, "must be above the one before");
  }
  for (const double quantile : shape.quantiles) {
    if (!(quantile >= 0 && quantile <= 1)) refuse(field + ".quantiles", quantile, "must be in [0, 1]");
  }
}

/// Records and what was filled back: what the buckets hold, and what is missing there. Rounded as they are.
std::uint64_t count_of(const SeriesSnapshot& series) {
  if (series.parts.empty()) return series.count + series.distribution.backfilled();
  return series.parts.estimate([&](std::size_t at) {
    const SampledPart part = series.parts[at];
    return part.recorded + part.distribution.backfilled();
  });
}

/// How many are at most each border, each record at the weight of its own part: at one that all share, which moves with their shares, they
/// would go down as others are recorded.
std::vector<std::uint64_t> estimated_up_to(const SeriesSnapshot& series, const std::vector<double>& borders) {
  if (series.parts.empty()) return counts_up_to(series.distribution, borders);
  std::vector<std::vector<std::uint64_t>> kept;
  for (std::size_t at = 0; at < series.parts.size(); ++at) kept.push_back(counts_up_to(series.parts[at].distribution, borders));
  std::vector<std::uint64_t> counts;
  for (std::size_t i = 0; i < borders.size(); ++i) counts.push_back(series.parts.estimate([&](std::size_t at) { return kept[at][i]; }));
  return counts;
}

void fill_summary(const SeriesSnapshot& series, const PrometheusShape& shape, ClientMetric::Summary& summary) {
  summary.sample_count = count_of(series);
  summary.sample_sum = series.sum;
  if (series.distribution.count() == 0) return;
  summary.quantile.reserve(shape.quantiles.size());
  for (const double quantile : shape.quantiles) summary.quantile.push_back({quantile, series.quantile(quantile)});
}

void fill_histogram(const SeriesSnapshot& series, const std::vector<double>& borders, ClientMetric::Histogram& histogram) {
  histogram.sample_count = count_of(series);
  histogram.sample_sum = series.sum;
  if (histogram.sample_count != 0 && series.distribution.count() == 0) return;  // all that is known is that it is below infinity
  const std::vector<std::uint64_t> counts = estimated_up_to(series, borders);
  histogram.bucket.reserve(borders.size());
  for (std::size_t i = 0; i < borders.size(); ++i) histogram.bucket.push_back({std::min(histogram.sample_count, counts[i]), borders[i]});
}

void fill(Plan::Family& of) {
  MetricFamily& family = of.family;
  std::vector<double> borders;
  if (family.type == MetricType::Histogram) {
    Borders found;
    for (const SeriesSnapshot& series : of.series) found.see(series.distribution, series.min, series.max);
    borders = found.settle(of.shape->buckets);
  }
  for (std::size_t i = 0; i < of.series.size(); ++i) {
    const SeriesSnapshot& series = of.series[i];
    ClientMetric& metric = family.metric[i];
    if (family.type == MetricType::Counter) {
      metric.counter.value = series.sum;
    } else if (family.type == MetricType::Gauge) {
      metric.gauge.value = series.last;
    } else if (family.type == MetricType::Summary) {
      fill_summary(series, *of.shape, metric.summary);
    } else {
      fill_histogram(series, borders, metric.histogram);
    }
  }
}

/// A gauge that was never set has no value.
void drop_unset(Plan::Family& of) {
  std::size_t kept = 0;
  for (std::size_t i = 0; i < of.series.size(); ++i) {
    if (of.series[i].count == 0) continue;
    if (kept != i) {
      of.family.metric[kept] = std::move(of.family.metric[i]);
      of.series[kept] = of.series[i];
    }
    ++kept;
  }
  of.family.metric.resize(kept);
  of.series.resize(kept);
}

}  // namespace

void check(const PrometheusOptions& options) {
  check(options.shape, "shape");
  for (const auto& [name, shape] : options.shapes) check(shape, "shapes[\"" + name + "\"]");
}

std::vector<MetricFamily> make_page(const Snapshot& snapshot, const PrometheusOptions& options, Plan plan) {
  std::vector<MetricFamily> page;
  page.reserve(plan.families.size() + 16);
  for (Plan::Family& family : plan.families) {
    if (family.family.type == MetricType::Gauge) drop_unset(family);
    if (family.series.empty()) continue;
    fill(family);
    page.push_back(std::move(family.family));
  }
  if (options.ledger) {
    for (MetricFamily& family : ledger_families(snapshot.stats(), plan.left_out)) {
      if (!family.metric.empty()) page.push_back(std::move(family));
    }
  }
  return page;
}

}  // namespace pepper::detail
