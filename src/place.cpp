#include "place.hpp"

#include "fork.hpp"

#include <algorithm>
#include <bit>
#include <mutex>
#include <new>
#include <stdexcept>

namespace pepper::detail {

namespace {

/// Never destroyed, as threads record through static destruction. Place 0 stays null: unbound handles.
constinit std::atomic<Place*> places[kMaxPlaces]{};

constinit Mutex places_mutex;

// A place keeps the room it was made with. The last ones are not for ordinary collectors, so that a large one finds a place
// however many there were.
constexpr std::uint32_t kOrdinaryRoom = 1u << 18, kKeptForLarge = 64;

}  // namespace

constinit thread_local bool is_service_thread = false;

Place& place_at(std::uint64_t offset) noexcept {
  return *places[offset / sizeof(Cursor)].load(std::memory_order_acquire);  // [places:acquire] pairs with [places:release] in Place::take()
}

Place& Place::take(const TelemetryConfig& config) {
  // Each known name may get an overflow series of its own, and there is one for all other names.
  const auto capacity = static_cast<std::uint32_t>(2 * config.max_series + 1);
  if (!settle()) throw std::bad_alloc{};
  const std::lock_guard lock(places_mutex);
  const bool is_large = capacity > kOrdinaryRoom;
  for (std::uint32_t i = 1; i < (is_large ? kMaxPlaces : kMaxPlaces - kKeptForLarge); ++i) {
    const std::uint32_t index = is_large ? kMaxPlaces - i : i;
    Place* place = places[index].load(std::memory_order_relaxed);  // [relaxed: written under the mutex]
    if (place == nullptr) {
      place = new Place(index, std::max(kOrdinaryRoom, std::bit_ceil(capacity)));
      places[index].store(place, std::memory_order_release);  // [places:release] pairs with [places:acquire] in place_at()
    }
    // Overload sets are never moved, and series numbers never used twice.
    if (place->is_used_ || place->series_.room() < capacity || capacity > ~std::uint32_t{0} - place->next_number_) continue;
    place->fill_pool((config.buffer_size + kChunkRecords - 1) / kChunkRecords, true);
    place->is_used_ = true;
    place->budget_.take(place->pool_chunks() * sizeof(Chunk));
    place->budget_.set_limit(config.memory_limit_bytes);
    place->blocking_.store(Blocking::no, std::memory_order_relaxed);  // [relaxed: the gate opens later]
    place->set_policy(config.on_overflow);
    place->series_.set(place->next_number_, capacity);
    place->tickets_used_ = 0;
    place->signals_.store(nullptr, std::memory_order_relaxed);                          // [relaxed: the gate opens later]
    for (auto& refused : place->refused_) refused.store(0, std::memory_order_relaxed);  // [relaxed: the gate opens later]
    place->generation_.fetch_add(1, std::memory_order_relaxed);                         // [relaxed: compared only; the gate opens later]
    return *place;
  }
  throw std::length_error("MetricsCollector: there is no place for another collector (959 can be alive, fewer of very many series)");
}

void Place::fill_pool(std::size_t chunks, bool is_touched) {
  recycler_ = free_.make_producer(chunks);
  if (idle_.size() < chunks) {
    const std::size_t more = chunks - idle_.size();
    idle_.reserve(all_chunks_ + more);
    auto* const arena = static_cast<Chunk*>(map_pages(more * sizeof(Chunk)));
    if (arena == nullptr) throw std::bad_alloc{};
    arenas_.emplace_back(arena, more * sizeof(Chunk));
    all_chunks_ += more;
    for (std::size_t i = 0; i < more; ++i) idle_.push_back(&arena[i]);
  }
  for (std::size_t i = 0; i < chunks; ++i) {
    if (is_touched) touch_pages(idle_.back(), sizeof(Chunk));  // here, and not by a thread that records
    recycle(idle_.back());
    idle_.pop_back();
  }
  pool_chunks_.store(chunks, std::memory_order_relaxed);  // [relaxed: as in pool_chunks()]
}

void Place::leave() noexcept {
  stop_blocking();  // a collector that was never made whole has not
  const std::lock_guard lock(places_mutex);
  for (Chunk* chunk = nullptr; free_.try_pop_from(recycler_, chunk);) {
    if (chunk == nullptr) continue;
    release_pages(chunk, sizeof(Chunk));
    idle_.push_back(chunk);
  }
  for (; !withheld_.empty(); withheld_.pop_back()) idle_.push_back(withheld_.back());
  for (ThreadBlock* block = first_block(); block != nullptr; block = block->next) block->release_sets();
  bucket_lease_.end();
  budget_.give_back(pool_chunks() * sizeof(Chunk));
  budget_.give_back(charged_.exchange(0, std::memory_order_relaxed));  // [relaxed: a number, guards no data]
  for (unsigned char* const page : signal_pages_) release_pages(page, kPageBytes);
  signal_pages_.clear();
  signals_used_ = 0;
  is_used_ = false;
}

void Place::forget_signals() noexcept {
  for (const std::atomic<Place*>& known : places) {
    const Place* const place = known.load(std::memory_order_relaxed);  // [relaxed: no other thread]
    if (place == nullptr) continue;
    for (SignalSeries* series = place->first_signal_series(); series != nullptr; series = series->next) series->forget();
  }
}

void Place::start_all_over() {
  const std::lock_guard lock(places_mutex);
  for (const std::atomic<Place*>& known : places) {
    if (Place* const place = known.load(std::memory_order_relaxed)) place->start_over();  // [relaxed: written under the mutex]
  }
}

void Place::start_over() {
  sealed_.abandon();
  free_.abandon();
  for (ThreadBlock* block = first_block(); block != nullptr; block = block->next) {
    // Its thread may have been stopped between making it known here and remembering it.
    auto* const slots = reinterpret_cast<ThreadSlots*>(&block->cursor() - index_);
    static_cast<ThreadRecord*>(slots)->blocks[index_] = block;
    block->start_over();
  }
  // Each block has its first chunk again: all others are the pool's, whoever had them.
  left_.clear();
  withheld_.clear();
  idle_.clear();
  for (const auto& [at, bytes] : arenas_) {
    auto* const chunks = static_cast<Chunk*>(at);
    for (std::size_t i = 0; i < bytes / sizeof(Chunk); ++i) idle_.push_back(&chunks[i]);
  }
  // What the collector holds stays in the budget, but for what threads have taken: those are gone. A page that one of them was just taking
  // may stay in it as well.
  budget_.give_back(charged_.exchange(0, std::memory_order_relaxed));  // [relaxed: a number, guards no data]
  if (is_used_) fill_pool(pool_chunks(), false);
  for (auto& refused : refused_) refused.store(0, std::memory_order_relaxed);  // [relaxed: no thread records before all is settled]
  generation_.fetch_add(1, std::memory_order_relaxed);                         // [relaxed: compared only]
}

void Place::recycle(Chunk* chunk) {
  // Only where it changes: a child would copy every page of the pool. [relaxed: written by who had it before]
  if (chunk->owner.load(std::memory_order_relaxed) != nullptr)
    chunk->owner.store(nullptr, std::memory_order_release);  // [free:release] pairs with [free:acquire] in try_take_free()
  if (withholders_ != 0) return withheld_.push_back(chunk);
  free_.push(recycler_, chunk);
  if (blocking_.load(std::memory_order_relaxed) == Blocking::yes) space_.notify_all();  // [relaxed: waiters look again by themselves]
}

void Place::withhold_chunks() {
  withheld_.reserve(all_chunks_);
  ++withholders_;
  for (Chunk* chunk = nullptr; free_.try_pop(chunk);) {
    if (chunk == nullptr) continue;                      // see ChunkQueue::make_producer()
    (void)chunk->owner.load(std::memory_order_acquire);  // [free:acquire] pairs with [free:release] in recycle()
    withheld_.push_back(chunk);
  }
}

void Place::give_chunks_back() {
  if (--withholders_ != 0) return;
  for (; !withheld_.empty(); withheld_.pop_back()) recycle(withheld_.back());
}

void Place::refuse(Cause cause, std::uint64_t count) noexcept {
  refused_[static_cast<std::size_t>(cause)].fetch_add(count, std::memory_order_relaxed);  // [relaxed: a number, guards no data]
}

std::uint64_t Place::refused(Cause cause) const noexcept {
  return refused_[static_cast<std::size_t>(cause)].load(std::memory_order_relaxed);  // [relaxed: a number, guards no data]
}

void Place::open_gate() noexcept {
  gate_.exchange(1, std::memory_order_acq_rel);  // [gate:release] pairs with [gate:acquire] in is_open(); [parked:acquire] with
                                                 // [parked:release] in park()
  unpark_threads(index_);
}

void Place::close_gate() noexcept {
  gate_.exchange(0, std::memory_order_release);  // [gate:release] pairs with [gate:acquire] in is_open()
}

void Place::set_policy(OverflowPolicy policy) noexcept {
  policy_.store(policy, std::memory_order_relaxed);  // [relaxed: with either policy, and whatever is said of blocking, nothing is lost]
  const bool blocks = policy == OverflowPolicy::block;
  Blocking was = blocks ? Blocking::no : Blocking::yes;  // once it has ended it stays so
  // [relaxed: waiters look again by themselves]
  blocking_.compare_exchange_strong(was, blocks ? Blocking::yes : Blocking::no, std::memory_order_relaxed, std::memory_order_relaxed);
  space_.notify_all();
}

void Place::stop_blocking() noexcept {
  blocking_.store(Blocking::ended, std::memory_order_relaxed);  // [relaxed: waiters look again by themselves]
  space_.notify_all();
}

std::uint32_t Place::new_tickets() noexcept {
  unsigned char* const at = tickets_ + std::size_t{tickets_used_} * kTicketBytes;
  if (reinterpret_cast<std::uintptr_t>(at) % kPageBytes == 0) touch_pages(at, kPageBytes);  // here, and not by a thread that sets the gauge
  return ++tickets_used_;
}

SignalSeries& Place::new_signal_series(std::uint32_t index) {
  constexpr std::size_t kPerPage = kPageBytes / sizeof(SignalSeries);
  if (signals_used_ == signal_pages_.size() * kPerPage) {
    signal_pages_.reserve(signal_pages_.size() + 1);
    if (!try_charge(kPageBytes)) throw std::bad_alloc{};
    void* const page = map_pages(kPageBytes);
    if (page == nullptr) throw std::bad_alloc{};
    signal_pages_.push_back(static_cast<unsigned char*>(page));
  }
  const std::size_t i = signals_used_++;
  auto* const made = new (signal_pages_[i / kPerPage] + i % kPerPage * sizeof(SignalSeries)) SignalSeries;
  made->index = index;
  made->next = signals_.load(std::memory_order_relaxed);  // [relaxed: written under the mutex]
  signals_.store(made, std::memory_order_release);        // [signals:release] pairs with [signals:acquire] in first_signal_series()
  return *made;
}

}  // namespace pepper::detail
