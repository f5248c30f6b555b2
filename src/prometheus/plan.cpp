#include "family.hpp"
#include "ledger_families.hpp"
#include "legal.hpp"
#include "page.hpp"

#include <algorithm>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <utility>

namespace pepper::detail {

namespace {

using prometheus::ClientMetric;
using prometheus::MetricType;

/// The series of one name, which are neighbours in a snapshot.
struct Group {
  std::vector<SeriesSnapshot> series;
  MetricType type = MetricType::Untyped;
  const PrometheusShape* shape = nullptr;
  std::string name{};
  bool is_renamed = false;

  [[nodiscard]] std::string_view pepper_name() const { return series.front().name; }
};

class Planner {
 public:
  Planner(const Snapshot& snapshot, const PrometheusOptions& options) : options_(options) {
    if (options.ledger) {
      for (prometheus::MetricFamily& family : ledger_families(snapshot.stats(), 0)) claimed_.insert(std::move(family.name));
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
    group.shape = &shape_of(options_, group.pepper_name());
    const bool has_distributed =
        std::ranges::any_of(group.series, [](const SeriesSnapshot& series) { return is_distributed(series.kind); });
    group.type = type_of(sort_of(group.series.front().kind), has_distributed, *group.shape);
    group.name = family_name(group.pepper_name(), group.type, unit_of(group), options_.suffixes);
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

  void place(const Group& group) {
    const auto known = families_.find(group.name);
    if (known != families_.end()) {
      Plan::Family& family = plan_.families[known->second];
      if (family.family.type == group.type && family.shape == group.shape) return add(group, family, true);
    }
    std::vector<std::string> names = sample_names(group.name, group.type);
    if (std::ranges::any_of(names, [this](const std::string& name) { return claimed_.contains(name); })) {
      plan_.left_out += group.series.size();
      return;
    }
    for (std::string& name : names) claimed_.insert(std::move(name));
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
        ++plan_.left_out;
        continue;
      }
      ClientMetric& metric = family.family.metric.emplace_back();
      is_suspect = make_labels(series.tags, metric.label) || is_suspect;
      family.series.push_back(series);
    }
    if (is_suspect) drop_repeated(family, first);
  }

  /// Those from `first` on that have the labels of one before.
  void drop_repeated(Plan::Family& family, std::size_t first) {
    std::unordered_set<std::string> seen;
    std::vector<ClientMetric>& metrics = family.family.metric;
    std::size_t kept = 0;
    for (std::size_t i = 0; i < metrics.size(); ++i) {
      if (!seen.insert(key_of(metrics[i].label)).second && i >= first) continue;
      if (kept != i) {
        metrics[kept] = std::move(metrics[i]);
        family.series[kept] = family.series[i];
      }
      ++kept;
    }
    plan_.left_out += metrics.size() - kept;
    metrics.resize(kept);
    family.series.resize(kept);
  }

  const PrometheusOptions& options_;
  std::vector<Group> groups_;
  std::unordered_set<std::string> claimed_;  ///< names of samples
  std::unordered_map<std::string, std::size_t> families_;
  Plan plan_;
};

}  // namespace

Plan make_plan(const Snapshot& snapshot, const PrometheusOptions& options) { return Planner(snapshot, options).make(); }

}  // namespace pepper::detail
