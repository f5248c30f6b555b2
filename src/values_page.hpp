#pragma once

#include "buckets.hpp"

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <utility>
#include <vector>

namespace pepper::detail {

/// What a snapshot keeps of one series.
struct SeriesValues {
  std::uint64_t count = 0;
  double sum = 0;
  double min = std::numeric_limits<double>::quiet_NaN(), max = min, last = min;
};

/// Shares a T, which counts its `references` from 1 on. Thread-compatible, as a shared_ptr is; half its size.
template <class T>
class Shared {
 public:
  Shared() noexcept = default;
  explicit Shared(T* made) noexcept : at_(made) {}
  Shared(const Shared& other) noexcept : at_(other.at_) {
    if (at_ != nullptr) at_->references.fetch_add(1, std::memory_order_relaxed);  // [relaxed: who copies holds one]
  }
  Shared(Shared&& other) noexcept : at_(std::exchange(other.at_, nullptr)) {}
  Shared& operator=(Shared other) noexcept {
    std::swap(at_, other.at_);
    return *this;
  }
  ~Shared() {
    // [page:release] [page:acquire] who deletes comes after all who read; pairs with itself
    if (at_ != nullptr && at_->references.fetch_sub(1, std::memory_order_acq_rel) == 1) delete at_;
  }

  [[nodiscard]] const T* operator->() const noexcept { return at_; }
  /// What may be changed: this one if nobody shares it, else a copy in its place. Throws std::bad_alloc.
  [[nodiscard]] T& writable() {
    // [page:acquire] pairs with [page:release] in ~Shared(): the last snapshot to read it is gone
    if (at_->references.load(std::memory_order_acquire) != 1) *this = Shared(new T(*at_));
    return *at_;
  }

 private:
  T* at_ = nullptr;
};

/// The values of 32 neighbouring series. Shared by all snapshots between which none of them changed; immutable once it is published.
struct ValuesPage {
  static constexpr std::uint32_t kSeries = 32;
  ValuesPage() noexcept = default;
  ValuesPage(const ValuesPage& other) {
    std::copy_n(other.values, kSeries, values);
    if (other.violations != nullptr) {
      violations = std::make_unique<std::uint64_t[]>(kSeries);
      std::copy_n(other.violations.get(), kSeries, violations.get());
    }
    if (other.buckets == nullptr) return;
    buckets = std::make_unique<SharedBuckets[]>(kSeries);
    std::copy_n(other.buckets.get(), kSeries, buckets.get());
  }
  ValuesPage& operator=(const ValuesPage&) = delete;
  ~ValuesPage() = default;

  SeriesValues values[kSeries];
  std::unique_ptr<SharedBuckets[]> buckets;     ///< null where none of the series has a distribution
  std::unique_ptr<std::uint64_t[]> violations;  ///< null where none of them has any
  std::atomic<std::uint32_t> references{1};
};

/// 64 neighbouring pages, shared as they are: a snapshot of 100,000 series takes 49 references, not 3,125.
struct ValuesGroup {
  static constexpr std::uint32_t kPages = 64, kSeries = kPages * ValuesPage::kSeries;
  ValuesGroup() noexcept = default;
  ValuesGroup(const ValuesGroup& other) noexcept { std::copy_n(other.pages, kPages, pages); }
  ValuesGroup& operator=(const ValuesGroup&) = delete;
  ~ValuesGroup() = default;

  Shared<ValuesPage> pages[kPages];  ///< null past the last series
  std::atomic<std::uint32_t> references{1};
};

/// The values of all series.
class Values {
 public:
  [[nodiscard]] const SeriesValues& operator[](std::uint32_t index) const noexcept {
    return page_of(index)->values[index % ValuesPage::kSeries];
  }
  /// Ahead of what is read of a series: where its values begin, and where those of its page have buckets.
  void prefetch(std::uint32_t index) const noexcept {
    const Shared<ValuesPage>& page = page_of(index);
    __builtin_prefetch(&page->values[index % ValuesPage::kSeries]);
    __builtin_prefetch(&page->buckets);
  }
  /// Null: it has none.
  [[nodiscard]] const Buckets* buckets(std::uint32_t index) const noexcept {
    const Shared<ValuesPage>& page = page_of(index);
    return page->buckets == nullptr ? nullptr : page->buckets[index % ValuesPage::kSeries].get();
  }
  /// Of a series below what grow() was told last. Throws std::bad_alloc.
  void set(std::uint32_t index, const SeriesValues& values, const SharedBuckets& buckets) {
    ValuesPage& page = writable_page(index / ValuesPage::kSeries).writable();
    page.values[index % ValuesPage::kSeries] = values;
    if (buckets.get() == nullptr) return;
    if (page.buckets == nullptr) page.buckets = std::make_unique<SharedBuckets[]>(ValuesPage::kSeries);
    page.buckets[index % ValuesPage::kSeries] = buckets;
  }
  [[nodiscard]] std::uint64_t violations(std::uint32_t index) const noexcept {
    const Shared<ValuesPage>& page = page_of(index);
    return page->violations == nullptr ? 0 : page->violations[index % ValuesPage::kSeries];
  }
  /// As set().
  void set_violations(std::uint32_t index, std::uint64_t violations) {
    ValuesPage& page = writable_page(index / ValuesPage::kSeries).writable();
    if (page.violations == nullptr) page.violations = std::make_unique<std::uint64_t[]>(ValuesPage::kSeries);
    page.violations[index % ValuesPage::kSeries] = violations;
  }
  /// Room for `size` series, those that are new without a value. Throws std::bad_alloc, and then keeps what it has.
  void grow(std::uint32_t size) {
    for (; std::size_t{pages_} * ValuesPage::kSeries < size; ++pages_) {
      if (pages_ == groups_.size() * ValuesGroup::kPages) groups_.push_back(Shared(new ValuesGroup));
      writable_page(pages_) = Shared(new ValuesPage);
    }
  }
  void clear() noexcept {
    groups_.clear();
    pages_ = 0;
  }

 private:
  [[nodiscard]] const Shared<ValuesPage>& page_of(std::uint32_t index) const noexcept {
    return groups_[index / ValuesGroup::kSeries]->pages[index / ValuesPage::kSeries % ValuesGroup::kPages];
  }
  [[nodiscard]] Shared<ValuesPage>& writable_page(std::uint32_t page) {
    return groups_[page / ValuesGroup::kPages].writable().pages[page % ValuesGroup::kPages];
  }

  std::vector<Shared<ValuesGroup>> groups_;
  std::uint32_t pages_ = 0;
};

}  // namespace pepper::detail
