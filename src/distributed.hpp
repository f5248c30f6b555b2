#pragma once

#include <pepper/detail/record.hpp>

#include "bucket_span.hpp"
#include "fold.hpp"

#include <bit>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <span>
#include <utility>

namespace pepper::detail {

/// In its series' unit: a scoped timer's ticks become seconds.
[[nodiscard]] inline double value_of(const Record& record, const FoldTable& table) noexcept {
  if (extra_of(record.head) != kExtraTicks) return record.value;
  return table.seconds(record.value);
}

/// Hands on what fold() takes of the records that `is_kept(index)` keeps, a few at a time and as it takes them: `batch(records, count)`.
/// For chunks that checks look at.
template <class IsKept, class Batch>
void for_each_valid(const Record* records, std::size_t count, const FoldTable& table, IsKept&& is_kept, Batch&& batch) noexcept {
  Record valid[2 * kRunStep];
  std::size_t valid_count = 0;
  for (const Record& record : std::span(records, count)) {
    const std::uint32_t index = table.index_of(record.head);
    if (index >= table.capacity || !is_kept(index)) continue;
    const double value = table.checks == nullptr ? value_of(record, table) : table.checks->judged(index, value_of(record, table));
    valid[valid_count++] = {make_head(id_of(record.head), kExtraPlain), value};
    if (valid_count == std::size(valid)) batch(static_cast<const Record*>(valid), std::exchange(valid_count, 0));
  }
  batch(static_cast<const Record*>(valid), valid_count);
}

/// Looks for the bucket of each record whose series has a distribution: `found(counted)` where `spans`, by index, have its count;
/// `other(index, bits, scale code)` else, with the bits of what fold() would take, or of NaN. A pass of its own, so that records of other
/// series pay little for it; only where table.scales is there.
template <class Found, class Other>
[[gnu::always_inline]] inline void for_each_distributed(const Record* records, std::size_t count, const FoldTable table,
                                                        const BucketSpan* spans, Found&& found, Other&& other) noexcept {
  const Record* const end = records + count;
  // A pass at one scale, most likely everybody's, up to the end or a record of another scale.
  const auto pass = [&](const Record* at, const auto scale) {
    const auto visit_elsewhere = [&](std::uint32_t index, std::uint64_t bits) {
      const ScaleCode code = table.scale_of(index);
      if (code != scale.code() && has_table(code)) return false;
      if (code != 0) other(index, bits, code);
      return true;
    };
    const auto visit = [&](const Record& record) {
      const std::uint32_t index = table.index_of(record.head);
      if (index >= table.capacity) [[unlikely]]
        return true;
      auto bits = std::bit_cast<std::uint64_t>(record.value);
      if (extra_of(record.head) == kExtraTicks) [[unlikely]]
        bits = std::bit_cast<std::uint64_t>(value_of(record, table));
      const BucketSpan& span = spans[index];
      const std::uint32_t in_span = span.place_of(bucket_number::of(bits, scale));
      if (in_span < span.size) [[likely]] {
        found(span.counts + in_span);
        return true;
      }
      return visit_elsewhere(index, bits);
    };
    while (static_cast<std::size_t>(end - at) >= kRunStep) {
      const std::uint64_t head = at[0].head;
      const std::uint32_t index = table.index_of(head);
      const bool may_run = at[kRunStep - 1].head == head && at[1].head == head && extra_of(head) == kExtraPlain && index < table.capacity;
      std::size_t length = may_run ? run_length(at, static_cast<std::size_t>(end - at)) : 0;
      if (length == 0) {
        for (std::size_t i = 0; i < kRunStep; ++i, ++at) {
          if (!visit(*at)) return at;
        }
        continue;
      }
      if (table.scale_of(index) == 0) {
        at += length;
        continue;
      }
      BucketSpan span = spans[index];  // a copy, as the stores to counts could change it
      for (const Record* const run_end = at + length; at != run_end; ++at) {
        const auto bits = std::bit_cast<std::uint64_t>(at->value);
        const std::uint32_t in_span = span.place_of(bucket_number::of(bits, scale));
        if (in_span < span.size) [[likely]] {
          found(span.counts + in_span);
        } else {
          if (!visit_elsewhere(index, bits)) return at;
          span = spans[index];
        }
      }
    }
    for (; at != end; ++at) {
      if (!visit(*at)) return at;
    }
    return at;
  };
  const Record* at = records;
  for (ScaleCode code = bucket_number::UsualScale::code();; code = table.scale_of(table.index_of(at->head))) {
    at = code == bucket_number::UsualScale::code() ? pass(at, bucket_number::UsualScale{}) : pass(at, bucket_number::Scale(code));
    if (at == end) return;
  }
}

}  // namespace pepper::detail
