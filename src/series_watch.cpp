#include "series_watch.hpp"

#include <algorithm>
#include <exception>
#include <limits>
#include <mutex>
#include <utility>

namespace pepper::detail {

namespace {

/// As a snapshot has it that no record of it is in.
SeriesSnapshot describe(const SeriesEntry& entry) noexcept {
  SeriesSnapshot series;
  series.name = entry.name();
  series.tags = entry.tags();
  series.kind = entry.first_kind;
  // [text:acquire] pairs with [text:release] in Registry::describe()
  if (const SeriesText* const text = entry.text.load(std::memory_order_acquire)) {
    series.kind = text->kind;
    series.unit = text->unit;
    series.help = text->help;
  }
  series.min = series.max = series.last = std::numeric_limits<double>::quiet_NaN();
  return series;
}

}  // namespace

std::shared_ptr<Callback> SeriesWatch::add(std::function<void(const SeriesSnapshot&)> callback) {
  auto made = std::make_shared<Callback>([callback = std::move(callback)](const Occasion& occasion) { callback(*occasion.series); });
  const auto watcher = std::make_shared<Watcher>();
  watcher->callback = made;
  watcher->next_change = registry_->watch();
  Busy::Hold stay(watcher->runs);
  std::unique_lock lock(mutex_);
  // In the place of one that has ended, so that no other changes its place: somebody may be going through them.
  const auto ended = std::ranges::find_if(watchers_, [](const auto& known) { return known->callback->has_ended(); });
  if (ended == watchers_.end()) {
    watchers_.push_back(watcher);
  } else {
    *ended = watcher;
  }
  tell(*watcher, stay, lock);
  return made;
}

void SeriesWatch::tell_slow() noexcept {
  for (std::size_t i = 0;; ++i) {
    std::shared_ptr<Watcher> watcher;
    {
      const std::lock_guard lock(mutex_);
      if (i >= watchers_.size()) return;
      watcher = watchers_[i];
    }
    run(*watcher);
  }
}

std::uint32_t SeriesWatch::next(Watcher& watcher) const {
  while (watcher.next_series < registry_->size()) {
    const std::uint32_t index = watcher.next_series++;
    if (!registry_->entry(index).is_part) return index;
  }
  const std::uint32_t changed = registry_->changed(watcher.next_change);
  if (changed != Registry::kNone) ++watcher.next_change;
  return changed;
}

void SeriesWatch::run(Watcher& watcher) noexcept {
  Busy::Hold stay(watcher.runs);
  std::unique_lock lock(mutex_);
  if (watcher.runs.is_held() || watcher.callback->has_ended()) return;  // who holds it looks again before it goes
  tell(watcher, stay, lock);
}

void SeriesWatch::tell(Watcher& watcher, Busy::Hold& stay, std::unique_lock<Mutex>& lock) noexcept {
  stay.begin();
  for (std::uint32_t index = next(watcher); index != Registry::kNone; index = next(watcher)) {
    lock.unlock();
    const SeriesSnapshot series = describe(registry_->entry(index));
    try {
      (void)watcher.callback->try_run({.series = &series});
    } catch (const std::exception& error) {
      errors_->report_callback("on_series callback", error.what());
    } catch (...) {
      errors_->report_callback("on_series callback", "something that is no std::exception");
    }
    lock.lock();
    if (watcher.callback->has_ended()) break;
  }
  stay.end();
}

}  // namespace pepper::detail
