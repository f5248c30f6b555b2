#include "bucket_index.hpp"

#include <array>
#include <bit>
#include <cmath>
#include <cstddef>

namespace pepper::detail {

namespace {

__extension__ using Wide = unsigned __int128;

/// A number in [1, 2): a 1 and 127 binary digits. A border is irrational, or 1: so with 68 digits more than a double has, all products
/// below stay on their side of every double.
struct Fixed {
  std::uint64_t high = std::uint64_t{1} << 63, low = 0;
};

constexpr bool operator<(const Fixed& a, const Fixed& b) noexcept { return a.high != b.high ? a.high < b.high : a.low < b.low; }

/// Rounded down; the product must be below 2.
constexpr Fixed operator*(const Fixed& a, const Fixed& b) noexcept {
  const Wide x = Wide{a.low} * b.high, y = Wide{a.high} * b.low;
  const Wide low = (Wide{a.low} * b.low >> 64) + static_cast<std::uint64_t>(x) + static_cast<std::uint64_t>(y);
  const Wide product = (Wide{a.high} * b.high + (x >> 64) + (y >> 64) + (low >> 64)) << 1 | (static_cast<std::uint64_t>(low) >> 63);
  return {static_cast<std::uint64_t>(product >> 64), static_cast<std::uint64_t>(product)};
}

/// Bit by bit, rounded down.
constexpr Fixed root(const Fixed& of) noexcept {
  Fixed found{};
  for (int bit = 126; bit >= 0; --bit) {
    Fixed tried = found;
    (bit >= 64 ? tried.high : tried.low) |= std::uint64_t{1} << (bit % 64);
    // A square of 2 or more would not fit: it is more than `of` anyway. 0xb504f333f9de6485 is the square root of 2's upper half.
    if (tried.high < 0xb504f333f9de6484 && !(of < tried * tried)) found = tried;
  }
  return found;
}

/// kRoots[j] = 2^(2^-j), from j = 1 on.
constexpr auto kRoots = [] {
  std::array<Fixed, kMaxScale + 1> roots{};
  roots[1] = {0xb504f333f9de6484, 0x597d89b3754abe9f};  // sqrt(2), https://oeis.org/A002193 in base 16
  for (std::size_t j = 2; j < roots.size(); ++j) roots[j] = root(roots[j - 1]);
  return roots;
}();

/// 2^(part / 2^scale), for 0 <= part < 2^scale.
constexpr Fixed border_in_octave(std::uint32_t part, int scale) noexcept {
  Fixed border{};
  for (int j = 1; j <= scale; ++j) {
    if ((part >> (scale - j) & 1) != 0) border = border * kRoots[static_cast<std::size_t>(j)];
  }
  return border;
}

/// 2^(part / 2^scale), for 0 <= part < 1024.
constexpr std::array<Fixed, 1024> first_borders(int scale) noexcept {
  std::array<Fixed, 1024> borders{};
  for (std::uint32_t part = 0; part < borders.size(); ++part) borders[part] = border_in_octave(part, scale);
  return borders;
}
/// A border at any scale is one of each, multiplied.
constexpr std::array<Fixed, 1024> kCoarseBorders = first_borders(10), kFineBorders = first_borders(20);
static_assert(kMaxScale == 20);

/// The 52 digits that a double has of it behind the 1.
constexpr std::uint64_t mantissa_of(const Fixed& number) noexcept { return number.high << 1 >> 12; }

using Addends = std::array<std::uint64_t, (std::size_t{4} << kTableScale) - 2>;

/// For a part of an octave at `begin` that has the border after it: such that the sum goes on to the next index just after that border.
/// Else such that its first double's sum is the first that gives the index; as the part is half as wide as what gives it, all give it.
constexpr Addends make_addends() noexcept {
  constexpr std::uint32_t kFinest = 1u << kTableScale;
  std::array<std::uint64_t, kFinest + 1> mantissas{};
  for (std::uint32_t part = 0; part < kFinest; ++part) mantissas[part] = mantissa_of(border_in_octave(part, kTableScale));
  mantissas[kFinest] = (std::uint64_t{1} << 52) - 1;  // all below the next octave
  Addends addends{};
  for (int scale = 0; scale <= kTableScale; ++scale) {
    const std::uint32_t stride = kFinest >> scale, slots = 2u << scale;
    const std::uint64_t width = std::uint64_t{1} << (51 - scale), index_width = 2 * width;
    const std::size_t first = slots - 2;
    addends[first] = ~std::uint64_t{0};  // a power of two itself belongs to the bucket before: 0 is a border
    for (std::uint32_t slot = 1, bucket = 0; slot < slots; ++slot) {
      const std::uint64_t begin = slot * width;
      while (begin > mantissas[(bucket + 1) * stride]) ++bucket;
      const std::uint64_t border = mantissas[(bucket + 1) * stride];
      addends[first + slot] = border < begin + width ? (bucket + 1) * index_width - border - 1 : bucket * index_width - begin;
    }
  }
  return addends;
}

constexpr std::array<ScaleTable, 32> make_scale_tables() noexcept {
  constexpr std::size_t kFirst = 1 - kMinScale;
  std::array<ScaleTable, 32> tables{};
  for (int scale = 0; scale <= kTableScale; ++scale) {
    const std::uint32_t slots = 2u << scale;
    tables[static_cast<std::size_t>(scale) + kFirst] = {slots - 2, slots - 1, 1023 << scale, static_cast<std::uint8_t>(51 - scale)};
  }
  return tables;
}

}  // namespace

constinit const std::array<ScaleTable, 32> kScaleTables = make_scale_tables();
constinit const Addends kIndexAddends = make_addends();

std::int32_t bucket_index_slow(std::uint64_t magnitude, int scale) noexcept {
  auto exponent = static_cast<std::int32_t>(magnitude >> 52);
  std::uint64_t mantissa = magnitude << 12;  // at the top
  if (exponent == 0) {                       // a denormal: its first digit becomes the 1
    const int zeros = std::countl_zero(mantissa);
    exponent = -zeros;
    mantissa = mantissa << zeros << 1;
  }
  exponent -= 1023;
  if (scale <= 0) return (exponent - static_cast<std::int32_t>(mantissa == 0)) >> -scale;
  if (mantissa == 0) return (exponent << scale) - 1;
  const Fixed value{std::uint64_t{1} << 63 | mantissa >> 1, 0};
  Fixed border{};
  std::int32_t part = 0;
  for (int j = 1; j <= scale; ++j) {
    const Fixed next = border * kRoots[static_cast<std::size_t>(j)];
    const bool is_above = next < value;
    if (is_above) border = next;
    part = part << 1 | static_cast<std::int32_t>(is_above);
  }
  return (exponent << scale) + part;
}

double bucket_border(std::int64_t index, int scale) noexcept {
  const bool is_coarse = scale <= 0;
  const std::uint32_t part = is_coarse ? 0 : static_cast<std::uint32_t>(index & ((std::int64_t{1} << scale) - 1));
  const auto exponent = static_cast<int>(is_coarse ? index << -scale : index >> scale);
  const std::uint32_t finest = is_coarse ? 0 : part << (kMaxScale - scale);
  const std::uint64_t mantissa = mantissa_of(kCoarseBorders[finest >> 10] * kFineBorders[finest & 1023]);
  if (exponent >= -1022 && exponent <= 1023) return std::bit_cast<double>(static_cast<std::uint64_t>(exponent + 1023) << 52 | mantissa);
  const double in_octave = std::bit_cast<double>(std::uint64_t{1023} << 52 | mantissa);
  const double border = std::ldexp(in_octave, exponent);
  const bool is_rounded_up = exponent < -1022 && std::ldexp(border, -exponent) > in_octave;  // a denormal has fewer digits
  return is_rounded_up ? std::nextafter(border, 0.0) : border;
}

double error_at_scale(int scale) noexcept {
  return std::tanh(std::ldexp(std::log(2.0) / 2, -scale));  // (b - 1) / (b + 1) = tanh(ln(b) / 2), exact for b near 1 as well
}

int scale_for_error(double relative_error) noexcept {
  int scale = kMinScale;
  while (scale < kMaxScale && error_at_scale(scale) > relative_error) ++scale;
  return scale;
}

}  // namespace pepper::detail
