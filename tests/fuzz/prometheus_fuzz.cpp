#include "../prometheus_page.hpp"

#include <pepper/prometheus.hpp>
#include <prometheus/collectable.h>
#include <prometheus/text_serializer.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>

/// Reads its input as series with any names, tags, units, helps and values, and shows them. Aborts where the page cannot be read back, has
/// a line of somebody else's, or where not every series is on it, or counted as missing and said to be.

using namespace pepper;

namespace {

[[noreturn]] void fail(const std::string& what, const std::string& page) {
  std::fprintf(stderr, "prometheus_fuzz.cpp: %s\n%s\n", what.c_str(), page.c_str());
  std::abort();
}

/// Empty and zero once it is at its end.
class Input {
 public:
  explicit Input(std::string_view bytes) : bytes_(bytes) {}
  [[nodiscard]] bool is_at_end() const { return bytes_.empty(); }
  std::uint8_t byte() {
    if (bytes_.empty()) return 0;
    const auto byte = static_cast<std::uint8_t>(bytes_.front());
    bytes_.remove_prefix(1);
    return byte;
  }
  std::string_view text(std::size_t most) {
    const std::size_t size = std::min({most, std::size_t{byte()} * 5, bytes_.size()});
    const std::string_view text = bytes_.substr(0, size);
    bytes_.remove_prefix(size);
    return text;
  }
  double value() {
    double value = 0;
    const std::size_t size = std::min(sizeof value, bytes_.size());
    if (size != 0) std::memcpy(&value, bytes_.data(), size);
    bytes_.remove_prefix(size);
    return value;
  }

 private:
  std::string_view bytes_;
};

void add_series(MetricsCollector& collector, Input& input) {
  constexpr std::string_view kNames[] = {"a.b", "a_b", "a_b_sum", "a_b_count", "a_b_bucket", "pepper_series", "__name__", "a:b"};
  const std::uint8_t what = input.byte();
  const std::string_view name = what < 128 ? kNames[what % 8] : input.text(255);
  Tag tags[3];
  const std::size_t size = input.byte() % 4;
  constexpr std::string_view kKeys[] = {"le", "quantile", "a.b", "a_b", "__name__", "a:b", "k", "\xff"};
  for (std::size_t i = 0; i < size; ++i) {
    const std::uint8_t key = input.byte();
    tags[i].key = key < 128 ? kKeys[key % 8] : input.text(255);
    tags[i].value = input.text(1024);
  }
  const SeriesOptions options{.unit = input.text(255), .help = input.text(1024), .relative_error = 0.1, .max_buckets = 64};
  const TagsView view{std::span(tags, size)};
  const double value = input.value();
  try {
    switch (what / 8 % 4) {
      case 0:
        return collector.counter(name, view, options).add(value);
      case 1:
        return collector.gauge(name, view, options).set(value);
      case 2:
        return collector.summary(name, view, options).record(value);
      default:
        return collector.histogram(name, view, options).record({value, value * 2, 1.0});
    }
  } catch (const std::invalid_argument&) {  // no name of a series
  }
}

/// Those of the ledger left out.
std::size_t series_on(const prometheus_page::Page& page) {
  MetricsCollector empty({.flush_mode = FlushMode::manual});
  static const prometheus_page::Page ledger(prometheus::TextSerializer().Serialize(prometheus_collectable(empty)->Collect()));
  std::size_t series = 0;
  for (const auto& [name, family] : page.families) {
    if (ledger.families.contains(name) || name == "pepper_losses_total") continue;
    const bool has_parts = family.type == "summary" || family.type == "histogram";
    for (const auto& sample : family.samples) series += sample.name == (has_parts ? name + "_count" : name);
  }
  return series;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input input({reinterpret_cast<const char*>(data), size});
  TelemetryConfig config;
  config.flush_mode = FlushMode::manual;
  config.on_error = [](std::string_view) {};
  MetricsCollector collector(config);
  PrometheusOptions options;
  const std::uint8_t how = input.byte();
  options.suffixes = how % 2 == 1;
  if (how / 2 % 2 == 1) options.shape.type = PrometheusType::summary;
  if (how / 4 % 2 == 1) options.shape.buckets = {-1, 0, 1e-3, 1, 1e3};
  bool has_said = false;
  options.on_error = [&has_said](std::string_view) { has_said = true; };
  const bool is_early = how / 8 % 2 == 1;
  auto page = is_early ? prometheus_collectable(collector, options) : nullptr;
  for (int i = 0; i < 64 && !input.is_at_end(); ++i) add_series(collector, input);
  const auto snapshot = collector.flush();
  if (!is_early) page = prometheus_collectable(collector, options);
  const std::string text = prometheus::TextSerializer().Serialize(page->Collect());
  try {
    const prometheus_page::Page read(text);
    const auto missing = static_cast<std::size_t>(read.value("pepper_series_not_shown"));
    const auto unset = static_cast<std::size_t>(
        std::ranges::count_if(*snapshot, [](const SeriesSnapshot& series) { return series.kind == Kind::gauge && series.count == 0; }));
    if (missing != 0 && !has_said) fail(std::to_string(missing) + " series are missing, and nothing was said", text);
    const std::size_t shown = series_on(read);
    if (shown + missing > snapshot->size() || shown + missing + unset < snapshot->size()) {
      fail(std::to_string(shown) + " series shown, " + std::to_string(missing) + " missing, of " + std::to_string(snapshot->size()), text);
    }
  } catch (const std::exception& error) {
    fail(error.what(), text);
  }
  return 0;
}
