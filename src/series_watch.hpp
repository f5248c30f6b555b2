#pragma once

#include <pepper/snapshot.hpp>

#include "busy.hpp"
#include "callback.hpp"
#include "errors.hpp"
#include "mutex.hpp"
#include "registry.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

namespace pepper::detail {

/// Tells of a registry's series as they are made. Thread-safe; calls users' functions, so never under a lock.
class SeriesWatch {
 public:
  SeriesWatch(std::shared_ptr<Errors> errors, std::shared_ptr<Registry> registry)
      : errors_(std::move(errors)), registry_(std::move(registry)) {}

  /// Tells of those that are there before it returns. Throws std::bad_alloc.
  [[nodiscard]] std::shared_ptr<Callback> add(std::function<void(const SeriesSnapshot&)> callback);
  /// By whoever may just have made a series. Returns at once where nobody wants to know.
  void tell() noexcept {
    if (registry_->is_watched()) [[unlikely]]
      tell_slow();
  }

 private:
  struct Watcher {
    std::shared_ptr<Callback> callback;
    std::size_t next_change = 0;
    std::uint32_t next_series = 0;
    Busy runs{};  ///< who has it tells it of all that comes meanwhile
  };

  void tell_slow() noexcept;
  void run(Watcher& watcher) noexcept;
  /// Under the lock, which it lets go for each call.
  void tell(Watcher& watcher, Busy::Hold& stay, std::unique_lock<Mutex>& lock) noexcept;
  [[nodiscard]] std::uint32_t next(Watcher& watcher) const;

  const std::shared_ptr<Errors> errors_;
  const std::shared_ptr<Registry> registry_;
  Mutex mutex_;
  std::vector<std::shared_ptr<Watcher>> watchers_;
};

}  // namespace pepper::detail
