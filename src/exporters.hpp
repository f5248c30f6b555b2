#pragma once

#include <pepper/exporter.hpp>
#include <pepper/stats.hpp>

#include "callback.hpp"
#include "delivery.hpp"
#include "errors.hpp"
#include "mutex.hpp"

#include <chrono>
#include <cstdint>
#include <memory>
#include <vector>

namespace pepper::detail {

/// Throws std::invalid_argument naming field and value.
void check(const ExporterOptions& options, const Exporter& exporter);

/// What is known of one exporter's runs. Thread-safe.
class Exporting {
 public:
  using Clock = std::chrono::steady_clock;

  Exporting(ExporterOptions options, Exporter exporter) : options_(std::move(options)), exporter_(std::move(exporter)) {}

  [[nodiscard]] const std::string& name() const noexcept { return options_.name; }
  /// Rethrows what it throws.
  void run(const Snapshot& snapshot);
  /// For runs that begin from now on; {}: as far away as the timeout says.
  void set_last_deadline(Clock::time_point deadline) noexcept;
  void describe(ExporterStats& stats) const;
  void start_over() noexcept;

 private:
  Clock::time_point begin();
  void end(bool is_good, Clock::time_point deadline, std::uint32_t process) noexcept;

  const ExporterOptions options_;
  const Exporter exporter_;
  mutable Mutex mutex_;
  Clock::time_point last_deadline_{}, deadline_{};  ///< {}: it does not run
  std::uint64_t exported_ = 0, failed_ = 0, late_ = 0;
};

/// The exporters of a collector, each with a thread and a mailbox of its own; inline where the collector has no threads. Thread-safe.
class Exporters {
 public:
  Exporters(std::shared_ptr<Errors> errors, bool has_threads) : errors_(std::move(errors)), may_have_threads_(has_threads) {}

  [[nodiscard]] std::shared_ptr<Callback> add(ExporterOptions options, Exporter exporter);
  /// Lets go of those that have ended. Waits for none of them; inline it runs them.
  void deliver(const std::shared_ptr<const Snapshot>& snapshot);
  [[nodiscard]] std::vector<ExporterStats> stats() const;

  /// Those that begin from now on have until then.
  void set_last_deadline(std::chrono::steady_clock::time_point deadline) noexcept;
  /// What is in the mailboxes is delivered, threads end. False: not all of it by then, and the threads were left to themselves.
  bool stop(std::chrono::steady_clock::time_point deadline) noexcept;

  // In a child: see Delivery.
  void start_over(std::uint64_t sequence) noexcept;
  void start_threads_again();

 private:
  struct Entry {
    std::shared_ptr<Exporting> exporting;
    std::shared_ptr<Callback> callback;
    std::shared_ptr<Delivery> delivery;
  };
  using Entries = std::vector<Entry>;

  [[nodiscard]] std::shared_ptr<const Entries> entries() const;
  void let_go_of_ended();

  const std::shared_ptr<Errors> errors_;
  mutable Mutex mutex_;
  std::shared_ptr<const Entries> entries_ = std::make_shared<const Entries>();  ///< replaced, never changed: so it is read without the lock
  bool may_have_threads_;
};

}  // namespace pepper::detail
