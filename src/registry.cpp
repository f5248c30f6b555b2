#include "registry.hpp"

#include <algorithm>
#include <limits>
#include <mutex>
#include <new>
#include <utility>

namespace pepper::detail {

/// Open addressing, at most half full. A slot is the hash's upper half and the index + 1; 0: empty. Filled slots never change, until the
/// table has a successor: then its memory goes, and whoever still searches there finds all slots empty.
struct Registry::Table {
  explicit Table(std::size_t size)
      : pages(size * sizeof(std::uint64_t)), slots(reinterpret_cast<std::atomic<std::uint64_t>*>(pages.data())), mask(size - 1) {}
  Pages pages;
  std::atomic<std::uint64_t>* slots;
  std::size_t mask;
};

namespace {

constexpr std::size_t kFirstTable = 512;  // one page
constexpr std::string_view kOverflow = "pepper.overflow";
constexpr std::size_t kNameBytes = 64;  // of a node in the set of names, about

}  // namespace

Registry::Registry(Place& place, const TelemetryConfig& config, KeyHash hash)
    : place_(place),
      hash_(hash),
      base_(place.series().base()),
      max_series_(static_cast<std::uint32_t>(config.max_series)),
      store_(place.series().capacity()) {
  place.budget().take(kept_for_overflow_);
  charge(kFirstTable * sizeof(std::uint64_t));
  tables_.push_back(std::make_unique<Table>(kFirstTable));
  table_.store(tables_.back().get(), std::memory_order_relaxed);  // [relaxed: no other thread yet]
}

Registry::~Registry() { leave_place(); }

void Registry::leave_place() noexcept { place_.budget().give_back(std::exchange(bytes_, 0) + std::exchange(kept_for_overflow_, 0)); }

void Registry::probe_on(Probe& probe) const noexcept {
  for (;; probe.slot = (probe.slot + 1) & probe.table->mask) {
    const std::uint64_t slot =
        probe.table->slots[probe.slot].load(std::memory_order_acquire);  // [slot:acquire] pairs with [slot:release] in insert()
    if (slot == 0) {
      // [table:acquire] pairs with [table:release] in add(). An old table whose memory is gone is no answer; the kernel has every thread
      // see the successor before it takes the pages away.
      const Table* const present = table_.load(std::memory_order_acquire);
      if (present != probe.table) {
        probe.table = present;
        probe.slot = (probe.hash & present->mask) - 1;
        continue;
      }
      probe.index = kNone;
      return;
    }
    if (slot >> 32 == probe.hash >> 32) {
      probe.index = static_cast<std::uint32_t>(slot) - 1;
      return;
    }
  }
}

Registry::Probe Registry::start(std::uint64_t hash) const noexcept {
  // [table:acquire] pairs with [table:release] in add()
  Probe probe{table_.load(std::memory_order_acquire), hash, 0, kNone};
  probe.slot = probe.hash & probe.table->mask;
  probe_on(probe);
  return probe;
}

std::uint32_t Registry::finish(std::string_view flat, Probe probe) const noexcept {
  while (probe.index != kNone && entry(probe.index).flat() != flat) {
    probe.slot = (probe.slot + 1) & probe.table->mask;
    probe_on(probe);
  }
  return probe.index;
}

SeriesEntry* Registry::find_entry(std::string_view flat, std::uint64_t hash) const noexcept {
  const std::uint32_t index = finish(flat, start(hash));
  return index == kNone ? nullptr : &store_.entry(index);
}

void Registry::insert(Table& table, std::uint64_t hash, std::uint32_t index) noexcept {
  std::size_t i = hash & table.mask;
  while (table.slots[i].load(std::memory_order_relaxed) != 0) i = (i + 1) & table.mask;  // [relaxed: written under the mutex]
  table.slots[i].store((hash >> 32) << 32 | (index + 1),
                       std::memory_order_release);  // [slot:release] pairs with [slot:acquire] in probe_on()
}

bool Registry::try_charge(std::size_t bytes, std::size_t rest) noexcept {
  if (!place_.budget().try_take(bytes, rest)) return false;
  bytes_ += bytes;
  return true;
}

void Registry::give_back(std::size_t bytes) noexcept {
  place_.budget().give_back(bytes);
  bytes_ -= bytes;
}

void Registry::charge(std::size_t bytes) noexcept {
  place_.budget().take(bytes);
  bytes_ += bytes;
}

SeriesEntry* Registry::add(const SeriesKey& key, std::string_view flat, std::uint64_t hash, const Nature& nature, bool is_forced) {
  const std::uint32_t index = size_.load(std::memory_order_relaxed);  // [relaxed: written under the mutex]
  const std::size_t slots = tables_.back()->mask + 1, more_slots = 2 * (std::size_t{index} + 1) > slots ? 2 * slots : 0;
  const std::size_t beside = kSeriesBytes + (nature.kind == Kind::gauge ? Place::kTicketBytes : 0) + text_bytes(nature) +
                             bucket_bytes(nature) + check_bytes(nature) + (names_.contains(key.name()) ? 0 : kNameBytes) +
                             more_slots * sizeof(std::uint64_t);
  // However many series are asked for, something is left for the threads that record into those there are: a quarter of what the pool
  // leaves. Half of that goes to overflow series, as there is one a known name at most.
  const std::size_t rest = (place_.budget().limit() - place_.pool_chunks() * sizeof(Chunk)) / (nature.is_overflow ? 8 : 4);
  std::size_t entry_bytes = store_.next_bytes(key, flat, nature.is_overflow);
  if (is_forced) {
    place_.budget().give_back(std::exchange(kept_for_overflow_, 0));
    charge(beside + entry_bytes);
  } else if (!try_charge(beside + entry_bytes, rest)) {
    entry_bytes = store_.next_bytes(key, flat, true);
    if (!try_charge(beside + entry_bytes, rest)) return nullptr;
  }

  if (more_slots != 0) {
    auto larger = std::make_unique<Table>(more_slots);
    for (std::uint32_t i = 0; i < index; ++i) insert(*larger, hash_(entry(i).flat().data(), entry(i).flat().size()), i);
    Table& smaller = *tables_.back();
    tables_.push_back(std::move(larger));
    table_.store(tables_.back().get(), std::memory_order_release);  // [table:release] pairs with [table:acquire] in start() and probe_on()
    release_pages(smaller.pages.data(), smaller.pages.size());
    give_back(slots * sizeof(std::uint64_t));
  }

  SeriesEntry& made = store_.append(index, key, flat, entry_bytes);
  made.number = base_ + index;
  made.first_kind = nature.kind;
  made.is_overflow = nature.is_overflow;
  made.is_part = nature.is_part;
  describe(made, nature);
  names_.insert(made.name());
  if (nature.is_part)
    newest_part_.store(parts_.back().get(), std::memory_order_release);  // [part:release] pairs with [part:acquire] in newest_part()
  // In this order: a snapshot has room for whatever anybody could find and record to.
  size_.store(index + 1, std::memory_order_release);  // [series:release] pairs with [series:acquire] in size()
  insert(*tables_.back(), hash, index);
  return &made;
}

SeriesEntry* Registry::find_or_add_overflow(const SeriesKey& key, const Nature& nature) {
  const Tag tag{kOverflow, "true"};
  const bool is_known_name = names_.contains(key.name());
  for (const bool is_own : {is_known_name, false}) {
    const SeriesKey overflow = is_own ? SeriesKey(key.name(), std::span(&tag, 1)) : SeriesKey(kOverflow, TagsView{});
    // The one for all names takes anything: it is a summary.
    Nature own = nature;
    own.is_overflow = true;
    own.check = {};
    if (!is_own) own.kind = Kind::summary, own.unit = own.help = "";
    SeriesEntry* const found = overflow.flat([&](std::string_view flat) {
      const std::uint64_t hash = hash_(flat.data(), flat.size());
      SeriesEntry* const known = find_entry(flat, hash);
      return known != nullptr ? known : add(overflow, flat, hash, own, !is_own);
    });
    if (found != nullptr) return found;
  }
  return nullptr;  // not reached: the last of them is made whatever the budget says
}

void Registry::give_tickets(SeriesEntry& entry) {
  if (entry.tickets.load(std::memory_order_relaxed) != 0) return;  // [relaxed: written under the mutex]
  const std::uint32_t tickets = place_.new_tickets();
  entry.tickets.store(tickets, std::memory_order_release);  // [tickets:release] pairs with [tickets:acquire] in Collector::record()
}

void Registry::use_extra(SeriesEntry& entry, ExtraUse use) noexcept {
  // [extra:release] pairs with [extra:acquire] in record_to(), Collector::bind() and RecordBatch::operator[]()
  entry.extra_use.store(use, std::memory_order_release);
}

std::size_t Registry::text_bytes(const Nature& nature) noexcept {
  return nature.unit.empty() && nature.help.empty() ? 0 : sizeof(SeriesText) + nature.unit.size() + nature.help.size();
}

std::size_t Registry::bucket_bytes(const Nature& nature) noexcept {
  if (nature.kind != Kind::histogram && nature.kind != Kind::timer && !nature.is_part) return 0;
  return kDistributedBytes + (nature.limits == BucketLimits{} ? 0 : sizeof(BucketLimits) + sizeof(void*)) +
         (nature.is_part ? sizeof(PartNode) + sizeof(void*) : 0);
}

void Registry::describe_anew(SeriesEntry& entry, Nature nature) {
  const bool is_same_kind = nature.kind == entry.kind.load(std::memory_order_relaxed);  // [relaxed: written under the mutex]
  if ((!is_same_kind || !nature.unit.empty() || !nature.help.empty()) && is_watched()) {
    changed_.push_back(entry.number - base_);
    charge(sizeof(std::uint32_t));
  }
  charge(bucket_bytes(nature) + check_bytes(nature));
  if (!try_charge(text_bytes(nature), 0)) {  // it does without
    nature.unit = nature.help = {};
    charge(sizeof(SeriesText));
  }
  describe(entry, nature);
}

void Registry::describe(SeriesEntry& entry, const Nature& nature) {
  if (nature.kind == Kind::gauge) give_tickets(entry);
  const bool is_timed = nature.is_timed && !nature.is_overflow;
  use_extra(entry, nature.kind == Kind::gauge ? ExtraUse::ticket : is_timed ? ExtraUse::time : ExtraUse::none);
  if (!nature.unit.empty() || !nature.help.empty() || nature.kind != entry.first_kind) {
    texts_.push_back(std::make_unique<SeriesText>(nature.kind, nature.unit, nature.help));
    SeriesText* const text = texts_.back().get();
    entry.text.store(text, std::memory_order_release);                // [text:release] pairs with [text:acquire] in read()
    text->next_fresh = fresh_texts_.load(std::memory_order_relaxed);  // [relaxed: the exchange below publishes]
    // [fresh:release] pairs with [fresh:acquire] in size_for_snapshot(); [relaxed: a failed try reads nothing through it]
    while (!fresh_texts_.compare_exchange_weak(text->next_fresh, text, std::memory_order_release, std::memory_order_relaxed)) continue;
  }
  scale(entry, nature);
  entry.kind.store(nature.kind, std::memory_order_relaxed);  // [relaxed: either kind was right a moment ago]
  place_.series().set_kind(entry.number - base_, nature.kind);
  place_.series().checks().set(entry.number - base_, nature.check);
  entry.is_bound = nature.is_bound;
}

/// Decides what its distribution will be, if it is of a kind that has one.
void Registry::scale(const SeriesEntry& entry, const Nature& nature) {
  const bool has_buckets = bucket_bytes(nature) != 0;
  const BucketLimits* limits = nullptr;
  if (has_buckets && nature.limits != BucketLimits{})
    limits = limits_.emplace_back(std::make_unique<const BucketLimits>(nature.limits)).get();
  SeriesRange& series = place_.series();
  series.set_limits(entry.number - base_, limits);
  series.set_scale(entry.number - base_, has_buckets ? scale_code(scale_for_error(nature.relative_error)) : 0);
}

BucketLimits Registry::limits_of(const SeriesEntry& entry) const noexcept {
  const BucketLimits* const limits = place_.series().limits_of(entry.number - base_);
  return limits == nullptr ? BucketLimits{} : *limits;
}

bool Registry::wants_other_buckets(const SeriesEntry& entry, const Nature& nature) const noexcept {
  if (bucket_bytes(nature) == 0) return false;
  const BucketLimits own = limits_of(entry), unsaid;
  const auto is_other = [&](auto BucketLimits::*field) {
    return nature.limits.*field != unsaid.*field && nature.limits.*field != own.*field;
  };
  return is_other(&BucketLimits::max_buckets) || is_other(&BucketLimits::expected_interval);
}

std::uint32_t Registry::size_for_snapshot(std::uint64_t sequence) noexcept {
  const std::uint32_t known = size();  // first: what was said of these is in the list by now
  // [fresh:acquire] pairs with [fresh:release] in describe()
  for (SeriesText* text = fresh_texts_.exchange(nullptr, std::memory_order_acquire); text != nullptr; text = text->next_fresh)
    text->since.store(sequence, std::memory_order_relaxed);  // [relaxed: whoever reads that snapshot has it from who published it]
  return known;
}

const SeriesEntry* Registry::find_overflow(std::string_view name) const noexcept {
  // [full:acquire] pairs with [full:release] in intern(): no name is new any more
  if (!is_full_.load(std::memory_order_acquire)) return nullptr;
  const Tag tag{kOverflow, "true"};
  const std::uint32_t index = find(SeriesKey(name, std::span(&tag, 1)));
  return index == kNone ? nullptr : &entry(index);
}

Registry::Interned Registry::intern(const SeriesKey& key, Kind kind, const SeriesOptions& options, bool is_bind) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  const bool has_check = options.check.least != -kInfinity || options.check.most != kInfinity;
  const Nature nature{kind,
                      options.unit,
                      options.help,
                      is_bind,
                      false,
                      false,
                      options.relative_error,
                      {options.max_buckets, options.expected_interval},
                      has_check ? options.check : ValueCheck{},
                      options.timestamps};
  return key.flat([&](std::string_view flat) { return intern(key, flat, nature); });
}

Registry::Interned Registry::intern(const SeriesKey& key, std::string_view flat, const Nature& nature) {
  const auto& [kind, unit, help, is_bind, is_overflow, is_part, relative_error, limits, check, is_timed] = nature;
  const std::uint64_t hash = hash_(flat.data(), flat.size());
  const std::lock_guard lock(mutex_);
  SeriesEntry* entry = find_entry(flat, hash);
  if (entry == nullptr && ordinary_ < max_series_) {
    entry = add(key, flat, hash, nature, false);
    if (entry != nullptr) {
      // [full:release] pairs with [full:acquire] in find_overflow()
      if (++ordinary_ == max_series_) is_full_.store(true, std::memory_order_release);
      return {entry, false};
    }
  }
  if (entry == nullptr) entry = find_or_add_overflow(key, nature);
  // [relaxed: written under the mutex]. For the handle, even where the series is another kind.
  if (kind == Kind::gauge && entry->tickets.load(std::memory_order_relaxed) == 0) {
    give_tickets(*entry);
    charge(Place::kTicketBytes);
    // Tickets would be read as times.
    if (entry->kind.load(std::memory_order_relaxed) != kind) use_extra(*entry, ExtraUse::none);  // [relaxed: written under the mutex]
  }
  const bool is_same_kind = entry->kind.load(std::memory_order_relaxed) == kind;  // [relaxed: written under the mutex]
  if (entry->is_overflow) {
    // Series of several kinds may end up here: then it is a summary, which refuses nothing that one of them would take.
    // Once: snapshots that have it so stay what they are.
    const bool is_summary = entry->kind.load(std::memory_order_relaxed) == Kind::summary;  // [relaxed: written under the mutex]
    if (!is_same_kind && !is_summary && entry->name() != kOverflow) describe_anew(*entry, {.is_bound = true, .is_overflow = true});
    return {entry, false};
  }
  if (is_bind && !entry->is_bound) {
    describe_anew(*entry, nature);
    for (const std::unique_ptr<const PartNode>& node : parts_) {
      if (node->part.whole == entry->number - base_) describe_part(node->part.index, *entry, nature);
    }
    return {entry, false};
  }
  const SeriesText* const text = entry->text.load(std::memory_order_relaxed);  // [relaxed: written under the mutex]
  const bool is_conflict = is_bind && (!is_same_kind || (!unit.empty() && (text == nullptr || text->unit != unit)) ||
                                       (!help.empty() && (text == nullptr || text->help != help)) || wants_other_buckets(*entry, nature) ||
                                       (check != ValueCheck{} && check != place_.series().checks().of(entry->number - base_)));
  return {entry, is_conflict};
}

/// What its whole has become with its first bind.
void Registry::describe_part(std::uint32_t index, const SeriesEntry& whole, const Nature& nature) {
  SeriesEntry& part = store_.entry(index);
  part.kind.store(nature.kind, std::memory_order_relaxed);  // [relaxed: either kind was right a moment ago]
  place_.series().set_kind(index, nature.kind);
  charge(check_bytes(nature));
  place_.series().checks().set(index, nature.check);
  // [relaxed: written under the mutex]
  use_extra(part, whole.extra_use.load(std::memory_order_relaxed) == ExtraUse::time ? ExtraUse::time : ExtraUse::none);
}

const SeriesEntry* Registry::intern_part(const SeriesEntry& whole, double weight) {
  const SeriesKey key(whole.name(), whole.tags(), weight);
  return key.flat([&](std::string_view flat) -> const SeriesEntry* {
    const std::uint64_t hash = hash_(flat.data(), flat.size());
    const std::lock_guard lock(mutex_);
    const std::uint32_t at = whole.number - base_;
    const Kind kind = whole.kind.load(std::memory_order_relaxed);  // [relaxed: written under the mutex]
    if (kind == Kind::gauge) return nullptr;                       // never sampled
    if (const SeriesEntry* const known = find_entry(flat, hash)) return known;
    if (ordinary_ == max_series_) return nullptr;
    Nature nature{.kind = kind, .is_bound = true, .is_part = true};
    if (const ScaleCode code = place_.series().scale_of(at)) nature.relative_error = error_at_scale(scale_of(code));
    nature.limits = limits_of(whole);
    nature.limits.expected_interval = 0;  // squares of what is filled back, a sum's error could not tell from those of what was kept
    nature.check = place_.series().checks().of(at);
    // [relaxed: written under the mutex]
    nature.is_timed = whole.extra_use.load(std::memory_order_relaxed) == ExtraUse::time;
    const std::uint32_t index = size_.load(std::memory_order_relaxed);  // [relaxed: written under the mutex]
    parts_.push_back(std::make_unique<PartNode>(
        PartNode{{at, index, weight}, newest_part_.load(std::memory_order_relaxed)}));  // [relaxed: written under the mutex]
    const SeriesEntry* const made = add(key, flat, hash, nature, false);
    if (made == nullptr) {
      parts_.pop_back();
      return nullptr;
    }
    // [full:release] pairs with [full:acquire] in find_overflow()
    if (++ordinary_ == max_series_) is_full_.store(true, std::memory_order_release);
    return made;
  });
}

std::size_t Registry::watch() {
  const std::lock_guard lock(mutex_);
  is_watched_.store(true, std::memory_order_relaxed);  // [relaxed: under the mutex]
  return changed_.size();
}

std::uint32_t Registry::changed(std::size_t position) const {
  const std::lock_guard lock(mutex_);
  return position < changed_.size() ? changed_[position] : kNone;
}

SignalCell& Registry::signal_cell(const SeriesEntry& entry) {
  const std::lock_guard lock(mutex_);
  SignalCell*& known = signals_[entry.number];
  if (known == nullptr) known = &place_.new_signal_series(entry.number - base_).cell;
  return *known;
}

}  // namespace pepper::detail
