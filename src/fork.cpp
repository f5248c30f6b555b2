#include "fork.hpp"

#include "busy.hpp"
#include "collector_impl.hpp"
#include "mutex.hpp"
#include "place.hpp"
#include "threads.hpp"

#include <pthread.h>

#include <cstdlib>
#include <memory>
#include <mutex>
#include <new>
#include <vector>

namespace pepper::detail {

constinit std::atomic<bool> is_unsettled{false};

namespace {

constinit Mutex collectors_mutex, settle_mutex;
constinit Collector* collectors[kMaxPlaces] = {};

constinit thread_local bool is_settling = false;

#if defined(__GLIBC__)
/// What glibc's pthread_atfork() calls, declared in no header. That names the library that registers, whose handlers exit() takes away with
/// its statics; but threads that nobody joined, and libraries that end later, may fork after that. Nobody's handlers stay, as the library's
/// code does: -z nodelete.
// NOLINTNEXTLINE(bugprone-reserved-identifier,readability-identifier-naming): its name
extern "C" int __register_atfork(void (*prepare)(), void (*parent)(), void (*child)(), void* library) noexcept;
#endif

/// Allocates nothing and takes no lock: an allocator may still be locked, where its own handlers run after this.
void begin_in_child() noexcept {
  Busy::start_over();
  forget_this_thread();
  Place::forget_signals();                              // at once: a handler may count before the first use
  is_unsettled.store(true, std::memory_order_relaxed);  // [relaxed: no other thread]
  Section::open_all();
}

/// As early as can be, from no thread_local's constructor: handlers before a fork run in reverse order, so that everybody else's, which may
/// record and flush, come before ours, and the allocator's after.
__attribute__((constructor(101))) void register_once() noexcept {
  void* volatile const first = std::malloc(1);  // an allocator with handlers of its own has registered them by now
  std::free(first);
#if defined(__GLIBC__)
  __register_atfork(Section::close_all, Section::open_all, begin_in_child, nullptr);
#else
  pthread_atfork(Section::close_all, Section::open_all, begin_in_child);
#endif
}

std::vector<std::shared_ptr<Collector>> living_collectors() {
  std::vector<std::shared_ptr<Collector>> living;
  living.reserve(kMaxPlaces);
  const std::lock_guard lock(collectors_mutex);
  for (Collector* const collector : collectors) {
    if (collector == nullptr) continue;
    if (std::shared_ptr<Collector> one = collector->weak_from_this().lock()) living.push_back(std::move(one));
  }
  return living;
}

}  // namespace

void enlist(std::uint32_t place, Collector& collector) noexcept {
  const std::lock_guard lock(collectors_mutex);
  collectors[place] = &collector;
}

void delist(std::uint32_t place) noexcept {
  const std::lock_guard lock(collectors_mutex);
  collectors[place] = nullptr;
}

/// What POSIX does not promise to the child of a process with threads, and glibc keeps: malloc, and starting threads.
bool settle_slow() noexcept {
  if (is_settling) return false;  // an allocator that records what we allocate here
  is_settling = true;
  std::vector<std::shared_ptr<Collector>> living;  // one that only a thread of the parent held ends with this, under no lock
  bool is_settled = false;
  try {
    const std::lock_guard lock(settle_mutex);
    is_settled = !is_unsettled.load(std::memory_order_relaxed);  // [relaxed: written under the mutex]
    if (!is_settled) {
      living = living_collectors();
      Place::start_all_over();
      free_all_threads();
      for (const std::shared_ptr<Collector>& collector : living) collector->start_over();
      is_unsettled.store(false, std::memory_order_release);  // [settled:release] pairs with [settled:acquire] in settle()
      is_settled = true;
    }
  } catch (const std::bad_alloc&) {  // the next use begins again
    living.clear();
  }
  is_settling = false;
  for (const std::shared_ptr<Collector>& collector : living) collector->start_threads_again();
  return is_settled;
}

}  // namespace pepper::detail
