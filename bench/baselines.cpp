// What a program would do without pepper, in the same loop.

#include "benches.hpp"
#include "bursts.hpp"

#include <concurrentqueue/concurrentqueue.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <limits>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

namespace pepper::bench {
namespace {

struct PlainRecord {
  std::uint64_t head;
  double value;
};

struct Aggregate {
  std::uint64_t count = 0;
  double sum = 0, min = std::numeric_limits<double>::infinity(), max = -std::numeric_limits<double>::infinity();

  void add(double value) {
    ++count;
    sum += value;
    if (value < min) min = value;
    if (value > max) max = value;
  }
};

/// For what needs no drain.
struct Undrained {
  void drain() {}
};

struct DoNothing : Undrained {
  explicit DoNothing(int) {}
  auto op(int) {
    return [](std::size_t, double value) { use(value); };
  }
  const char* fault(std::uint64_t) { return nullptr; }
};

/// The limit: what any scheme that keeps each value must do. 64 KiB a thread, nobody reads it, nothing says when it is full.
class StoreInRing : public Undrained {
 public:
  explicit StoreInRing(int threads) : rings_(new Ring[static_cast<std::size_t>(threads)]) { benchmark::DoNotOptimize(rings_.get()); }
  auto op(int thread) {
    return [ring = &rings_[static_cast<std::size_t>(thread)]](std::size_t, double value) {
      ring->records[ring->tail % kSize] = {7, value};
      ++ring->tail;
    };
  }
  const char* fault(std::uint64_t) { return rings_[0].tail == 0 ? "nothing was stored" : nullptr; }

 private:
  static constexpr std::size_t kSize = 4'096;
  struct alignas(64) Ring {
    std::uint64_t tail = 0;
    std::array<PlainRecord, kSize> records{};
  };
  std::unique_ptr<Ring[]> rings_;
};

thread_local std::array<Aggregate, 16> thread_aggregates;

/// What a program saves that gives up reading the other threads' numbers.
template <std::size_t kSeries>
struct AddToThreadLocal : Undrained {
  explicit AddToThreadLocal(int) {}
  auto op(int) {
    benchmark::DoNotOptimize(thread_aggregates.data());
    return [](std::size_t i, double value) { thread_aggregates[i % kSeries].add(value); };
  }
  const char* fault(std::uint64_t) { return nullptr; }
};

template <class T>
class FetchAdd : public Undrained {
 public:
  explicit FetchAdd(int) { benchmark::DoNotOptimize(&sum_); }
  auto op(int) {
    return [sum = &sum_](std::size_t, double value) { sum->fetch_add(static_cast<T>(value), std::memory_order_relaxed); };
  }
  const char* fault(std::uint64_t) { return sum_ == T{} ? "nothing was added" : nullptr; }

 private:
  alignas(64) std::atomic<T> sum_{};
};

/// The first thing one writes. The key is a finished string: a program that builds it at each call pays for that on top.
class AggregateInMutexMap : public Undrained {
 public:
  explicit AggregateInMutexMap(int) {
    for (std::size_t i = 0; i < 16; ++i) keys_.push_back("http.requests;route=/api/v1/items/" + std::to_string(i) + ";status=200");
  }
  auto op(int) {
    return [this](std::size_t i, double value) {
      const std::lock_guard lock(mutex_);
      aggregates_[keys_[i % 16]].add(value);
    };
  }
  const char* fault(std::uint64_t records) {
    std::uint64_t count = 0;
    for (const auto& [key, aggregate] : aggregates_) count += aggregate.count;
    return count == records ? nullptr : "records are missing";
  }

 private:
  std::vector<std::string> keys_;
  std::mutex mutex_;
  std::unordered_map<std::string, Aggregate> aggregates_;
};

/// The queue that pepper sends chunks through, given each record by itself.
class EnqueueMoodycamel {
 public:
  explicit EnqueueMoodycamel(int threads) : queue_(kBurst * 2, static_cast<std::size_t>(threads), 0), consumer_(queue_) {
    for (int i = 0; i < threads; ++i) producers_.emplace_back(queue_);
  }
  auto op(int thread) {
    return [this, producer = &producers_[static_cast<std::size_t>(thread)]](std::size_t, double value) {
      if (!queue_.try_enqueue(*producer, PlainRecord{7, value})) refused_ = true;
    };
  }
  void drain() {
    std::array<PlainRecord, 256> records;
    while (const std::size_t count = queue_.try_dequeue_bulk(consumer_, records.data(), records.size())) drained_ += count;
  }
  const char* fault(std::uint64_t records) { return refused_ || drained_ != records ? "records are missing" : nullptr; }

 private:
  moodycamel::ConcurrentQueue<PlainRecord> queue_;
  moodycamel::ConsumerToken consumer_;
  std::vector<moodycamel::ProducerToken> producers_;
  std::atomic<bool> refused_{false};
  std::uint64_t drained_ = 0;
};

}  // namespace

void add_baselines() {
  add_alone<DoNothing>("do_nothing");
  add_alone<StoreInRing>("store_in_ring/kib:64");
  add_teams<StoreInRing>("store_in_ring/kib:64");
  add_alone<AddToThreadLocal<1>>("add_to_thread_local/series:1");
  add_alone<AddToThreadLocal<16>>("add_to_thread_local/series:16");
  add_alone<FetchAdd<std::uint64_t>>("fetch_add_integer");
  add_teams<FetchAdd<std::uint64_t>>("fetch_add_integer");
  add_alone<FetchAdd<double>>("fetch_add_double");
  add_teams<FetchAdd<double>>("fetch_add_double");
  add_alone<AggregateInMutexMap>("aggregate_in_mutex_map/keys:16");
  add_teams<AggregateInMutexMap>("aggregate_in_mutex_map/keys:16");
  add_alone<EnqueueMoodycamel>("enqueue_moodycamel");
  add_teams<EnqueueMoodycamel>("enqueue_moodycamel");
}

}  // namespace pepper::bench
