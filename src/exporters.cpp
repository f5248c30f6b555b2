#include "exporters.hpp"

#include "busy.hpp"

#include <algorithm>
#include <mutex>
#include <new>
#include <stdexcept>
#include <string>
#include <utility>

namespace pepper::detail {

void check(const ExporterOptions& options, const Exporter& exporter) {
  const auto refuse = [](const std::string& what) { throw std::invalid_argument("ExporterOptions::" + what); };
  if (options.name.empty() || options.name.size() > 255) {
    refuse("name: " + std::to_string(options.name.size()) + " bytes: must be 1 to 255");
  }
  if (options.timeout < std::chrono::milliseconds{1} || options.timeout > std::chrono::hours{24}) {
    refuse("timeout: " + std::to_string(options.timeout.count()) + " ns: must be 1 ms to 1 day");
  }
  if (!exporter) throw std::invalid_argument("add_exporter: exporter \"" + options.name + "\": there is no function");
}

// --- One ---

Exporting::Clock::time_point Exporting::begin() {
  const std::lock_guard lock(mutex_);
  deadline_ = Clock::now() + options_.timeout;
  if (last_deadline_ != Clock::time_point{}) deadline_ = std::min(deadline_, last_deadline_);
  return deadline_;
}

void Exporting::end(bool is_good, Clock::time_point deadline, std::uint32_t process) noexcept {
  const std::lock_guard lock(mutex_);
  if (Busy::process() != process) return;  // it has forked: in the child this run is its parent's
  deadline_ = {};
  ++(is_good ? exported_ : failed_);
  if (Clock::now() > deadline) ++late_;
}

void Exporting::run(const Snapshot& snapshot) {
  const std::uint32_t process = Busy::process();
  const Clock::time_point deadline = begin();
  try {
    exporter_(snapshot, deadline);
  } catch (...) {
    end(false, deadline, process);
    throw;
  }
  end(true, deadline, process);
}

void Exporting::set_last_deadline(Clock::time_point deadline) noexcept {
  const std::lock_guard lock(mutex_);
  last_deadline_ = deadline;
}

void Exporting::describe(ExporterStats& stats) const {
  const std::lock_guard lock(mutex_);
  stats.name = options_.name;
  stats.exported = exported_;
  stats.failed = failed_;
  stats.late = late_ + (deadline_ != Clock::time_point{} && Clock::now() > deadline_ ? 1 : 0);
}

void Exporting::start_over() noexcept {
  const std::lock_guard lock(mutex_);
  last_deadline_ = deadline_ = {};
  exported_ = failed_ = late_ = 0;
}

// --- All ---

std::shared_ptr<const Exporters::Entries> Exporters::entries() const {
  const std::lock_guard lock(mutex_);
  return entries_;
}

std::shared_ptr<Callback> Exporters::add(ExporterOptions options, Exporter exporter) {
  check(options, exporter);
  let_go_of_ended();
  Entry entry;
  entry.exporting = std::make_shared<Exporting>(std::move(options), std::move(exporter));
  std::unique_lock lock(mutex_);
  auto entries = std::make_shared<Entries>(*entries_);
  entry.delivery = std::make_shared<Delivery>(errors_, nullptr, may_have_threads_, "pepper-export", "exporter " + entry.exporting->name());
  entry.callback =
      entry.delivery->add_subscriber([exporting = entry.exporting](const Occasion& occasion) { exporting->run(*occasion.snapshot); });
  std::shared_ptr<Callback> callback = entry.callback;
  entries->push_back(std::move(entry));
  std::shared_ptr<const Entries> old = std::exchange(entries_, std::move(entries));
  lock.unlock();  // what old entries own may run anything as it dies
  return callback;
}

void Exporters::let_go_of_ended() {
  const auto has_ended = [](const Entry& entry) { return entry.callback->has_ended(); };
  std::shared_ptr<const Entries> old;
  {
    const std::lock_guard lock(mutex_);
    if (std::ranges::none_of(*entries_, has_ended)) return;
    auto living = std::make_shared<Entries>();
    living->reserve(entries_->size());
    for (const Entry& entry : *entries_) {
      if (!has_ended(entry)) living->push_back(entry);
    }
    old = std::exchange(entries_, std::move(living));
  }
  for (const Entry& entry : *old) {
    if (has_ended(entry)) (void)entry.delivery->stop(Exporting::Clock::now());
  }
}

void Exporters::deliver(const std::shared_ptr<const Snapshot>& snapshot) {
  try {
    let_go_of_ended();
  } catch (const std::bad_alloc&) {  // then later
  }
  const std::shared_ptr<const Entries> all = entries();
  for (const Entry& entry : *all) entry.delivery->deliver(snapshot);
}

std::vector<ExporterStats> Exporters::stats() const {
  const std::shared_ptr<const Entries> all = entries();
  std::vector<ExporterStats> stats;
  for (const Entry& entry : *all) {
    if (entry.callback->has_ended()) continue;
    ExporterStats& one = stats.emplace_back();
    entry.exporting->describe(one);
    one.skipped = entry.delivery->skipped();
  }
  return stats;
}

void Exporters::set_last_deadline(std::chrono::steady_clock::time_point deadline) noexcept {
  const std::shared_ptr<const Entries> all = entries();
  for (const Entry& entry : *all) entry.exporting->set_last_deadline(deadline);
}

bool Exporters::stop(std::chrono::steady_clock::time_point deadline) noexcept {
  std::shared_ptr<const Entries> all;
  {
    const std::lock_guard lock(mutex_);
    may_have_threads_ = false;
    all = entries_;
  }
  bool is_done = true;
  for (const Entry& entry : *all) is_done = entry.delivery->stop(deadline) && is_done;
  return is_done;
}

void Exporters::start_over(std::uint64_t sequence) noexcept {
  const std::shared_ptr<const Entries> all = entries();
  for (const Entry& entry : *all) {
    entry.delivery->start_over(sequence);
    entry.exporting->start_over();
  }
}

void Exporters::start_threads_again() {
  const std::shared_ptr<const Entries> all = entries();
  for (const Entry& entry : *all) entry.delivery->start_thread_again();
}

}  // namespace pepper::detail
