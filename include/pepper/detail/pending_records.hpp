#pragma once

#include <pepper/config.hpp>
#include <pepper/detail/capture.hpp>
#include <pepper/detail/dynamic_record.hpp>
#include <pepper/detail/record.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#pragma GCC visibility push(default)
namespace pepper::detail {

/// What it is given, where that is one. Throws std::invalid_argument: see BatchCollector. Here and not in a template, as programs without
/// exceptions include that.
[[nodiscard]] std::size_t checked_batch_size(std::size_t size);

/// Records that wait to be appended at once. Owner thread only.
class PendingRecords {
 public:
  /// Throws std::bad_alloc.
  explicit PendingRecords(std::size_t size) : records_(new Record[size]), size_(size) {}
  ~PendingRecords() { hand_over(); }
  PendingRecords(const PendingRecords&) = delete;
  PendingRecords& operator=(const PendingRecords&) = delete;

  void push(std::uint64_t place, std::uint64_t head, double value) noexcept {
    if (is_handing_over_) [[unlikely]] {  // from an allocator that records what a hand-over allocates
      const Record record{head, value};
      return capture_records(place, &record, 1);
    }
    if (place != place_) [[unlikely]] {
      hand_over();
      place_ = place;
    }
    records_[count_] = {head, value};
    if (++count_ == size_) [[unlikely]]
      hand_over();
  }
  void hand_over() noexcept {
    is_handing_over_ = true;
    capture_records(place_, records_.get(), count_);
    count_ = 0;
    is_handing_over_ = false;
  }

 private:
  std::unique_ptr<Record[]> records_;
  std::size_t size_, count_ = 0;
  std::uint64_t place_ = 0;
  bool is_handing_over_ = false;
};

/// Records by name that wait. Owner thread only.
class PendingMetrics {
 public:
  struct Weighted {
    Metric metric;
    double weight;
  };
  /// Copies it. False: no memory.
  [[nodiscard]] bool try_push(const DynamicRecord& record) noexcept;
  [[nodiscard]] const std::vector<Weighted>& all() const noexcept { return all_; }
  void clear() noexcept { all_.clear(); }

 private:
  std::vector<Weighted> all_;
};

}  // namespace pepper::detail
#pragma GCC visibility pop
