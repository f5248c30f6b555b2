#include "buckets.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <type_traits>

namespace pepper::detail {

namespace {

/// The value that stands for a bucket: equally far from both its borders, relative to them.
double middle_of(std::int64_t index, int scale) noexcept { return bucket_border(index, scale) * (1 + error_at_scale(scale)); }

/// Counts are widened when there are so many records: as many more, and some chunks, may come in place before the next settle().
constexpr std::uint64_t kMostNarrow = (std::uint64_t{1} << 31) - 512;

std::int32_t index_of(double magnitude, int scale) noexcept {
  const auto bits = std::bit_cast<std::uint64_t>(magnitude);
  const ScaleCode code = scale_code(scale);
  return is_normal(bits) && has_table(code) ? bucket_index_by_table(bits, kScaleTables[code]) : bucket_index_slow(bits, scale);
}

Buckets::Window united(const Buckets::Window& window, std::int32_t first, std::int32_t last) noexcept {
  if (window.size == 0) return {first, static_cast<std::uint32_t>(std::int64_t{last} - first + 1)};
  const std::int32_t begin = std::min(window.first, first);
  return {begin, static_cast<std::uint32_t>(std::max<std::int64_t>(window.end(), std::int64_t{last} + 1) - begin)};
}

/// Makes room for values near those that made it grow from `before`, so that it does not grow with each; returns how much.
std::uint32_t widen(Buckets::Window& window, const Buckets::Window& before, std::uint32_t most) noexcept {
  const std::uint32_t step = std::min(most, std::max<std::uint32_t>(8, window.size / 8));
  if (window.size == 0 || window.size == before.size) return 0;
  const bool is_below = before.size == 0 || window.first < before.first;
  if (is_below) window.first -= static_cast<std::int32_t>(before.size == 0 ? step / 2 : step);
  window.size += step;
  return step;
}

Buckets::Window at_lower_scale(const Buckets::Window& window, int steps) noexcept {
  if (window.size == 0) return {};
  const std::int32_t first = window.first >> steps;
  return {first, static_cast<std::uint32_t>(((window.end() - 1) >> steps) - first + 1)};
}

/// How many counts, from the first or the last on, are records before the one of that rank alone; takes those off it. Sums of all of them
/// fit into one. So many are added up at once, which compilers do with vectors, before a part of them is looked at more closely.
template <class Count>
std::uint32_t pass(const Count* counts, std::uint32_t size, bool from_last, std::uint64_t& rank) noexcept {
  std::uint32_t passed = 0;
  const auto pass_by = [&]<std::uint32_t kStride>(std::integral_constant<std::uint32_t, kStride>) {
    for (; size - passed >= kStride; passed += kStride) {
      const Count* const stride = counts + (from_last ? size - passed - kStride : passed);
      Count sum = 0;
      for (std::uint32_t i = 0; i < kStride; ++i) sum += stride[i];
      if (rank < sum) return;
      rank -= sum;
    }
  };
  pass_by(std::integral_constant<std::uint32_t, 128>{});
  pass_by(std::integral_constant<std::uint32_t, 16>{});
  pass_by(std::integral_constant<std::uint32_t, 1>{});
  return passed;
}

}  // namespace

Buckets::Window occupied(const Buckets& of, bool is_negative) noexcept {
  Buckets::Window window = of.window(is_negative);
  std::uint32_t skipped = 0;
  while (window.size != 0 && of.count(is_negative, skipped + window.size - 1) == 0) --window.size;
  while (window.size != 0 && of.count(is_negative, skipped) == 0) ++skipped, ++window.first, --window.size;
  return window;
}

// --- Reading ---

Buckets::Buckets(int scale, const Window& positive, const Window& negative, bool is_wide, BucketLease& lease, std::uint64_t tenant) noexcept
    : scale_(static_cast<std::int8_t>(scale)), is_wide_(is_wide), windows_{positive, negative}, lease_(lease), tenant_(tenant) {}

void Buckets::destroy() const noexcept {
  lease_.give_back(tenant_, bytes());
  this->~Buckets();
  ::operator delete(const_cast<Buckets*>(this));
}

std::uint64_t Buckets::sum(std::uint32_t from, std::uint32_t to) const noexcept {
  std::uint64_t sum = 0;
  if (is_wide_) {
    for (std::uint32_t i = from; i < to; ++i) sum += wide()[i];
  } else {
    for (std::uint32_t i = from; i < to; ++i) sum += narrow()[i];
  }
  return sum;
}

double Buckets::value_at(std::uint64_t rank) const noexcept {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  const bool is_downwards = rank > total_ / 2;  // from the end that is nearer
  if (is_downwards) rank = total_ - 1 - std::min(rank, total_ - 1);
  const double end = is_downwards ? kInfinity : -kInfinity;
  const std::uint64_t at_end = special_[is_downwards ? PageKey::positive_infinity : PageKey::negative_infinity];
  if (rank < at_end) return end;
  rank -= at_end;
  for (const bool is_negative : {!is_downwards, is_downwards}) {
    const Window& window = windows_[is_negative];
    const std::uint32_t base = is_negative ? windows_[0].size : 0;
    const bool from_last = is_negative != is_downwards;
    const std::uint32_t passed =
        is_wide_ ? pass(wide() + base, window.size, from_last, rank) : pass(narrow() + base, window.size, from_last, rank);
    if (passed < window.size) {
      const double magnitude = middle_of(from_last ? window.end() - 1 - passed : std::int64_t{window.first} + passed, scale_);
      return is_negative ? -magnitude : magnitude;
    }
    if (is_negative == is_downwards) break;
    if (rank < special_[PageKey::zero]) return 0;
    rank -= special_[PageKey::zero];
  }
  return -end;
}

double Buckets::count_up_to(double x) const noexcept {
  // Records of one sign with a magnitude of up to m; a part of m's own bucket.
  const auto up_to = [this](bool is_negative, double m) -> double {
    const Window& window = windows_[is_negative];
    const std::uint32_t base = is_negative ? windows_[0].size : 0;
    const std::int64_t at = std::int64_t{index_of(m, scale_)} - window.first;
    if (at < 0) return 0;
    if (at >= window.size) return static_cast<double>(sum(base, base + window.size));
    const auto i = static_cast<std::uint32_t>(at);
    const double lower = bucket_border(std::int64_t{window.first} + i, scale_),
                 upper = std::min(bucket_border(std::int64_t{window.first} + i + 1, scale_), std::numeric_limits<double>::max());
    const double part = upper > lower ? (m - lower) / (upper - lower) : 1;
    return static_cast<double>(sum(base, base + i)) + std::clamp(part, 0.0, 1.0) * static_cast<double>(count(is_negative, i));
  };
  if (x == std::numeric_limits<double>::infinity()) return static_cast<double>(total_);
  double up = static_cast<double>(special_[PageKey::negative_infinity]);
  if (x == -std::numeric_limits<double>::infinity()) return up;
  const std::uint32_t positives = windows_[0].size;
  up += static_cast<double>(sum(positives, positives + windows_[1].size));
  if (x < 0) return up - up_to(true, -x);
  up += static_cast<double>(special_[PageKey::zero]);
  return x == 0 ? up : up + up_to(false, x);
}

// --- Writing ---

bool BucketWriter::make_room(bool is_negative, std::int32_t first, std::int32_t last, int scale, std::uint64_t most) noexcept {
  const Buckets* const old = shared_.get();
  const bool is_wide = most > kMostNarrow || (old != nullptr && (old->is_wide_ || old->total_ + most > kMostNarrow));
  const bool was_own = is_own();
  Buckets::Window before[2];
  if (old != nullptr) std::copy_n(old->windows_, 2, before);
  bool is_trimmed = old == nullptr, is_short = false;
  const auto trim = [&] {  // what is only room gives way first
    for (const bool sign : {false, true}) before[sign] = occupied(*old, sign);
    is_trimmed = true;
  };
  for (int to = old == nullptr ? scale : std::min<int>(scale, old->scale_); to >= kMinScale;) {
    Buckets::Window windows[2];
    for (const bool sign : {false, true}) {
      if (old != nullptr) windows[sign] = at_lower_scale(before[sign], old->scale_ - to);
      if (sign == is_negative && first <= last) windows[sign] = united(windows[sign], first >> (scale - to), last >> (scale - to));
    }
    std::uint64_t size = std::uint64_t{windows[0].size} + windows[1].size;
    if (size > limits_.max_buckets) {
      if (is_trimmed) {
        --to;
        continue;
      }
      trim();
      continue;
    }
    const Buckets::Window was = old == nullptr ? Buckets::Window{} : at_lower_scale(before[is_negative], old->scale_ - to);
    const std::size_t replaced = old == nullptr ? 0 : old->bytes();
    // Where memory is short, as far as the memory of the old one goes.
    const std::uint64_t room = std::min<std::uint64_t>(limits_.max_buckets, is_short ? Buckets::size_in(replaced, is_wide) : ~0u);
    if (windows[is_negative].size != was.size)
      size += widen(windows[is_negative], was, static_cast<std::uint32_t>(room - std::min(room, size)));
    if (was_own && to == old->scale_ && is_wide == old->is_wide_ && windows[0] == old->windows_[0] && windows[1] == old->windows_[1])
      return true;
    const std::size_t bytes = Buckets::bytes_of(size, is_wide);
    const bool is_taken = lease_.try_take(bytes, replaced);
    void* const at = is_taken ? ::operator new(bytes, std::nothrow) : nullptr;
    if (at == nullptr) {
      if (is_taken) lease_.undo(bytes, replaced);
      if (is_short) --to;
      is_short = true;
      if (!is_trimmed) trim();
      continue;
    }
    auto* const made = new (at) Buckets(to, windows[0], windows[1], is_wide, lease_, lease_.tenant());
    std::memset(static_cast<void*>(made + 1), 0, bytes - sizeof(Buckets));
    const SharedBuckets kept(std::move(shared_));  // the old one, until it is copied
    shared_ = SharedBuckets(made);
    if (old == nullptr) return true;
    std::copy_n(old->special_, 3, made->special_);
    made->total_ = old->special_[0] + old->special_[1] + old->special_[2];
    made->backfilled_ = old->backfilled_;
    made->least_filled_ = old->least_filled_;
    for (const bool sign : {false, true}) {
      const Buckets::Window& window = before[sign];
      if (window.size == 0) continue;
      const auto skipped = static_cast<std::uint32_t>(window.first - old->windows_[sign].first);
      if (to == old->scale_ && !is_wide && !old->is_wide_) {  // as they are
        std::memcpy(made->narrow() + (sign ? windows[0].size : 0) + (window.first - windows[sign].first),
                    old->narrow() + (sign ? old->windows_[0].size : 0) + skipped, window.size * sizeof(std::uint32_t));
        continue;
      }
      for (std::uint32_t i = 0; i < window.size; ++i) {
        if (const std::uint64_t count = old->count(sign, skipped + i))
          put(sign, static_cast<std::int32_t>(window.first + i), old->scale_, count);
      }
    }
    made->total_ = old->total_;
    return true;
  }
  return false;
}

void BucketWriter::put(bool is_negative, std::int32_t index, int scale, std::uint64_t count) noexcept {
  Buckets& to = *shared_.at_;
  const Buckets::Window& window = to.windows_[is_negative];
  const auto at = static_cast<std::uint32_t>((index >> (scale - to.scale_)) - window.first) + (is_negative ? to.windows_[0].size : 0);
  if (to.is_wide_) {
    to.wide()[at] += count;
  } else {
    to.narrow()[at] += static_cast<std::uint32_t>(count);
  }
  to.total_ += count;
}

bool BucketWriter::add_special(PageKey::Special what, std::uint64_t count) noexcept {
  if (!make_room(false, 1, 0, kMaxScale, count)) return false;
  shared_.at_->special_[what] += count;
  shared_.at_->total_ += count;
  return true;
}

bool BucketWriter::add(bool is_negative, std::int32_t index, int scale, std::uint64_t count) noexcept {
  if (!make_room(is_negative, index, index, scale, count)) return false;
  put(is_negative, index, scale, count);
  return true;
}

bool BucketWriter::add(const BucketTable::Page& page) noexcept {
  if (PageKey::code(page.key) == 0) {
    bool is_done = true;
    for (const PageKey::Special what : {PageKey::zero, PageKey::positive_infinity, PageKey::negative_infinity}) {
      if (page.counts[what] != 0) is_done = add_special(what, page.counts[what]) && is_done;
    }
    return is_done;
  }
  const std::int32_t base = PageKey::first_index(page.key);
  const bool is_negative = PageKey::is_negative(page.key);
  const int scale = scale_of(PageKey::code(page.key));
  std::int32_t first = -1, last = -1;
  std::uint64_t sum = 0;
  for (std::int32_t i = 0; i < static_cast<std::int32_t>(kBucketsPerPage); ++i) {
    if (page.counts[i] == 0) continue;
    if (first < 0) first = i;
    last = i;
    sum += page.counts[i];
  }
  if (first < 0) return true;
  if (!make_room(is_negative, base + first, base + last, scale, sum)) return false;
  for (std::int32_t i = first; i <= last; ++i) {
    if (page.counts[i] != 0) put(is_negative, base + i, scale, page.counts[i]);
  }
  return true;
}

bool BucketWriter::fill_back(const BucketPlace& place, std::uint64_t count) noexcept {
  const ScaleCode code = PageKey::code(place.key);
  const double interval = limits_.expected_interval;
  if (code == 0 || PageKey::is_negative(place.key) || !(interval > 0)) return true;
  const double value = middle_of(std::int64_t{PageKey::first_index(place.key)} + place.at, scale_of(code));
  // More of them for one record than a double counts would be the same double; of all, so many that a count does not come round.
  constexpr double kMost = std::uint64_t{1} << 53;
  constexpr std::uint64_t kMostInAll = std::uint64_t{1} << 62;
  const std::uint64_t total = shared_.get() == nullptr ? 0 : shared_.get()->total_;
  const std::uint64_t room = (kMostInAll - std::min(total, kMostInAll)) / count;
  const double missing = std::min({std::floor(value / interval) - 1, kMost, static_cast<double>(room)});
  if (!(missing >= 1)) return true;
  const double least = std::max(std::fma(-missing, interval, value), interval);
  const auto missing_at = [least, interval](std::uint64_t j) { return least + static_cast<double>(j) * interval; };
  const auto all = static_cast<std::uint64_t>(missing);
  const int scale = shared_.get() == nullptr ? scale_of(code) : shared_.get()->scale();
  const double most = missing_at(all - 1);
  if (!make_room(false, index_of(least, scale), index_of(most, scale), scale, count * all)) return false;
  Buckets& buckets = *shared_.at_;
  buckets.least_filled_ = std::min(buckets.least_filled_, least);
  const int to = buckets.scale();
  std::uint64_t left = all;
  // From above, bucket by bucket: how many are up to its lower border?
  std::int32_t index = index_of(most, to);
  for (double upper = bucket_border(std::int64_t{index} + 1, to); left != 0; --index) {
    const double lower = bucket_border(index, to);
    if (upper - lower < 4 * interval) break;  // fewer are quicker added one by one
    const std::uint64_t below = lower < least ? 0 : std::min(left, static_cast<std::uint64_t>((lower - least) / interval) + 1);
    if (below != left) put(false, index, to, count * (left - below));
    left = below;
    upper = lower;
  }
  const auto add_rest = [&, first = buckets.windows_[0].first](auto* counts) noexcept {
    const auto each = static_cast<std::remove_pointer_t<decltype(counts)>>(count);
    const ScaleTable table = kScaleTables[scale_code(to)];  // a copy, as the stores to counts could change it
    if (has_table(scale_code(to)) && is_normal(std::bit_cast<std::uint64_t>(least))) {
      for (std::uint64_t rest = left; rest-- != 0;)
        counts[bucket_index_by_table(std::bit_cast<std::uint64_t>(missing_at(rest)), table) - first] += each;
    } else {
      for (std::uint64_t rest = left; rest-- != 0;) counts[index_of(missing_at(rest), to) - first] += each;
    }
  };
  if (buckets.is_wide_) {
    add_rest(buckets.wide());
  } else {
    add_rest(buckets.narrow());
  }
  buckets.total_ += count * left;
  buckets.backfilled_ += count * all;
  return true;
}

bool BucketWriter::add(const BucketPlace& place, std::uint64_t count) noexcept {
  const ScaleCode code = PageKey::code(place.key);
  if (code == 0) return add_special(static_cast<PageKey::Special>(place.at), count);
  return add(PageKey::is_negative(place.key), PageKey::first_index(place.key) + static_cast<std::int32_t>(place.at), scale_of(code), count);
}

bool BucketWriter::add_one(bool is_negative, std::int32_t index) noexcept {
  Buckets& to = *shared_.at_;
  const Buckets::Window& window = to.windows_[is_negative];
  auto at = static_cast<std::uint32_t>(index - window.first);
  if (at >= window.size) return false;
  if (is_negative) at += to.windows_[0].size;
  if (to.is_wide_) {
    ++to.wide()[at];
  } else {
    ++to.narrow()[at];
  }
  return true;
}

bool BucketWriter::is_own() const noexcept {
  // [buckets:acquire] pairs with [buckets:release] in let_go(): the last snapshot to read it is gone
  return shared_.get() != nullptr && shared_.get()->references_.load(std::memory_order_acquire) == 1;
}

void BucketWriter::settle() noexcept {
  if (shared_.get() == nullptr) return;
  Buckets& at = *shared_.at_;
  at.total_ = at.sum(0, at.windows_[0].size + at.windows_[1].size) + at.special_[0] + at.special_[1] + at.special_[2];
}

bool BucketWriter::merge(const Buckets& from) noexcept {
  for (const bool sign : {false, true}) {
    const Buckets::Window window = occupied(from, sign);
    if (window.size == 0) continue;
    if (!make_room(sign, window.first, static_cast<std::int32_t>(window.end() - 1), from.scale_, from.total_)) return false;
    const auto skipped = static_cast<std::uint32_t>(window.first - from.windows_[sign].first);
    for (std::uint32_t i = 0; i < window.size; ++i) {
      if (const std::uint64_t count = from.count(sign, skipped + i))
        put(sign, static_cast<std::int32_t>(window.first + i), from.scale_, count);
    }
  }
  for (const PageKey::Special what : {PageKey::zero, PageKey::positive_infinity, PageKey::negative_infinity}) {
    if (from.special_[what] != 0 && !add_special(what, from.special_[what])) return false;
  }
  if (from.backfilled_ != 0) {
    shared_.at_->backfilled_ += from.backfilled_;
    shared_.at_->least_filled_ = std::min(shared_.at_->least_filled_, from.least_filled_);
  }
  return true;
}

}  // namespace pepper::detail
