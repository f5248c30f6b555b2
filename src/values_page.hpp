#pragma once

#include <atomic>
#include <cstdint>
#include <limits>
#include <utility>

namespace pepper::detail {

/// What a snapshot keeps of one series.
struct SeriesValues {
  std::uint64_t count = 0;
  double sum = 0;
  double min = std::numeric_limits<double>::quiet_NaN(), max = min, last = min;
};

/// The values of 32 neighbouring series. Shared by all snapshots between which none of them changed; immutable once it is published.
struct ValuesPage {
  static constexpr std::uint32_t kSeries = 32;
  ValuesPage() noexcept = default;
  ValuesPage(const ValuesPage& other) noexcept {
    for (std::uint32_t i = 0; i < kSeries; ++i) values[i] = other.values[i];
  }
  ValuesPage& operator=(const ValuesPage&) = delete;
  ~ValuesPage() = default;

  SeriesValues values[kSeries];
  std::atomic<std::uint32_t> references{1};
};

/// Shares a page. Thread-compatible, as a shared_ptr is; half its size.
class PageRef {
 public:
  PageRef() noexcept = default;
  explicit PageRef(ValuesPage* page) noexcept : page_(page) {}
  PageRef(const PageRef& other) noexcept : page_(other.page_) {
    if (page_ != nullptr) page_->references.fetch_add(1, std::memory_order_relaxed);  // [relaxed: who copies holds one]
  }
  PageRef(PageRef&& other) noexcept : page_(std::exchange(other.page_, nullptr)) {}
  PageRef& operator=(PageRef other) noexcept {
    std::swap(page_, other.page_);
    return *this;
  }
  ~PageRef() {
    // [page:release] [page:acquire] who deletes comes after all who read; pairs with itself
    if (page_ != nullptr && page_->references.fetch_sub(1, std::memory_order_acq_rel) == 1) delete page_;
  }

  [[nodiscard]] ValuesPage& operator*() const noexcept { return *page_; }
  [[nodiscard]] ValuesPage* operator->() const noexcept { return page_; }

 private:
  ValuesPage* page_ = nullptr;
};

}  // namespace pepper::detail
