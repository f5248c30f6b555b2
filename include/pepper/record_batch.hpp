#pragma once

#include <pepper/config.hpp>
#include <pepper/tags.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <span>
#include <string_view>

#pragma GCC visibility push(default)
namespace pepper {

namespace detail {
class Registry;
struct RecordPiece;
}  // namespace detail

/// One record, as its thread made it. Its views live as long as the callback that it was given to.
struct RawRecord {
  std::string_view name;
  std::span<const Tag> tags;  ///< sorted by key
  Kind kind{};
  double value = 0;                              ///< of a timer in seconds
  double weight = 1;                             ///< how many records it stands for
  std::chrono::system_clock::time_point time{};  ///< where its series has SeriesOptions::timestamps, to a tick of the kernel; {}: not known
};

/// Some records of one thread, in the order in which it made them; earlier ones of that thread came in earlier batches. Or of none, to say
/// how many were missed. Lives as long as the callback that it was given to. Thread-safe; no member allocates.
class RecordBatch {
 public:
  class Iterator;

  /// Private to the library: batches come from MetricsCollector::on_records().
  RecordBatch(const detail::RecordPiece& piece, const detail::Registry& registry) noexcept : piece_(piece), registry_(registry) {}
  RecordBatch(const RecordBatch&) = delete;
  RecordBatch& operator=(const RecordBatch&) = delete;

  /// Records in it, 0 to 255.
  [[nodiscard]] std::size_t size() const noexcept;
  [[nodiscard]] bool empty() const noexcept { return size() == 0; }
  [[nodiscard]] RawRecord operator[](std::size_t i) const noexcept;
  [[nodiscard]] Iterator begin() const noexcept;
  [[nodiscard]] Iterator end() const noexcept;

  /// The same for all records of a thread, another for each that is alive; a later thread may take over that of one that has ended.
  [[nodiscard]] std::uint64_t thread() const noexcept;
  /// Records that were aggregated and come in no batch, since the batch before: threads had folded them themselves, a signal handler had
  /// counted them, or the subscribers were too slow and the buffer full.
  [[nodiscard]] std::uint64_t missed() const noexcept;

 private:
  const detail::RecordPiece& piece_;
  const detail::Registry& registry_;
};

class RecordBatch::Iterator {
 public:
  using iterator_concept = std::forward_iterator_tag;
  using iterator_category = std::input_iterator_tag;  // its reference is a value
  using value_type = RawRecord;
  using difference_type = std::ptrdiff_t;
  using reference = RawRecord;
  using pointer = void;

  Iterator() noexcept = default;
  [[nodiscard]] RawRecord operator*() const noexcept { return (*batch_)[at_]; }
  Iterator& operator++() noexcept { return ++at_, *this; }
  Iterator operator++(int) noexcept {
    const Iterator before = *this;
    ++at_;
    return before;
  }
  friend bool operator==(const Iterator& a, const Iterator& b) noexcept { return a.at_ == b.at_; }

 private:
  friend RecordBatch;
  Iterator(const RecordBatch* batch, std::size_t at) noexcept : batch_(batch), at_(at) {}

  const RecordBatch* batch_ = nullptr;
  std::size_t at_ = 0;
};

inline RecordBatch::Iterator RecordBatch::begin() const noexcept { return {this, 0}; }
inline RecordBatch::Iterator RecordBatch::end() const noexcept { return {this, size()}; }

}  // namespace pepper
#pragma GCC visibility pop
