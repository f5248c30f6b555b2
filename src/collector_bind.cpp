#include "clock.hpp"
#include "collector_impl.hpp"
#include "config_check.hpp"

#include <stdexcept>
#include <string>

namespace pepper::detail {

const SeriesEntry& Collector::intern(Kind kind, std::string_view name, TagsView tags, const SeriesOptions& options) {
  check(options, kind);
  require_settled();
  const SeriesKey key(name, tags);
  if (const SeriesKey::Refusal refusal = key.refusal(); refusal.reason != nullptr) {
    throw std::invalid_argument(std::string("a series: ") + refusal.reason + ": " + quoted(refusal.text));
  }
  if (kind == Kind::timer) (void)seconds_per_tick();  // calibrates the clock here, and not at its first record
  const Registry::Interned interned = registry_->intern(key, kind, options, true);
  if (interned.is_conflict) {
    bind_conflicts_.fetch_add(1, std::memory_order_relaxed);  // [relaxed: a number, guards no data]
    errors_->report(
        "bind",
        {"series \"", name, "\" was bound before with another kind, unit, help, max_buckets, expected_interval or check; the first stays"});
  }
  start_flusher();
  watch_.tell();
  return *interned.entry;
}

Collector::Bound Collector::bind(Kind kind, std::string_view name, TagsView tags, const SeriesOptions& options) {
  bool is_weighted = false;
  return bind(kind, name, tags, options, 1, is_weighted);
}

Collector::Bound Collector::bind(Kind kind, std::string_view name, TagsView tags, const SeriesOptions& options, double weight,
                                 bool& is_weighted) {
  const auto alive = weak_from_this().lock();  // on_error may destroy the MetricsCollector
  const SeriesEntry& whole = intern(kind, name, tags, options);
  const SeriesEntry* const part = weight == 1 ? nullptr : registry_->intern_part(whole, weight);
  is_weighted = part != nullptr;
  const SeriesEntry& entry = is_weighted ? *part : whole;
  // [tickets:acquire] pairs with [tickets:release] in Registry::give_tickets()
  std::atomic<std::uint32_t>* const tickets = place_.tickets(entry.tickets.load(std::memory_order_acquire));
  // [extra:acquire] pairs with [extra:release] in Registry::use_extra(). A gauge's handle where the first bind wanted times has tickets.
  if (entry.extra_use.load(std::memory_order_acquire) == ExtraUse::time && kind != Kind::gauge)
    return {{make_head(entry.number, static_cast<std::uint32_t>(place_.offset())), kTimedPlace}, tickets};
  return {{make_head(entry.number, kExtraPlain), place_.offset()}, tickets};
}

RateGate Collector::limit(std::uint64_t group, std::string_view name, TagsView tags, double max_per_second) {
  require_settled();
  const SeriesKey key(name, tags);
  if (key.refusal().reason != nullptr) throw std::invalid_argument("a series that is none");  // whoever binds it is told more
  const auto alive = weak_from_this().lock();                                                 // as in bind()
  const SeriesEntry& entry = *registry_->intern(key, Kind::summary, {}, false).entry;
  start_flusher();  // its looks are what fills budgets up
  watch_.tell();
  return rate_limits_.get(group, entry.number - place_.series().base(), max_per_second);
}

SignalCell& Collector::bind_signal(std::string_view name, TagsView tags, const SeriesOptions& options) {
  const auto alive = weak_from_this().lock();  // as in bind()
  return registry_->signal_cell(intern(Kind::counter, name, tags, options));
}

}  // namespace pepper::detail
