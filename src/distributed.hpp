#pragma once

#include <pepper/detail/record.hpp>

#include "bucket_span.hpp"
#include "fold.hpp"

#include <bit>
#include <cstddef>
#include <cstdint>

namespace pepper::detail {

/// Looks for the bucket of each record whose series has a distribution: `found(counted)` where `spans`, by index, have its count;
/// `other(index, bits, scale code)` else, with the bits of what fold() would take, or of NaN. A pass of its own, so that records of other
/// series pay little for it; only where table.scales is there.
template <class Found, class Other>
[[gnu::always_inline]] inline void for_each_distributed(const Record* records, std::size_t count, const FoldTable table,
                                                        const BucketSpan* spans, Found&& found, Other&& other) noexcept {
  ScaleCode code = 0;
  ScaleTable scale{};  // of the series whose scale was looked up last: most likely everybody's, and a span tells where it is not
  const auto visit = [&](const Record& record) {
    const std::uint64_t head = record.head;
    const std::uint32_t index = table.index_of(head);
    if (index >= table.capacity) [[unlikely]]
      return;
    const BucketSpan& span = spans[index];
    if (span.size == 0 && table.scale_of(index) == 0) return;
    double value = record.value;
    if (extra_of(head) == kExtraTicks) value = value < 0 ? 0 : value * table.seconds_per_tick;
    const auto bits = std::bit_cast<std::uint64_t>(value);
    std::uint32_t at = bucket_number::of(bits, scale) - span.first;
    if (at >= span.size) [[unlikely]] {
      const ScaleCode own = table.scale_of(index);
      if (own != code && has_table(own)) {
        code = own;
        scale = bucket_number::table(own);
        at = bucket_number::of(bits, scale) - span.first;
      }
      if (at >= span.size) return other(index, bits, own);
    }
    found(span.counts + at);
  };
  const Record* at = records;
  const Record* const end = records + count;
  while (at + kRunStep <= end) {
    const std::uint64_t head = at[0].head;
    std::size_t length = at[kRunStep - 1].head == head && at[1].head == head && extra_of(head) == kExtraPlain
                             ? run_length(at, static_cast<std::size_t>(end - at))
                             : 0;
    const std::uint32_t index = table.index_of(head);
    if (length != 0 && index < table.capacity) {
      if (table.scale_of(index) == 0) {
        at += length;
        continue;
      }
      for (; length != 0; --length, ++at) {
        const BucketSpan span = spans[index];
        const std::uint32_t in_span = bucket_number::of(std::bit_cast<std::uint64_t>(at->value), scale) - span.first;
        if (in_span < span.size) [[likely]] {
          found(span.counts + in_span);
        } else {
          visit(*at);
        }
      }
      continue;
    }
    for (length = kRunStep; length != 0; --length) visit(*at++);
  }
  while (at != end) visit(*at++);
}

}  // namespace pepper::detail
