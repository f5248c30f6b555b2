#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace pepper::detail {

// The buckets of a base-2 exponential histogram, as OpenTelemetry's data model defines it: at scale s, bucket i holds the magnitudes in
// (2^(i / 2^s), 2^((i + 1) / 2^s)]. Bucket i at scale s lies in bucket i >> 1 at scale s - 1, so that any two scales merge losslessly at
// the lower one. https://opentelemetry.io/docs/specs/otel/metrics/data-model/#exponentialhistogram

inline constexpr int kMinScale = -10, kMaxScale = 20;  ///< at the least one, all magnitudes lie in four buckets

/// Up to this scale (0.07 %) an index takes a table; above it, up to eleven multiplications.
inline constexpr int kTableScale = 9;

/// For the scales s from 0 to kTableScale one after another, of each 2^-(s + 1) of an octave, in which one border at most lies: what to add
/// to a double's bits so that their upper ones, down to the s-th of the mantissa, are the index of its bucket.
extern const std::array<std::uint64_t, (std::size_t{4} << kTableScale) - 2> kIndexAddends;

/// What is to be known of a scale to find an index by the table.
struct ScaleTable {
  std::uint32_t first = 0;  ///< of its entries
  std::uint32_t mask = 1;   ///< entries - 1
  std::int32_t bias = 0;    ///< that a double's exponent has
  std::uint8_t shift = 51;  ///< of a double's bits, which leaves exponent and entry
};
/// By scale - kMinScale + 1. Where there is no table, one that harms nobody.
extern const std::array<ScaleTable, 32> kScaleTables;

/// The same at any scale and of denormals; `magnitude` is the bits of a finite double above zero.
[[nodiscard]] std::int32_t bucket_index_slow(std::uint64_t magnitude, int scale) noexcept;

/// The bucket of a normal double, exact at every border; `scale` must have a table.
[[gnu::always_inline]] inline std::int32_t bucket_index_by_table(std::uint64_t magnitude, const ScaleTable& scale) noexcept {
  const std::uint64_t addend = kIndexAddends[scale.first + (magnitude >> scale.shift & scale.mask)];
  return static_cast<std::int32_t>((magnitude + addend) >> scale.shift >> 1) - scale.bias;
}

/// The lower border of a bucket, which the bucket before holds: 2^(index / 2^scale) rounded down; infinite past the largest double.
[[nodiscard]] double bucket_border(std::int64_t index, int scale) noexcept;

/// How far, relative to it, a value can be from the value that stands for its bucket: (b - 1) / (b + 1) with b = 2^(2^-scale), as
/// 2 l u / (l + u) is equally far from both borders l and u.
[[nodiscard]] double error_at_scale(int scale) noexcept;
/// The lowest scale with at most that error; 1e-6 to 0.5.
[[nodiscard]] int scale_for_error(double relative_error) noexcept;

}  // namespace pepper::detail
