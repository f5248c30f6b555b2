#include "family.hpp"

#include "legal.hpp"

#include <algorithm>
#include <utility>

namespace pepper::detail {

namespace {

using prometheus::ClientMetric;
using prometheus::MetricType;

bool ends_in(std::string_view name, std::string_view last) {
  return name == last || (name.size() > last.size() && name.ends_with(last) && name[name.size() - last.size() - 1] == '_');
}

void append_once(std::string& name, std::string_view last) {
  if (!last.empty() && !ends_in(name, last)) name.append("_").append(last);
}

bool may_be_label(std::string_view key) { return key != "le" && key != "quantile" && legal_label_name(key) == key; }

}  // namespace

Sort sort_of(Kind kind) noexcept { return kind == Kind::counter ? Sort::counter : kind == Kind::gauge ? Sort::gauge : Sort::values; }

const PrometheusShape& shape_of(const PrometheusOptions& options, std::string_view name) {
  const auto own = options.shapes.find(name);
  return own == options.shapes.end() ? options.shape : own->second;
}

MetricType type_of(Sort sort, bool has_distributed, const PrometheusShape& shape) noexcept {
  if (sort == Sort::counter) return MetricType::Counter;
  if (sort == Sort::gauge) return MetricType::Gauge;
  return has_distributed && shape.type == PrometheusType::histogram ? MetricType::Histogram : MetricType::Summary;
}

std::string family_name(std::string_view name, MetricType type, std::string_view unit, bool has_suffixes) {
  std::string family = legal_metric_name(name);
  if (!has_suffixes) return family;
  const bool is_counter = type == MetricType::Counter;
  if (is_counter && ends_in(family, "total") && family.size() > 6) family.resize(family.size() - 6);
  if (!unit.empty()) {
    const std::string legal = legal_metric_name(unit);
    append_once(family, std::string_view(legal).substr(legal.starts_with('_') ? 1 : 0));
  }
  if (is_counter) append_once(family, "total");
  return family;
}

std::vector<std::string> sample_names(const std::string& family, MetricType type) {
  std::vector<std::string> names{family};
  if (type == MetricType::Summary || type == MetricType::Histogram) names.insert(names.end(), {family + "_sum", family + "_count"});
  if (type == MetricType::Histogram) names.push_back(family + "_bucket");
  return names;
}

bool make_labels(std::span<const Tag> tags, Labels& labels, const std::function<void(const Tag&, const std::string&)>& on_moved) {
  bool is_changed = false;
  labels.reserve(tags.size());
  std::vector<const Tag*> renamed;
  for (const Tag& tag : tags) {
    if (may_be_label(tag.key)) {
      labels.push_back({std::string(tag.key), legal_text(tag.value)});
      is_changed = is_changed || tag.value.empty() || labels.back().value != tag.value;
    } else {
      renamed.push_back(&tag);
    }
  }
  for (const Tag* const tag : renamed) {
    std::string name = legal_label_name(tag->key);
    bool has_moved = false;
    const auto is_taken = [&] { return std::ranges::any_of(labels, [&](const ClientMetric::Label& label) { return label.name == name; }); };
    while (!may_be_label(name) || is_taken()) {
      has_moved = may_be_label(name);
      name += name == "_" ? '0' : '_';  // two in front are Prometheus' own
    }
    if (has_moved && on_moved) on_moved(*tag, name);
    labels.push_back({std::move(name), legal_text(tag->value)});
    is_changed = true;
  }
  return is_changed;
}

std::string key_of(const Labels& labels) {
  std::vector<const ClientMetric::Label*> sorted;
  sorted.reserve(labels.size());
  for (const ClientMetric::Label& label : labels) {
    if (!label.value.empty()) sorted.push_back(&label);
  }
  std::ranges::sort(sorted, {}, [](const ClientMetric::Label* label) -> const std::string& { return label->name; });
  std::string key;
  for (const ClientMetric::Label* const label : sorted) key.append(label->name).append(1, '\0').append(label->value).append(1, '\0');
  return key;
}

}  // namespace pepper::detail
