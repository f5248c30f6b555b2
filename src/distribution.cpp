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

/// One of the buckets in ascending order, empty ones included.
Bucket bucket_at(const detail::Buckets& buckets, std::uint64_t at) noexcept {
  const detail::Buckets::Window &positive = buckets.window(false), &negative = buckets.window(true);
  if (at == 0) return {-kInfinity, -kInfinity, buckets.special(detail::PageKey::negative_infinity)};
  at -= 1;
  if (at < negative.size) {
    const auto i = static_cast<std::uint32_t>(negative.size - 1 - at);
    const std::int64_t index = std::int64_t{negative.first} + i;
    return {-detail::bucket_border(index + 1, buckets.scale()), -detail::bucket_border(index, buckets.scale()), buckets.count(true, i)};
  }
  at -= negative.size;
  if (at == 0) return {0, 0, buckets.special(detail::PageKey::zero)};
  at -= 1;
  if (at < positive.size) {
    const auto i = static_cast<std::uint32_t>(at);
    const std::int64_t index = std::int64_t{positive.first} + i;
    return {detail::bucket_border(index, buckets.scale()), detail::bucket_border(index + 1, buckets.scale()), buckets.count(false, i)};
  }
  return {kInfinity, kInfinity, buckets.special(detail::PageKey::positive_infinity)};
}

std::uint64_t size_of(const detail::Buckets& buckets) noexcept {
  return std::uint64_t{buckets.window(false).size} + buckets.window(true).size + 3;
}

}  // namespace

std::uint64_t Distribution::count() const noexcept { return buckets_ == nullptr ? 0 : buckets_->total(); }
std::uint64_t Distribution::backfilled() const noexcept { return buckets_ == nullptr ? 0 : buckets_->backfilled(); }
std::uint64_t Distribution::undistributed() const noexcept { return records_ - (count() - backfilled()); }
int Distribution::scale() const noexcept { return buckets_ == nullptr ? detail::kMaxScale : buckets_->scale(); }
double Distribution::relative_error() const noexcept { return detail::error_at_scale(scale()); }

double Distribution::least() const noexcept { return backfilled() == 0 ? min_ : std::min(min_, (*begin()).lower); }

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

Bucket Distribution::Iterator::operator*() const noexcept { return bucket_at(*buckets_, at_); }

void Distribution::Iterator::skip_empty() noexcept {
  for (const std::uint64_t size = size_of(*buckets_); at_ < size && bucket_at(*buckets_, at_).count == 0;) ++at_;
}

}  // namespace pepper
