#include "merged_buckets.hpp"

#include <limits>
#include <memory>
#include <new>

namespace pepper::detail {

namespace {

/// False: there was no memory.
bool merge(SharedBuckets& to, const Buckets* from) noexcept {
  // A snapshot that is kept is its keeper's memory, on nobody's budget.
  static constinit Budget unlimited;
  unlimited.set_limit(std::numeric_limits<std::size_t>::max());
  static constinit BucketLease lease(unlimited, BucketLease::Reserve::none);
  constexpr BucketLimits kLimits{.max_buckets = 1u << 20};
  return from == nullptr || BucketWriter(to, kLimits, lease).merge(*from);
}

}  // namespace

MergedBuckets::Slot::~Slot() {
  const Buckets* const made = buckets.load(std::memory_order_relaxed);  // [relaxed: no other thread any more]
  if (made != nullptr) made->let_go();
}

MergedBuckets::~MergedBuckets() { delete[] slots_.load(std::memory_order_relaxed); }  // [relaxed: no other thread any more]

MergedBuckets::Slot* MergedBuckets::made_slots(std::size_t size) noexcept {
  Slot* known = slots_.load(std::memory_order_acquire);  // [slots:acquire] pairs with [slots:release] below
  if (known != nullptr) return known;
  std::unique_ptr<Slot[]> made(new (std::nothrow) Slot[size]);
  // [slots:release] [slots:acquire] the first of those who make them at once is kept; pairs with itself and with [slots:acquire] above
  if (made != nullptr && slots_.compare_exchange_strong(known, made.get(), std::memory_order_acq_rel, std::memory_order_acquire))
    return made.release();
  return known;
}

const Buckets* MergedBuckets::get(std::span<const SeriesPart> all, std::span<const SeriesPart> parts, const Values& values) noexcept {
  const Buckets* const whole = values.buckets(parts.front().whole);
  const Buckets* first = whole;
  bool is_merged = false;
  for (const SeriesPart& part : parts) {
    const Buckets* const buckets = values.buckets(part.index);
    if (buckets == nullptr) continue;
    is_merged = first != nullptr;
    if (is_merged) break;
    first = buckets;
  }
  if (!is_merged) return first;

  Slot* const slots = made_slots(all.size());
  if (slots == nullptr) return nullptr;
  std::atomic<const Buckets*>& slot = slots[parts.data() - all.data()].buckets;
  const Buckets* known = slot.load(std::memory_order_acquire);  // [merged:acquire] pairs with [merged:release] below
  if (known != nullptr) return known;
  SharedBuckets made;
  if (!merge(made, whole)) return nullptr;
  for (const SeriesPart& part : parts) {
    if (!merge(made, values.buckets(part.index))) return nullptr;
  }
  if (made.get() == nullptr) return nullptr;  // all of them are empty
  // [merged:release] [merged:acquire] the first of those who merge at once is kept; pairs with itself and with [merged:acquire] above
  if (!slot.compare_exchange_strong(known, made.get(), std::memory_order_acq_rel, std::memory_order_acquire)) return known;
  made.get()->share();  // the slot's, beside the one that ends here
  return made.get();
}

}  // namespace pepper::detail
