#include <pepper/distribution.hpp>

#include "bucket_index.hpp"
#include "buckets.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

namespace pepper {

namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity(), kNaN = std::numeric_limits<double>::quiet_NaN();

/// Of one of the buckets in ascending order, empty ones included, as most are: not worth a border.
std::uint64_t count_at(const detail::Buckets& buckets, std::uint64_t at) noexcept {
  const std::uint64_t negatives = buckets.window(true).size, positives = buckets.window(false).size;
  if (at == 0) return buckets.special(detail::PageKey::negative_infinity);
  if (at <= negatives) return buckets.count(true, static_cast<std::uint32_t>(negatives - at));
  at -= negatives + 1;
  if (at == 0) return buckets.special(detail::PageKey::zero);
  if (at <= positives) return buckets.count(false, static_cast<std::uint32_t>(at - 1));
  return buckets.special(detail::PageKey::positive_infinity);
}

Bucket bucket_at(const detail::Buckets& buckets, std::uint64_t at) noexcept {
  const detail::Buckets::Window &positive = buckets.window(false), &negative = buckets.window(true);
  const std::uint64_t count = count_at(buckets, at);
  const auto border = [&](std::int64_t index) { return detail::bucket_border(index, buckets.scale()); };
  if (at == 0) return {-kInfinity, -kInfinity, count};
  if (at <= negative.size) {
    const std::int64_t index = std::int64_t{negative.first} + negative.size - static_cast<std::int64_t>(at);
    return {-border(index + 1), -border(index), count};
  }
  at -= negative.size + 1;
  if (at == 0) return {0, 0, count};
  if (at > positive.size) return {kInfinity, kInfinity, count};
  const std::int64_t index = std::int64_t{positive.first} + static_cast<std::int64_t>(at) - 1;
  return {border(index), border(index + 1), count};
}

std::uint64_t size_of(const detail::Buckets& buckets) noexcept {
  return std::uint64_t{buckets.window(false).size} + buckets.window(true).size + 3;
}

}  // namespace

std::uint64_t Distribution::count() const noexcept { return buckets_ == nullptr ? 0 : buckets_->total(); }
std::uint64_t Distribution::backfilled() const noexcept { return buckets_ == nullptr ? 0 : buckets_->backfilled(); }
// Not below 0 where a fold was under way while its series got a check.
std::uint64_t Distribution::undistributed() const noexcept { return records_ - std::min(records_, count() - backfilled()); }
int Distribution::scale() const noexcept { return buckets_ == nullptr ? detail::kMaxScale : buckets_->scale(); }
double Distribution::relative_error() const noexcept { return detail::error_at_scale(scale()); }

double Distribution::least() const noexcept { return buckets_ == nullptr ? min_ : std::min(min_, buckets_->least_filled()); }

double Distribution::quantile(double q) const noexcept {
  const std::uint64_t n = count();
  if (n == 0 || q != q) return kNaN;
  if (q <= 0) return least();
  if (q >= 1) return max_;
  const double rank = std::ceil(q * static_cast<double>(n));  // from 1 on
  const auto before = static_cast<std::uint64_t>(std::max(rank, 1.0)) - 1;
  return std::clamp(buckets_->value_at(std::min(before, n - 1)), least(), max_);
}

double Distribution::cdf(double x) const noexcept {
  const std::uint64_t n = count();
  if (n == 0 || x != x) return kNaN;
  if (x < least()) return 0;
  if (x >= max_) return 1;
  return std::clamp(buckets_->count_up_to(x) / static_cast<double>(n), 0.0, 1.0);
}

std::uint64_t Distribution::count_above(double x) const noexcept {
  const std::uint64_t n = count();
  if (n == 0 || x != x || x >= max_) return 0;
  if (x < least()) return n;
  return n - std::min(n, static_cast<std::uint64_t>(std::llround(buckets_->count_up_to(x))));
}

double Distribution::bucket_end(double x) const noexcept {
  if (x == 0 || !std::isfinite(x)) return x;
  const std::int64_t index = detail::bucket_index_slow(std::bit_cast<std::uint64_t>(std::abs(x)), scale());
  return x > 0 ? detail::bucket_border(index + 1, scale()) : -detail::bucket_border(index, scale());
}

Distribution::Iterator Distribution::begin() const noexcept { return buckets_ == nullptr ? Iterator{} : Iterator{buckets_, 0}; }
Distribution::Iterator Distribution::end() const noexcept {
  return buckets_ == nullptr ? Iterator{} : Iterator{buckets_, size_of(*buckets_)};
}

ExponentialBuckets::ExponentialBuckets(const detail::Buckets* buckets, bool is_negative, int max_scale) noexcept
    : buckets_(buckets),
      is_negative_(is_negative),
      scale_(std::clamp(max_scale, detail::kMinScale, buckets == nullptr ? detail::kMaxScale : buckets->scale())) {
  const detail::Buckets::Window window = buckets == nullptr ? detail::Buckets::Window{} : detail::occupied(*buckets, is_negative);
  if (window.size == 0) return;
  const int finer = buckets->scale() - scale_;
  offset_ = window.first >> finer;
  size_ = static_cast<std::uint32_t>(((window.end() - 1) >> finer) - offset_ + 1);
}

std::uint64_t ExponentialBuckets::operator[](std::size_t i) const noexcept {
  if (i >= size_) return 0;
  const detail::Buckets::Window& window = buckets_->window(is_negative_);
  const std::int64_t each = std::int64_t{1} << (buckets_->scale() - scale_);
  const std::int64_t first = (offset_ + static_cast<std::int64_t>(i)) * each, end = std::min(first + each, window.end());
  std::uint64_t count = 0;
  for (std::int64_t index = std::max<std::int64_t>(first, window.first); index < end; ++index)
    count += buckets_->count(is_negative_, static_cast<std::uint32_t>(index - window.first));
  return count;
}

ExponentialBuckets Distribution::positive(int max_scale) const noexcept { return {buckets_, false, max_scale}; }
ExponentialBuckets Distribution::negative(int max_scale) const noexcept { return {buckets_, true, max_scale}; }
std::uint64_t Distribution::zero_count() const noexcept { return buckets_ == nullptr ? 0 : buckets_->special(detail::PageKey::zero); }

Bucket Distribution::Iterator::operator*() const noexcept { return bucket_at(*buckets_, at_); }

void Distribution::Iterator::skip_empty() noexcept {
  for (const std::uint64_t size = size_of(*buckets_); at_ < size && count_at(*buckets_, at_) == 0;) ++at_;
}

}  // namespace pepper
