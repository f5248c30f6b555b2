#include "threads.hpp"

#include "fork.hpp"
#include "mapping.hpp"

#include <pthread.h>

namespace pepper::detail {

constinit ThreadSlots no_slots{{kParked}, {0}, {}, {}};

namespace {

constinit std::atomic<ThreadRecord*> all_threads{nullptr};

/// Its thread's end was announced: what it still records, it records through borrowed records.
__attribute__((tls_model("initial-exec"))) constinit thread_local bool has_ended = false;

void leave(void* record) noexcept {
  has_ended = true;
  if (pepper_tls_slots != record) return;  // its parent's, and by now another thread's
  pepper_tls_slots = &no_slots;
  // [thread:release] pairs with [thread:acquire] in take_abandoned(); the last touch: a later thread may own it now
  static_cast<ThreadRecord*>(record)->is_taken.store(false, std::memory_order_release);
}

/// A pthread key and not a thread_local destructor: it runs after those, and registering it takes no loader lock. Made before main(), so
/// that no thread makes it in its first record, and may stop for good meanwhile.
constinit pthread_key_t end_of_thread{};
constinit bool is_end_announced = false;  ///< false: there was no key to be had
__attribute__((constructor(101))) void make_key() noexcept { is_end_announced = pthread_key_create(&end_of_thread, leave) == 0; }

ThreadRecord* take_abandoned() noexcept {
  // [threads:acquire] pairs with [threads:release] in publish_new()
  for (ThreadRecord* record = all_threads.load(std::memory_order_acquire); record != nullptr; record = record->next) {
    bool is_taken = record->is_taken.load(std::memory_order_relaxed);  // [relaxed: a hint, the exchange decides]
    // [thread:acquire] pairs with [thread:release] in leave(), ~ThreadUse() and free_all_threads(); [relaxed: somebody else has it, and
    // nothing is read]
    if (!is_taken && record->is_taken.compare_exchange_strong(is_taken, true, std::memory_order_acquire, std::memory_order_relaxed))
      return record;
  }
  return nullptr;
}

ThreadRecord* publish_new() noexcept {
  void* const at = map_pages(round_up_to_pages(sizeof(ThreadRecord)));
  if (at == nullptr) return nullptr;
  auto* const record = static_cast<ThreadRecord*>(at);  // zero pages are a record with no cursors; constructing it would touch them all
  record->cursors[0].store(kParked, std::memory_order_relaxed);  // [relaxed: published by the list]
  record->is_taken.store(true, std::memory_order_relaxed);       // [relaxed: published by the list]
  record->next = all_threads.load(std::memory_order_relaxed);    // [relaxed: the exchange below publishes]
  // [threads:release] pairs with [threads:acquire] in take_abandoned() and unpark_threads(); [relaxed: a failed try reads nothing through
  // it]
  while (!all_threads.compare_exchange_weak(record->next, record, std::memory_order_release, std::memory_order_relaxed)) continue;
  return record;
}

ThreadRecord* take_any() noexcept {
  ThreadRecord* const record = take_abandoned();
  return record != nullptr ? record : publish_new();
}

}  // namespace

extern "C" {
__attribute__((used, tls_model("initial-exec"))) constinit thread_local ThreadSlots* pepper_tls_slots = &no_slots;
}

ThreadUse::ThreadUse() noexcept : record_(this_thread()) {
  if (record_ != nullptr || !settle()) return;
  record_ = take_any();
  if (record_ == nullptr) return;
  if (!has_ended && is_end_announced) {
    pepper_tls_slots = record_;  // first: the next line may allocate, and the allocator record
    if (pthread_setspecific(end_of_thread, record_) == 0) return;
    pepper_tls_slots = &no_slots;
  }
  is_borrowed_ = true;
}

ThreadUse::~ThreadUse() {
  if (is_borrowed_)
    record_->is_taken.store(false, std::memory_order_release);  // [thread:release] pairs with [thread:acquire] in take_abandoned()
}

void forget_this_thread() noexcept { pepper_tls_slots = &no_slots; }

void free_all_threads() noexcept {
  // [threads:acquire] pairs with [threads:release] in publish_new()
  for (ThreadRecord* record = all_threads.load(std::memory_order_acquire); record != nullptr; record = record->next) {
    record->is_attaching = false;
    for (Gap& gap : record->gaps) {  // written only where it changes, as below
      if (gap.load(std::memory_order_relaxed) != 0)
        gap.store(0, std::memory_order_relaxed);  // [relaxed: no thread records before all is settled]
    }
    // A thread stopped between opening its block's chunk and making the block known has left a cursor into a chunk that nobody will drain.
    for (std::size_t place = 1; place < kMaxPlaces; ++place) {
      Cursor& cursor = record->cursors[place];
      // Written only where it changes: the child would copy the page. [relaxed: no thread records before all is settled]
      if (cursor.load(std::memory_order_relaxed) == 0 || record->blocks[place] != nullptr) continue;
      cursor.store(0, std::memory_order_relaxed);  // [relaxed: no thread records before all is settled]
    }
    record->is_taken.store(false, std::memory_order_release);  // [thread:release] pairs with [thread:acquire] in take_abandoned()
  }
}

ThreadRecord* newest_thread() noexcept {
  return all_threads.load(std::memory_order_acquire);  // [threads:acquire] pairs with [threads:release] in publish_new()
}

void unpark_threads(std::uint32_t place) noexcept {
  // [threads:acquire] pairs with [threads:release] in publish_new()
  for (ThreadRecord* record = all_threads.load(std::memory_order_acquire); record != nullptr; record = record->next) {
    std::uintptr_t parked = kParked;
    record->cursors[place].compare_exchange_strong(parked, 0, std::memory_order_relaxed);  // [relaxed: says only: look again]
  }
}

}  // namespace pepper::detail
