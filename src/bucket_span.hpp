#pragma once

#include "bucket_table.hpp"

#include <algorithm>
#include <cstdint>

namespace pepper::detail {

/// A positive bucket's index and its scale in one number, which a record's bits give without a look at what they are: no double but a
/// positive normal one has a number that a BucketSpan holds.
namespace bucket_number {

inline constexpr int kScaleShift = 22;  ///< sign, exponent and kTableScale bits more are below

/// What of() has to know of a scale that has a table.
class Scale {
 public:
  explicit Scale(ScaleCode of) noexcept
      : addends_(kIndexAddends.data() + kScaleTables[of].first), mask_(kScaleTables[of].mask), shift_(kScaleTables[of].shift), code_(of) {}
  [[nodiscard]] const std::uint64_t* addends() const noexcept { return addends_; }
  [[nodiscard]] std::uint32_t mask() const noexcept { return mask_; }
  [[nodiscard]] int shift() const noexcept { return shift_; }
  [[nodiscard]] ScaleCode code() const noexcept { return code_; }

 private:
  const std::uint64_t* addends_;
  std::uint32_t mask_;
  std::uint8_t shift_;
  ScaleCode code_;
};
/// The same of 1 %, which most series have: known to the compiler.
struct UsualScale {
  static constexpr int kScale = 6;
  [[nodiscard]] static const std::uint64_t* addends() noexcept { return kIndexAddends.data() + mask() - 1; }
  [[nodiscard]] static constexpr std::uint32_t mask() noexcept { return (2u << kScale) - 1; }
  [[nodiscard]] static constexpr int shift() noexcept { return 51 - kScale; }
  [[nodiscard]] static constexpr ScaleCode code() noexcept { return scale_code(kScale); }
};
/// Numbers of the first bucket whose doubles are all normal, and of the last one, which holds what of() says of infinity.
[[nodiscard]] inline std::int64_t first_normal(ScaleCode code) noexcept {
  return (std::int64_t{code} << kScaleShift) + (std::int64_t{1} << scale_of(code));
}
[[nodiscard]] inline std::int64_t last(ScaleCode code) noexcept {
  return (std::int64_t{code} << kScaleShift) + (std::int64_t{2047} << scale_of(code)) - 1;
}
[[nodiscard]] inline std::int64_t of_index(std::int64_t index, ScaleCode code) noexcept {
  return (std::int64_t{code} << kScaleShift) + (std::int64_t{1023} << scale_of(code)) + index;
}
/// Of any double's bits. See bucket_index_by_table().
template <class AnyScale>
[[gnu::always_inline]] inline std::uint32_t of(std::uint64_t bits, const AnyScale& scale) noexcept {
  const std::uint64_t addend = scale.addends()[bits >> scale.shift() & scale.mask()];
  return static_cast<std::uint32_t>((bits + addend) >> scale.shift() >> 1) + (std::uint32_t{scale.code()} << kScaleShift);
}

}  // namespace bucket_number

/// Counts of neighbouring positive buckets of one series, by number. All 0: of none.
struct BucketSpan {
  std::uint32_t* counts = nullptr;
  std::uint32_t minus_first = 0;  ///< number of the first, negated: an addition is one with that of the scale
  std::uint32_t size = 0;

  /// Where a number's count is; it has none from `size` on.
  [[nodiscard]] std::uint32_t place_of(std::uint32_t number) const noexcept { return number + minus_first; }

  /// As much of these as have a number; none where the scale has no table.
  static BucketSpan of(std::uint32_t* counts, std::int32_t index, std::uint32_t size, ScaleCode code) noexcept {
    if (!has_table(code)) return {};
    const std::int64_t begin = bucket_number::of_index(index, code);
    const std::int64_t first = std::max(begin, bucket_number::first_normal(code));
    const std::int64_t end = std::min(begin + size, bucket_number::last(code));
    if (first >= end) return {};
    return {counts + (first - begin), static_cast<std::uint32_t>(-first), static_cast<std::uint32_t>(end - first)};
  }
};

}  // namespace pepper::detail
