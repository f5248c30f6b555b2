#include "collisions.hpp"

#include "ledger_families.hpp"
#include "legal.hpp"

#include <algorithm>
#include <utility>

namespace pepper::detail {

namespace {

std::string quoted(std::string_view name) { return '"' + legal_text(name) + '"'; }

}  // namespace

Collisions::Collisions(const PrometheusOptions& options) : options_(options) {
  if (!options.ledger) return;
  for (const prometheus::MetricFamily& family : ledger_families({}, 0)) claims_[family.name].push_back(nullptr);
}

void Collisions::say(std::string text) {
  const auto [at, is_new] = said_.insert(std::move(text));
  if (is_new) news_.push_back(*at);
}

std::vector<std::string> Collisions::see(const SeriesSnapshot& series) {
  news_.clear();
  Named& named = *groups_.try_emplace(std::string(series.name)).first;
  Group& group = named.second;
  group.has_distributed = group.has_distributed || is_distributed(series.kind);
  group.units.emplace(series.unit);
  see_sort(named, sort_of(series.kind), see_labels(series));
  see_name(named);
  return std::exchange(news_, {});
}

void Collisions::see_sort(Named& named, Sort sort, std::optional<Sort> before) {
  auto& series = named.second.series;
  if (before) --series[static_cast<std::size_t>(*before)];
  ++series[static_cast<std::size_t>(sort)];
  for (std::size_t other = 0; other < kSorts; ++other) {
    if (series[other] == 0 || other == static_cast<std::size_t>(sort)) continue;
    constexpr const char* kNames[kSorts] = {"counter", "gauge", "summary, histogram or timer"};
    say("series " + quoted(named.first) + " is with some tags a " + kNames[other] + ", with others a " +
        kNames[static_cast<std::size_t>(sort)] + ": Prometheus is shown those of one kind");
  }
}

void Collisions::see_name(Named& named) {
  auto& [name, group] = named;
  std::vector<std::string> samples;
  for (const Sort sort : {Sort::counter, Sort::gauge, Sort::values}) {
    if (group.series[static_cast<std::size_t>(sort)] == 0) continue;
    const prometheus::MetricType type = type_of(sort, group.has_distributed, shape_of(options_, name));
    for (const std::string& unit : group.units) {
      if (unit.empty() && group.units.size() > 1) continue;
      for (std::string& sample : sample_names(family_name(name, type, unit, options_.suffixes), type)) {
        if (!std::ranges::count(samples, sample)) samples.push_back(std::move(sample));
      }
    }
  }
  if (samples == group.samples) return;
  for (const std::string& sample : std::exchange(group.samples, std::move(samples))) std::erase(claims_[sample], &named);
  std::vector<const Named*> met;
  for (const std::string& sample : group.samples) {
    std::vector<const Named*>& owners = claims_[sample];
    if (!owners.empty() && !std::ranges::count(met, owners.front())) {
      met.push_back(owners.front());
      collide(named, owners.front(), sample);
    }
    owners.push_back(&named);
  }
}

void Collisions::collide(const Named& one, const Named* other, const std::string& sample) {
  const auto has_same = [](std::size_t a, std::size_t b) { return (a == 0) == (b == 0); };
  if (other == nullptr) {
    return say("series " + quoted(one.first) + " is not shown: to Prometheus its " + sample + " is that of the ledger");
  }
  const bool are_alike = one.second.samples == other->second.samples &&
                         std::ranges::equal(one.second.series, other->second.series, has_same) &&
                         &shape_of(options_, one.first) == &shape_of(options_, other->first);
  say("series " + quoted(one.first) + " and " + quoted(other->first) + " are both " + sample +
      " to Prometheus, which is shown one of them" + (are_alike ? " where their labels are the same" : ""));
}

std::optional<Sort> Collisions::see_labels(const SeriesSnapshot& series) {
  Labels labels;
  make_labels(series.tags, labels, [&](const Tag& tag, const std::string& label) {
    say("label " + quoted(tag.key) + " of series " + quoted(series.name) + " is shown as " + label + ": another label has its legal name");
  });
  std::string as_is(series.name);
  as_is += '\0';
  const std::string shown = as_is + key_of(labels);
  for (const Tag& tag : series.tags) as_is.append(tag.key).append(1, '\0').append(tag.value).append(1, '\0');
  const std::hash<std::string> hash;
  const Sort sort = sort_of(series.kind);
  const auto [at, is_new] = shown_.try_emplace(hash(shown), Shown{hash(as_is), sort});
  if (is_new) return {};
  if (at->second.series == hash(as_is)) return std::exchange(at->second.sort, sort);
  say("two series " + quoted(series.name) + " have the same labels to Prometheus, which is shown one of them");
  return {};
}

}  // namespace pepper::detail
