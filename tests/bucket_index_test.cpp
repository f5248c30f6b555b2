#include "bucket_index.hpp"

#include <doctest/doctest.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <random>

using namespace pepper::detail;

namespace {

std::int32_t index_of(double value, int scale) { return bucket_index_slow(std::bit_cast<std::uint64_t>(value), scale); }

std::int32_t by_table(std::uint64_t magnitude, int scale) {
  return bucket_index_by_table(magnitude, kScaleTables[static_cast<std::size_t>(scale - kMinScale + 1)]);
}

/// 2^(index / 2^scale) with eleven digits more than a double has.
long double definition(std::int64_t index, int scale) { return std::exp2(std::ldexp(static_cast<long double>(index), -scale)); }

}  // namespace

TEST_CASE("a border is the last value of its bucket, and the next double the first of the next, at every border of every scale") {
  for (int scale = kMinScale; scale <= kMaxScale; ++scale) {
    CAPTURE(scale);
    const std::int64_t octave = std::int64_t{1} << std::max(scale, 0);
    const std::int64_t step = scale > 11 ? octave / 2048 - 1 : 1;  // 1 less, so that odd ones come up as well
    const std::int64_t end = scale < 0 ? 1000 >> -scale : 3 * octave;
    std::size_t wrong = 0;
    for (std::int64_t index = -end; index <= end; index += step) {
      const double border = bucket_border(index, scale), next = std::nextafter(border, std::numeric_limits<double>::infinity());
      // The definition lies in [border, next). It may round to `next` where it is nearer to that than a long double tells.
      wrong +=
          !(static_cast<long double>(border) <= definition(index, scale) && definition(index, scale) <= static_cast<long double>(next));
      wrong += index_of(border, scale) != index - 1;
      wrong += index_of(next, scale) != index;
      if (scale < 0 || scale > kTableScale) continue;
      wrong += by_table(std::bit_cast<std::uint64_t>(border), scale) != index - 1;
      wrong += by_table(std::bit_cast<std::uint64_t>(next), scale) != index;
    }
    CHECK(wrong == 0);
  }
}

TEST_CASE("the table says what the definition says of any normal double") {
  std::mt19937_64 random{1};
  std::size_t wrong = 0;
  for (int i = 0; i < 100'000; ++i) {
    const std::uint64_t exponent = 1 + random() % 2046, magnitude = exponent << 52 | random() >> 12;
    for (int scale = 0; scale <= kTableScale; ++scale) wrong += by_table(magnitude, scale) != bucket_index_slow(magnitude, scale);
  }
  CHECK(wrong == 0);
}

TEST_CASE("a bucket lies in the one of half its index a scale below, denormals and the largest doubles included") {
  std::mt19937_64 random{2};
  std::size_t wrong = 0;
  for (int i = 0; i < 20'000; ++i) {
    std::uint64_t magnitude = 1 + random() % 0x7fefffffffffffff;
    if (i % 4 == 0) magnitude >>= 11 + random() % 52;
    if (magnitude == 0) continue;
    for (int scale = kMinScale; scale < kMaxScale; ++scale)
      wrong += bucket_index_slow(magnitude, scale + 1) >> 1 != bucket_index_slow(magnitude, scale);
  }
  CHECK(wrong == 0);
  CHECK(index_of(5e-324, 0) == -1075);  // 2^-1074 is the last of (2^-1075, 2^-1074]
  CHECK(index_of(1.7976931348623157e308, 0) == 1023);
  CHECK(index_of(1, 20) == -1);
}

TEST_CASE("the scale of an error is the least that keeps it") {
  CHECK(scale_for_error(0.01) == 6);
  for (double error = 1e-6; error <= 0.5; error *= 1.01) {
    const int scale = scale_for_error(error);
    CHECK(error_at_scale(scale) <= error);
    CHECK(error_at_scale(scale - 1) > error);
  }
}
