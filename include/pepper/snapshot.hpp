#pragma once

#include <pepper/config.hpp>
#include <pepper/distribution.hpp>
#include <pepper/exemplar.hpp>
#include <pepper/stats.hpp>

#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#pragma GCC visibility push(default)
namespace pepper {

namespace detail {
struct SnapshotData;
struct SnapshotAccess;
struct SeriesPart;
}  // namespace detail

/// What a snapshot has of a series' records of one sample rate.
struct SampledPart {
  double weight = 1;           ///< 1 / rate: of the records that were made, each that was kept stands for so many; 0: none is kept
  std::uint64_t recorded = 0;  ///< really
  Distribution distribution;   ///< of those, whatever the kind of the series
};

/// The parts of a series that a SamplingCollector samples, one for each rate in the order in which they were bound, but first of all what
/// was recorded without one. None where it is not sampled. A view that lives as long as its snapshot. Immutable, thread-safe; no member
/// allocates.
class SampledParts {
 public:
  SampledParts() noexcept = default;
  /// Private to the library: these come from SeriesSnapshot.
  SampledParts(const detail::SnapshotData& data, const detail::SeriesPart* parts, std::size_t size) noexcept
      : data_(&data), parts_(parts), size_(size) {}

  [[nodiscard]] bool empty() const noexcept { return size_ == 0; }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] SampledPart operator[](std::size_t at) const noexcept;

  /// What `count_of(at)`, a number of records that the part `at` has, is estimated to be of all records that were made, as
  /// SeriesSnapshot::count is of SampledPart::recorded: unbiased, rounded, at most 2^63. Where each part's number only grows, so does the
  /// estimate: counts up to a border may be shown as counters.
  template <class CountOf>
  [[nodiscard]] std::uint64_t estimate(CountOf&& count_of) const {
    double sum = 0;
    for (std::size_t at = 0; at < size_; ++at) sum += (*this)[at].weight * static_cast<double>(count_of(at));
    return sum < 0x1p63 ? static_cast<std::uint64_t>(std::llround(sum)) : std::uint64_t{1} << 63;
  }

 private:
  const detail::SnapshotData* data_ = nullptr;
  const detail::SeriesPart* parts_ = nullptr;
  std::size_t size_ = 0;
};

/// One series at the moment of its snapshot. Its views live as long as the snapshot. Immutable.
struct SeriesSnapshot {
  std::string_view name;
  std::span<const Tag> tags;  ///< sorted by key
  Kind kind{};
  std::string_view unit, help;
  std::uint64_t count = 0;
  double sum = 0;           ///< |error| <= 2^-46 * sum of |values|; infinities make it infinite, both signs NaN
  double min = 0, max = 0;  ///< exact; NaN while count is 0
  double last = 0;          ///< gauge: set last. Else: of the records folded last, the last

  [[nodiscard]] double mean() const noexcept;
  /// The value at a share `q` in [0, 1] of the records, in ascending order: see Distribution::quantile(). NaN where the series has no
  /// distribution or no record.
  [[nodiscard]] double quantile(double q) const noexcept;

  Distribution distribution;  ///< of a histogram or timer; of no record otherwise

  // Of a series that a SamplingCollector samples, count and sum are estimates of all records that were made, unbiased. Min, max, last and
  // the distribution are of those that were kept, whatever their rates; last is that of the last of `parts` that has any.
  std::uint64_t recorded = 0;  ///< really; count, where nothing was sampled
  /// Recorded by count; while both are 0, the lowest rate that the series is bound at. Where nobody samples it, and it has no `parts`, 1.
  double sample_rate = 1;
  /// Standard errors, estimated from what was kept; that of the sum is as exact as a bucket is wide, or too high where memory_limit_bytes
  /// had no room for buckets. 0 where nobody samples. 0 also where no part that is sampled kept anything, and that says little: at a rate p
  /// some 3 / p records go unseen once in 20 times, and any number at 0.
  double count_error = 0, sum_error = 0;
  std::uint64_t refused = 0;     ///< calls that a RateLimitedCollector refused: in no other number here
  std::uint64_t violations = 0;  ///< values that SeriesOptions::check refused (they are in no field above) or clamped (they are in all)

  /// The distribution as rows of bars, at most so many of at most `width` characters, for a terminal. Neighbouring buckets share a row
  /// where there are more. No number is cut: borders have as many digits, from six on, as tell those of a row apart, and where borders,
  /// count and a bar need more than `width` (77 is always enough), rows have no bars, and are as wide as the numbers are. A border at
  /// infinity is shown as the largest double. Empty where there is no distribution.
  [[nodiscard]] std::string histogram_text(std::size_t rows = 16, std::size_t width = 80) const;

  Exemplars exemplars;  ///< of records with metadata; none where memory_limit_bytes had no room for them

  SampledParts parts;  ///< by sample rate; none where nobody samples the series
};

/// Immutable aggregates of all series at one moment, and the ledger of that moment. Thread-safe; shared by all who read it, and
/// costs memory while it is kept.
class Snapshot : public std::enable_shared_from_this<Snapshot> {
 public:
  class Iterator;

  /// Private to the library: snapshots come from MetricsCollector.
  Snapshot(const detail::SnapshotAccess&, std::unique_ptr<detail::SnapshotData>) noexcept;
  ~Snapshot();
  Snapshot(const Snapshot&) = delete;
  Snapshot& operator=(const Snapshot&) = delete;

  /// 1 for the first published, one more for each; 0 before any.
  [[nodiscard]] std::uint64_t sequence() const noexcept;
  [[nodiscard]] std::chrono::system_clock::time_point taken_at() const noexcept;
  /// Series in it.
  [[nodiscard]] std::size_t size() const noexcept;

  /// All series in (name, tags) order. The first call on a snapshot with new series sorts; later ones, and later snapshots, do not.
  [[nodiscard]] Iterator begin() const;
  [[nodiscard]] Iterator end() const;

  /// The series of that name and exactly those tags, or null. What is returned keeps this snapshot alive. Lock-free; one allocation.
  [[nodiscard]] std::shared_ptr<const SeriesSnapshot> find(std::string_view name, TagsView tags = {}) const;

  [[nodiscard]] const CollectorStats& stats() const noexcept;

  /// The series as an aligned table for humans, one line each, a header first. Control characters, and bytes that are no UTF-8, are shown
  /// as question marks; a character counts as one column, also where a terminal takes two, as of East Asian ones.
  [[nodiscard]] std::string to_text() const;

 private:
  [[nodiscard]] SeriesSnapshot in_order(std::size_t position) const noexcept;

  std::unique_ptr<detail::SnapshotData> data_;
};

/// Walks a snapshot in (name, tags) order; makes each SeriesSnapshot as it is looked at.
class Snapshot::Iterator {
 public:
  using iterator_concept = std::random_access_iterator_tag;
  using iterator_category = std::input_iterator_tag;  // its reference is a value
  using value_type = SeriesSnapshot;
  using difference_type = std::ptrdiff_t;
  using reference = SeriesSnapshot;
  struct pointer {
    SeriesSnapshot series;
    const SeriesSnapshot* operator->() const noexcept { return &series; }
  };

  Iterator() noexcept = default;
  reference operator*() const noexcept { return snapshot_->in_order(static_cast<std::size_t>(position_)); }
  pointer operator->() const noexcept { return {**this}; }
  reference operator[](difference_type n) const noexcept { return *(*this + n); }
  Iterator& operator++() noexcept { return *this += 1; }
  Iterator operator++(int) noexcept { return std::exchange(*this, *this + 1); }
  Iterator& operator--() noexcept { return *this -= 1; }
  Iterator operator--(int) noexcept { return std::exchange(*this, *this - 1); }
  Iterator& operator+=(difference_type n) noexcept { return position_ += n, *this; }
  Iterator& operator-=(difference_type n) noexcept { return position_ -= n, *this; }
  friend Iterator operator+(Iterator it, difference_type n) noexcept { return it += n; }
  friend Iterator operator+(difference_type n, Iterator it) noexcept { return it += n; }
  friend Iterator operator-(Iterator it, difference_type n) noexcept { return it -= n; }
  friend difference_type operator-(const Iterator& a, const Iterator& b) noexcept { return a.position_ - b.position_; }
  friend bool operator==(const Iterator& a, const Iterator& b) noexcept { return a.position_ == b.position_; }
  friend auto operator<=>(const Iterator& a, const Iterator& b) noexcept { return a.position_ <=> b.position_; }

 private:
  friend Snapshot;
  Iterator(const Snapshot* snapshot, difference_type position) noexcept : snapshot_(snapshot), position_(position) {}

  const Snapshot* snapshot_ = nullptr;
  difference_type position_ = 0;
};

}  // namespace pepper
#pragma GCC visibility pop
