#include "collector_impl.hpp"

#include "clock.hpp"
#include "config_check.hpp"
#include "drain_lock.hpp"
#include "fork.hpp"

#include <charconv>
#include <ctime>
#include <exception>
#include <mutex>
#include <new>
#include <stdexcept>
#include <string>
#include <utility>

namespace pepper::detail {

namespace {

using Steady = std::chrono::steady_clock;

constexpr std::chrono::milliseconds kObserverPatience{100}, kGrace{50};

TelemetryConfig checked(TelemetryConfig config) {
  check(config);
  return config;
}

void report(Errors& errors, const std::vector<Loss>& grown) noexcept {
  const std::uint32_t process = Busy::process();
  for (const Loss& loss : grown) {
    if (Busy::process() != process) return;  // on_error forked: in the child these are the parent's
    char count[24] = {};
    std::to_chars(count, count + sizeof count - 1, loss.count);
    const std::string_view cause = to_string(loss.cause);
    errors.report(cause, {count, " records dropped so far, cause: ", cause});
  }
}

}  // namespace

Collector::Collector(TelemetryConfig config, KeyHash hash)
    : config_(checked(std::move(config))),
      errors_(std::make_shared<Errors>(config_.name, std::make_shared<const Errors::OnError>(config_.on_error))),
      tenancy_(config_),
      place_(tenancy_.place()),
      registry_(std::make_shared<Registry>(place_, config_, hash)),
      watch_(errors_, registry_),
      rate_limits_(place_),
      tap_(std::make_shared<RecordTap>(place_.budget())),
      delivery_(std::make_shared<Delivery>(errors_, tap_, config_.flush_mode == FlushMode::background)),
      exporters_(errors_, config_.flush_mode == FlushMode::background),
      flusher_(place_.pressure()),
      exemplars_(place_, place_.series().capacity()),
      drain_(place_, *tap_),
      publisher_(registry_),
      flush_interval_ns_(config_.flush_interval.count()) {
  publish_empty();
  drain_.set_discarding(!config_.enabled);
  rate_limits_.set_discarding(!config_.enabled);
  if (config_.flush_mode == FlushMode::manual) rate_limits_.be_manual();
  if (config_.enabled) place_.open_gate();
  enlist(place_.index(), *this);
}

Collector::~Collector() {
  delist(place_.index());
  place_.close_gate();
  place_.use_numbers(registry_->size());
  tap_->close();             // as what follows
  registry_->leave_place();  // snapshots may keep it alive, on nobody's budget
}

void Collector::require_settled() {
  if (!settle()) throw std::bad_alloc{};
}

void Collector::publish_empty() {
  CollectorStats stats;
  set_health(stats);
  std::shared_ptr<const Snapshot> empty = publisher_.publish(drain_, exemplars_.taken(), std::move(stats), {});
  const std::lock_guard lock(latest_mutex_);
  latest_ = std::move(empty);
}

void Collector::start_over() {
  const std::lock_guard lock(drain_mutex_);
  drain_.start_over();
  rate_limits_.start_over();
  exemplars_.start_over();
  tap_->start_over();
  publisher_.start_over();
  losses_.clear();
  grown_.clear();
  flushes_ = spilled_before_ = round_ = 0;
  last_flush_duration_ = {};
  for (auto* const count : {&rejected_, &nan_, &bind_conflicts_}) count->store(0, std::memory_order_relaxed);  // [relaxed: numbers]
  flusher_cpu_ns_.store(0, std::memory_order_relaxed);                                                         // [relaxed: a number]
  errors_->start_over();
  if (flusher_.start_over()) has_lost_flusher_ = true;
  publish_empty();
  first_sequence_ = latest_->sequence();
  delivery_->start_over(first_sequence_);
  exporters_.start_over(first_sequence_);
}

void Collector::start_threads_again() noexcept {
  if (std::exchange(has_lost_flusher_, false)) start_flusher();
  try {
    delivery_->start_thread_again();
    exporters_.start_threads_again();
  } catch (const std::bad_alloc&) {  // inline, as where no thread is to be had
  }
}

std::shared_ptr<const Snapshot> Collector::snapshot() const {
  require_settled();
  const std::lock_guard lock(latest_mutex_);
  return latest_;
}

void Collector::set_health(CollectorStats& stats) const noexcept {
  stats.rejected = nan_.load(std::memory_order_relaxed) + rejected_.load(std::memory_order_relaxed);  // [relaxed: numbers, guard no data]
  stats.callback_errors = errors_->callback_errors();
  stats.bind_conflicts = bind_conflicts_.load(std::memory_order_relaxed);  // [relaxed: a number, guards no data]
  stats.exemplars_skipped = exemplars_.skipped();
  stats.memory_bytes = place_.budget().used() - place_.bucket_lease().reserved();
  stats.memory_limit_bytes = place_.budget().limit();
  stats.flusher_cpu = std::chrono::nanoseconds{flusher_cpu_ns_.load(std::memory_order_relaxed)};  // [relaxed: a number, guards no data]
}

CollectorStats Collector::stats() const {
  CollectorStats stats = snapshot()->stats();
  set_health(stats);
  stats.exporters = exporters_.stats();
  return stats;
}

void Collector::note_losses(CollectorStats& stats, const Ledger& ledger, std::uint64_t rate_limited) {
  const auto note = [&](Cause cause, std::uint64_t folded) {
    const std::uint64_t count = folded + (cause == Cause::rate_limited ? 0 : place_.refused(cause));
    if (count == 0) return;
    Loss& loss = losses_[cause];
    const auto now = now_system();
    if (loss.count == 0) loss.first = now;
    if (loss.count != count) {
      loss = {cause, count, loss.first, now};
      if (cause != Cause::rate_limited) grown_.push_back(loss);  // that one is wanted
    }
    stats.losses.push_back(loss);
  };
  note(Cause::overflow, ledger.tally[Found::overflow]);
  note(Cause::threads, 0);
  note(Cause::negative, ledger.tally[Found::negative]);
  note(Cause::after_shutdown, ledger.tally[Found::after_shutdown]);
  note(Cause::memory, ledger.tally[Found::memory]);
  note(Cause::rate_limited, rate_limited);
  note(Cause::invalid, ledger.tally[Found::invalid]);
}

std::shared_ptr<const Snapshot> Collector::drain_and_publish() {
  const Steady::time_point begin = Steady::now();
  keep_clock_in_step();
  rate_tick.fetch_add(1, std::memory_order_relaxed);  // [relaxed: says only: look again]
  std::vector<Refused> refused = rate_limits_.refused();
  if (tap_->is_on() && !delivery_->has_record_subscriber()) tap_->close();
  exemplars_.take();
  drain_.look();
  const Ledger ledger = drain_.ledger();
  nan_.store(ledger.tally[Found::nan], std::memory_order_relaxed);  // [relaxed: a number, guards no data]
  CollectorStats stats;
  stats.recorded = ledger.recorded;
  stats.aggregated = ledger.aggregated;
  stats.pending = ledger.pending;
  stats.dropped = ledger.dropped;
  stats.spilled = ledger.spilled;
  stats.clock_steps = ledger.tally[Found::clock_step];
  stats.flushes = ++flushes_;
  const std::uint64_t rate_limited = total(refused);
  stats.recorded += rate_limited;
  stats.dropped += rate_limited;
  note_losses(stats, ledger, rate_limited);
  set_health(stats);
  stats.last_flush_duration = last_flush_duration_;
  stats.exporters = exporters_.stats();
  std::shared_ptr<const Snapshot> snapshot = publisher_.publish(drain_, exemplars_.taken(), std::move(stats), std::move(refused));
  last_flush_duration_ = Steady::now() - begin;
  std::shared_ptr<const Snapshot> old = snapshot;  // let go after the lock: it may be thousands of pages
  const std::lock_guard lock(latest_mutex_);
  latest_.swap(old);
  return snapshot;
}

std::shared_ptr<const Snapshot> Collector::flush_now(bool is_last, bool is_shown) {
  std::shared_ptr<const Snapshot> snapshot;
  std::vector<Loss> grown;
  require_settled();  // an observer may have forked
  {
    const DrainLock lock(drain_mutex_);
    snapshot = drain_and_publish();
    grown.swap(grown_);
  }
  if (!grown.empty() && is_last) {
    try {  // shutdown() must not wait for on_error
      delivery_->run_aside([errors = errors_, grown = std::move(grown)] { report(*errors, grown); });
    } catch (const std::bad_alloc&) {  // the losses are in the snapshot as well
    }
  } else {
    report(*errors_, grown);
  }
  require_settled();  // on_error may have forked: in the child this snapshot is an old one, and is not delivered
  if (is_shown) {
    delivery_->deliver_records();
    delivery_->deliver(snapshot);
  }
  require_settled();  // a subscriber may have forked
  if (is_shown) exporters_.deliver(snapshot);
  require_settled();  // as may an exporter
  return snapshot;
}

std::shared_ptr<const Snapshot> Collector::flush_until(Steady::time_point deadline, bool is_last) {
  require_settled();
  delivery_->wait_for(delivery_->ask_observers(), deadline, kObserverPatience);
  std::shared_ptr<const Snapshot> snapshot = flush_now(is_last, true);
  if (snapshot->sequence() >= first_sequence_) return snapshot;
  // A callback has forked, and this is the child, with its parent's snapshot. One of its own: shown to nobody, who might fork again.
  delivery_->wait_for(delivery_->ask_observers(), deadline, kObserverPatience);
  return flush_now(is_last, false);
}

std::shared_ptr<const Snapshot> Collector::flush() {
  const auto alive = weak_from_this().lock();  // a callback may destroy the MetricsCollector
  return flush_until(Steady::time_point::max(), false);
}

Collector::Load Collector::work(bool is_due) noexcept {
  Load load{};
  rate_tick.fetch_add(1, std::memory_order_relaxed);  // [relaxed: says only: look again]
  try {
    require_settled();
    if (is_due && round_ == 0) {
      round_ = delivery_->ask_observers();
      asked_at_ = Steady::now();
    }
    // Not waiting for them: there may be records to drain meanwhile.
    if (is_due && (delivery_->is_answered(round_) || Steady::now() - asked_at_ >= kObserverPatience)) {
      flush_now(false, true);
      round_ = 0;
      load.has_published = true;
    }
    require_settled();  // a callback may have forked
    bool has_subscriber = false;
    {
      const DrainLock lock(drain_mutex_);
      if (!load.has_published) drain_.look();
      load.chunks_seen = drain_.chunks_seen();
      load.pool_chunks = place_.pool_chunks();
      load.has_spilled = drain_.spilled() != spilled_before_;
      spilled_before_ = drain_.spilled();
      has_subscriber = tap_->is_on();
    }
    if (has_subscriber) delivery_->deliver_records();
  } catch (const std::exception& error) {  // no memory: nothing was taken, the next look takes it
    errors_->report("look", {"the flusher could not drain: ", error.what()});
  }
  timespec cpu{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &cpu);
  flusher_cpu_ns_.store(cpu.tv_sec * 1'000'000'000 + cpu.tv_nsec, std::memory_order_relaxed);  // [relaxed: a number, guards no data]
  return load;
}

void Collector::flusher_started() noexcept {
  try {
    std::function<void()> on_start;
    {
      const DrainLock lock(drain_mutex_);
      on_start = config_.on_flusher_start;
    }
    if (on_start) on_start();
  } catch (const std::exception& error) {
    errors_->report_callback("on_flusher_start", error.what());
  } catch (...) {
    errors_->report_callback("on_flusher_start", "something that is no std::exception");
  }
}

void Collector::start_flusher() noexcept {
  if (config_.flush_mode == FlushMode::manual || !settle()) return;
  try {
    flusher_.start(shared_from_this());
  } catch (const std::exception& error) {  // records are folded by their threads meanwhile, and flush() works
    errors_->report("start", {"the flusher could not start, the next bind tries again: ", error.what()});
  }
}

void Collector::attach_thread() {
  const ThreadUse use;
  ThreadBlock* const block = use.record() == nullptr ? nullptr : place_.attach(*use.record());
  if (block == nullptr) throw std::bad_alloc{};
  const std::uint32_t series = registry_->size();
  std::uint32_t distributions = 0;
  for (std::uint32_t i = 0; i < series; ++i) distributions += place_.series().scale_of(i) != 0;
  block->touch(std::max<std::uint32_t>(series, 512), distributions, place_.series().checks().if_any() != nullptr);
}

bool Collector::has_news() {
  require_settled();
  const DrainLock lock(drain_mutex_);
  drain_.look();
  const Ledger ledger = drain_.ledger();
  const std::lock_guard latest(latest_mutex_);
  return ledger.aggregated != latest_->stats().aggregated || ledger.dropped + total(rate_limits_.refused()) != latest_->stats().dropped;
}

bool Collector::flush_at_end(Steady::time_point deadline) noexcept {
  std::unique_lock lock(end_mutex_);
  if (ends_.is_held_here()) return false;  // from a callback of that flush
  if (!end_.wait_until(lock, deadline, [this] { return !ends_.is_held(); })) return false;
  Busy::Hold stay(ends_);
  stay.begin();
  const bool is_first = !has_ended_;
  lock.unlock();
  bool is_done = true;
  try {
    if (is_first || has_news()) flush_until(deadline, true);
  } catch (const std::exception& error) {
    errors_->report("shutdown", {"the last flush failed: ", error.what()});
    is_done = false;
  }
  lock.lock();
  stay.end();
  has_ended_ = has_ended_ || is_done;
  end_.notify_all();
  return is_done;
}

bool Collector::shutdown(std::chrono::nanoseconds timeout) noexcept {
  constexpr std::chrono::nanoseconds kLongest = std::chrono::hours{24 * 365};
  const Steady::time_point deadline = Steady::now() + std::clamp(timeout, std::chrono::nanoseconds{0}, kLongest);
  const auto alive = weak_from_this().lock();  // a callback may destroy the MetricsCollector
  (void)settle();
  place_.stop_blocking();
  exporters_.set_last_deadline(deadline);
  const bool has_flusher_ended = flusher_.stop(deadline);
  rate_limits_.be_manual();
  const bool is_flushed = flush_at_end(deadline);
  const bool is_delivered = delivery_->stop(deadline), is_exported = exporters_.stop(deadline);
  exporters_.set_last_deadline({});
  // What users' functions take that run inline, nothing can cut short. It can be said.
  return has_flusher_ended && is_flushed && is_delivered && is_exported && Steady::now() <= deadline + kGrace;
}

}  // namespace pepper::detail
