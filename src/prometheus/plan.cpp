#include "ledger_families.hpp"
#include "legal.hpp"
#include "page.hpp"

#include <algorithm>
#include <cstdint>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <utility>

namespace pepper::detail {

namespace {

using prometheus::ClientMetric;
using prometheus::MetricType;

/// The series of one name, which are neighbours in a snapshot. One without distributions among them is a histogram of one bucket.
struct Group {
  std::vector<SeriesSnapshot> series;
  MetricType type = MetricType::Untyped;
  const PrometheusShape* shape = nullptr;
  std::string name{};
  bool is_renamed = false;

  [[nodiscard]] std::string_view pepper_name() const { return series.front().name; }
};

enum class Sort : std::uint8_t { counter, gauge, values };

Sort sort_of(Kind kind) noexcept { return kind == Kind::counter ? Sort::counter : kind == Kind::gauge ? Sort::gauge : Sort::values; }

std::string quoted(std::string_view name) { return '"' + legal_text(name) + '"'; }

bool ends_in(std::string_view name, std::string_view last) {
  return name == last || (name.size() > last.size() && name.ends_with(last) && name[name.size() - last.size() - 1] == '_');
}

void append_once(std::string& name, std::string_view last) {
  if (!last.empty() && !ends_in(name, last)) name.append("_").append(last);
}

class Planner {
 public:
  Planner(const Snapshot& snapshot, const PrometheusOptions& options) : options_(options) {
    if (options.ledger) {
      for (const prometheus::MetricFamily& family : ledger_families(snapshot.stats(), 0)) claimed_.emplace(family.name, "of the ledger");
    }
    for (const SeriesSnapshot& series : snapshot) {
      if (groups_.empty() || groups_.back().pepper_name() != series.name) groups_.emplace_back();
      groups_.back().series.push_back(series);
    }
  }

  Plan make() {
    for (Group& group : groups_) settle(group);
    for (const bool is_renamed : {false, true}) {
      for (Group& group : groups_) {
        if (group.is_renamed == is_renamed) place(group);
      }
    }
    return std::move(plan_);
  }

 private:
  void settle(Group& group) const {
    const auto shape = options_.shapes.find(group.pepper_name());
    group.shape = shape == options_.shapes.end() ? &options_.shape : &shape->second;
    const Sort sort = sort_of(group.series.front().kind);
    const auto is_distributed = [](const SeriesSnapshot& series) { return series.kind == Kind::histogram || series.kind == Kind::timer; };
    const bool is_histogram = group.shape->type == PrometheusType::histogram && std::ranges::any_of(group.series, is_distributed);
    group.type = sort == Sort::counter ? MetricType::Counter
                 : sort == Sort::gauge ? MetricType::Gauge
                 : is_histogram        ? MetricType::Histogram
                                       : MetricType::Summary;
    group.name = legal_metric_name(group.pepper_name());
    group.is_renamed = group.name != group.pepper_name();
    if (!options_.suffixes) return;
    const bool is_counter = group.type == MetricType::Counter;
    if (is_counter && ends_in(group.name, "total") && group.name.size() > 6) group.name.resize(group.name.size() - 6);
    std::string unit = legal_metric_name(unit_of(group));
    if (unit.starts_with('_')) unit.erase(0, 1);
    append_once(group.name, unit);
    if (is_counter) append_once(group.name, "total");
    group.is_renamed = group.name != group.pepper_name();
  }

  static std::string_view unit_of(const Group& group) {
    const auto found = std::ranges::find_if(group.series, [](const SeriesSnapshot& series) { return !series.unit.empty(); });
    return found == group.series.end() ? std::string_view{} : found->unit;
  }

  static std::string help_of(const Group& group) {
    const auto found = std::ranges::find_if(group.series, [](const SeriesSnapshot& series) { return !series.help.empty(); });
    std::string help = legal_help(found == group.series.end() ? group.pepper_name() : found->help);
    const std::string unit = legal_help(unit_of(group));
    if (!unit.empty() && group.name.find(unit) == std::string::npos) help.append(" (").append(unit).append(")");
    return help;
  }

  /// The names of its samples.
  static std::vector<std::string> claims(const Group& group) {
    std::vector<std::string> names{group.name};
    if (group.type == MetricType::Summary || group.type == MetricType::Histogram) {
      names.insert(names.end(), {group.name + "_sum", group.name + "_count"});
    }
    if (group.type == MetricType::Histogram) names.push_back(group.name + "_bucket");
    return names;
  }

  void leave_out(std::size_t series, std::string collision) {
    plan_.left_out += series;
    plan_.collisions.push_back(std::move(collision));
  }

  void place(const Group& group) {
    const auto known = families_.find(group.name);
    if (known != families_.end()) {
      Plan::Family& family = plan_.families[known->second];
      if (family.family.type == group.type && family.shape == group.shape) return add(group, family, true);
    }
    for (const std::string& claim : claims(group)) {
      const auto owner = claimed_.find(claim);
      if (owner == claimed_.end()) continue;
      return leave_out(group.series.size(),
                       "series " + quoted(group.pepper_name()) + " is not shown: to Prometheus its " + claim + " is that " + owner->second);
    }
    for (std::string& claim : claims(group)) claimed_.emplace(std::move(claim), "of " + quoted(group.pepper_name()));
    families_.emplace(group.name, plan_.families.size());
    Plan::Family& family = plan_.families.emplace_back();
    family.family = {group.name, help_of(group), group.type, {}};
    family.shape = group.shape;
    add(group, family, false);
  }

  void add(const Group& group, Plan::Family& family, bool has_others) {
    family.series.reserve(family.series.size() + group.series.size());
    family.family.metric.reserve(family.family.metric.size() + group.series.size());
    const Sort sort = sort_of(group.series.front().kind);
    // What pepper tells apart stays apart unless something was renamed: then each must be looked at.
    bool is_suspect = has_others;
    const std::size_t first = family.series.size();
    for (const SeriesSnapshot& series : group.series) {
      if (sort_of(series.kind) != sort) {
        leave_out(1, "a series " + quoted(series.name) + " is not shown: it is a " + std::string(to_string(series.kind)) + ", others a " +
                         std::string(to_string(group.series.front().kind)));
        continue;
      }
      ClientMetric& metric = family.family.metric.emplace_back();
      is_suspect = label(series, family.family.type, metric) || is_suspect;
      family.series.push_back(series);
    }
    if (is_suspect) drop_repeated(family, first);
  }

  /// True: not as pepper has them.
  bool label(const SeriesSnapshot& series, MetricType type, ClientMetric& metric) {
    bool is_changed = false;
    metric.label.reserve(series.tags.size());
    std::vector<const Tag*> renamed;
    for (const Tag& tag : series.tags) {
      if (is_legal(tag.key, type)) {
        metric.label.push_back({std::string(tag.key), legal_text(tag.value)});
        is_changed = is_changed || metric.label.back().value != tag.value;
      } else {
        renamed.push_back(&tag);
      }
    }
    for (const Tag* const tag : renamed) {
      std::string name = legal_label_name(tag->key);
      const auto is_taken = [&] {
        return !is_legal(name, type) ||
               std::ranges::any_of(metric.label, [&](const ClientMetric::Label& label) { return label.name == name; });
      };
      bool has_collided = false;
      while (is_taken()) {
        has_collided = is_legal(name, type);
        name += '_';
      }
      if (has_collided) {
        plan_.collisions.push_back("label " + quoted(tag->key) + " of series " + quoted(series.name) + " is shown as " + name +
                                   ": another label has its legal name");
      }
      metric.label.push_back({std::move(name), legal_text(tag->value)});
      is_changed = true;
    }
    return is_changed;
  }

  static bool is_legal(std::string_view key, MetricType type) {
    if (type == MetricType::Histogram && key == "le") return false;
    if (type == MetricType::Summary && key == "quantile") return false;
    return legal_label_name(key) == key;
  }

  /// Those from `first` on that have the labels of one before.
  void drop_repeated(Plan::Family& family, std::size_t first) {
    std::unordered_set<std::string> seen;
    std::vector<ClientMetric>& metrics = family.family.metric;
    std::size_t kept = 0;
    for (std::size_t i = 0; i < metrics.size(); ++i) {
      std::vector<ClientMetric::Label> labels = metrics[i].label;
      std::ranges::sort(labels, {}, &ClientMetric::Label::name);
      std::string key;
      for (const ClientMetric::Label& label : labels) key.append(label.name).append(1, '\0').append(label.value).append(1, '\0');
      if (!seen.insert(std::move(key)).second && i >= first) {
        leave_out(1, "a series " + quoted(family.series[i].name) + " is not shown: to Prometheus its name and labels are those of another");
        continue;
      }
      if (kept != i) {
        metrics[kept] = std::move(metrics[i]);
        family.series[kept] = family.series[i];
      }
      ++kept;
    }
    metrics.resize(kept);
    family.series.resize(kept);
  }

  const PrometheusOptions& options_;
  std::vector<Group> groups_;
  std::unordered_map<std::string, std::string> claimed_;  ///< names of samples, and whose they are
  std::unordered_map<std::string, std::size_t> families_;
  Plan plan_;
};

}  // namespace

Plan make_plan(const Snapshot& snapshot, const PrometheusOptions& options) { return Planner(snapshot, options).make(); }

}  // namespace pepper::detail
