#include "bucket_table.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <random>

using namespace pepper::detail;

namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

std::uint64_t bits_of(double value) { return std::bit_cast<std::uint64_t>(value); }

/// As a page's key and the place on it say, which is what all counting goes by.
std::int32_t index_in(const BucketPlace& place) { return PageKey::first_index(place.key) + static_cast<std::int32_t>(place.at); }

/// By the table, where the scale has one.
std::int32_t index_of(double value, int scale) { return index_in(place_bucket(bits_of(value), 0, scale_code(scale))); }

std::int32_t index_slow(double value, int scale) { return bucket_index_slow(bits_of(value), scale); }

/// Log-uniform over all finite doubles, denormals included.
double any_magnitude(std::mt19937_64& random) {
  std::uint64_t bits = 1 + random() % (bits_of(std::numeric_limits<double>::max()));
  if (bits % 8 == 0) bits = (bits & ((std::uint64_t{1} << 52) - 1)) >> random() % 51;
  return std::bit_cast<double>(std::max<std::uint64_t>(bits, 1));
}

}  // namespace

TEST_CASE("all borders of an octave are as exact far from 1 as near it") {
  for (const int octave : {-1022, -1000, -537, -53, -1, 0, 1, 52, 311, 1000, 1023}) {
    for (int scale = 0; scale <= 10; ++scale) {
      CAPTURE(octave);
      CAPTURE(scale);
      std::size_t wrong = 0;
      for (std::int32_t part = 0; part < 1 << scale; ++part) {
        const std::int32_t index = octave * (1 << scale) + part;
        const double border = bucket_border(index, scale), next = std::nextafter(border, kInfinity);
        wrong += border != std::ldexp(bucket_border(part, scale), octave);
        wrong += index_slow(border, scale) != index - 1 || index_slow(next, scale) != index;
        wrong += index_of(next, scale) != index;
        // The least normal double's is counted as well, by what is not the table.
        wrong += index_of(border, scale) != index - 1;
      }
      CHECK(wrong == 0);
    }
  }
}

TEST_CASE("an index is what the logarithm says, wherever that can tell") {
  std::mt19937_64 random{3};
  for (int scale = kMinScale; scale <= kMaxScale; ++scale) {
    CAPTURE(scale);
    std::size_t wrong = 0, told = 0;
    for (int i = 0; i < 20'000; ++i) {
      const double value = any_magnitude(random);
      const long double exact = std::ldexp(std::log2(static_cast<long double>(value)), scale);
      // A long double has 64 digits; of those, an index of 31 leaves 33 for what tells two doubles of one bucket apart.
      if (std::abs(exact - std::round(exact)) < std::ldexp(1.0L, -20)) continue;
      ++told;
      wrong += index_slow(value, scale) != static_cast<std::int32_t>(std::ceil(exact)) - 1;
    }
    CHECK(wrong == 0);
    CHECK(told > 10'000);
  }
}

TEST_CASE("the place of a value is that of its index, whichever way it was found, and of its series and sign") {
  std::mt19937_64 random{4};
  std::size_t wrong = 0;
  for (int i = 0; i < 100'000; ++i) {
    const double magnitude = any_magnitude(random), value = i % 2 == 0 ? magnitude : -magnitude;
    const int scale = kMinScale + static_cast<int>(random() % (kMaxScale - kMinScale + 1));
    const auto series = static_cast<std::uint32_t>(random() >> 33);
    const BucketPlace place = place_bucket(bits_of(value), series, scale_code(scale));
    const BucketPlace slow = place_bucket_slow(bits_of(value), series, scale_code(scale));
    wrong += place.key != slow.key || place.at != slow.at || place.at >= kBucketsPerPage || place.key == 0;
    wrong += index_in(place) != index_slow(magnitude, scale);
    wrong += PageKey::series(place.key) != series || scale_of(PageKey::code(place.key)) != scale;
    wrong += PageKey::is_negative(place.key) != (value < 0);
  }
  CHECK(wrong == 0);
}

TEST_CASE("zeros and infinities have places that no value shares, and a code of their own") {
  for (const std::uint32_t series : {0u, 1u, (1u << 31) - 1}) {
    for (int scale = kMinScale; scale <= kMaxScale; ++scale) {
      const auto place = [&](double value) { return place_bucket(bits_of(value), series, scale_code(scale)); };
      CHECK(place(0.0).at == PageKey::zero);
      CHECK(place(-0.0).at == PageKey::zero);
      CHECK(place(kInfinity).at == PageKey::positive_infinity);
      CHECK(place(-kInfinity).at == PageKey::negative_infinity);
      for (const double value : {0.0, -0.0, kInfinity, -kInfinity}) {
        CHECK(PageKey::code(place(value).key) == 0);
        CHECK(PageKey::series(place(value).key) == series);
        CHECK(place(value).key != 0);
      }
    }
  }
}

TEST_CASE("at the least scale all magnitudes lie in four buckets") {
  for (const double value : {5e-324, 1e-310, 2.2250738585072014e-308, 0.5, 1.0, 1.5, 1.7976931348623157e308}) {
    CHECK(index_of(value, kMinScale) >= -2);
    CHECK(index_of(value, kMinScale) <= 1);
  }
}

TEST_CASE("a value lies between the borders of its bucket, above the lower and up to the upper one") {
  std::mt19937_64 random{5};
  const auto count_wrong = [&](bool is_normal, int scale) {
    std::size_t wrong = 0;
    for (int i = 0; i < 5'000; ++i) {
      double value = any_magnitude(random);
      if (is_normal != std::isnormal(value)) value = is_normal ? 1 / 3.0 : std::bit_cast<double>(1 + random() % 2000);
      const std::int32_t index = index_of(value, scale);
      wrong += !(bucket_border(index, scale) < value && value <= bucket_border(std::int64_t{index} + 1, scale));
    }
    return wrong;
  };
  for (int scale = kMinScale; scale <= kMaxScale; ++scale) {
    CAPTURE(scale);
    CHECK(count_wrong(true, scale) == 0);
    // The upper border of a denormal's bucket, rounded down, is the last double of it; the lower one, of the bucket before.
    CHECK(count_wrong(false, scale) == 0);
  }
}

TEST_CASE("the value that stands for a bucket is no farther from what lies in it than the error of the scale") {
  std::mt19937_64 random{6};
  for (int scale = kMinScale; scale <= kMaxScale; ++scale) {
    CAPTURE(scale);
    const double error = error_at_scale(scale);
    std::size_t wrong = 0;
    for (int i = 0; i < 5'000; ++i) {
      const double value = any_magnitude(random);
      if (value < 1e-300) continue;  // their lower border may be a denormal
      const std::int32_t index = index_of(value, scale);
      const double middle = bucket_border(index, scale) * (1 + error);
      wrong += !(std::abs(middle - value) <= value * (error + 1e-15));
    }
    CHECK(wrong == 0);
  }
}

TEST_CASE("the error of a scale is that of the definition, half of the one a scale above, and 1 % is scale 6") {
  for (int scale = 0; scale <= kMaxScale; ++scale) {
    const long double base = std::exp2(std::ldexp(1.0L, -scale));
    CHECK(error_at_scale(scale) == doctest::Approx(static_cast<double>((base - 1) / (base + 1))).epsilon(1e-12));
  }
  CHECK(scale_for_error(0.01) == 6);
  CHECK(scale_for_error(0.5) == 0);
  CHECK(scale_for_error(1e-6) <= kMaxScale);
  CHECK(scale_for_error(error_at_scale(9)) == 9);
  CHECK(scale_for_error(std::nextafter(error_at_scale(9), 0)) == 10);
  for (double error = 0.5; error >= 1e-6; error *= 0.997) CHECK(error_at_scale(scale_for_error(error)) <= error);
}
