#include <pepper/record_batch.hpp>

#include "record_tap.hpp"
#include "record_time.hpp"
#include "registry.hpp"

namespace pepper {

std::size_t RecordBatch::size() const noexcept { return piece_.records.size(); }
std::uint64_t RecordBatch::thread() const noexcept { return piece_.thread; }
std::uint64_t RecordBatch::missed() const noexcept { return piece_.missed; }

RawRecord RecordBatch::operator[](std::size_t i) const noexcept {
  const detail::Record& record = piece_.records[i];
  const detail::SeriesEntry& entry = registry_.entry(detail::id_of(record.head) - piece_.base);
  RawRecord raw;
  raw.name = entry.name();
  raw.tags = entry.tags();
  if (entry.is_part) {
    raw.weight = detail::SeriesKey::weight_of(raw.tags);
    raw.tags = raw.tags.subspan(1);
  }
  raw.kind = entry.kind.load(std::memory_order_relaxed);  // [relaxed: an upgrade may be a little late]
  raw.value = record.value;
  // What the four bytes beside the series say, by what its records use them for.
  // [extra:acquire] pairs with [extra:release] in Registry::use_extra()
  if (entry.extra_use.load(std::memory_order_acquire) == detail::ExtraUse::time)
    raw.time = detail::from_time_extra(detail::extra_of(record.head), piece_.drained_at);
  return raw;
}

}  // namespace pepper
