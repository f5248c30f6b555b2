#include "bucket_model.hpp"

#include <cstdlib>
#include <set>

using namespace bucket_model;

namespace {

/// What HdrHistogram's recordValueWithExpectedInterval() counts besides the value, one by one.
Model naive_backfill(double value, double interval, std::uint64_t count, int scale) {
  Model model;
  model.scale = scale;
  for (double missing = 1; value - missing * interval >= interval; ++missing) model.add(value - missing * interval, count);
  return model;
}

bool add_and_fill_back(BucketWriter& writer, double value, int scale, std::uint64_t count = 1) {
  const BucketPlace place = place_bucket(std::bit_cast<std::uint64_t>(value), 0, scale_code(scale));
  return writer.add(place, count) && writer.fill_back(place, count);
}

}  // namespace

TEST_CASE("filling back counts what a loop over the missing values would") {
  const std::uint64_t seed = new_seed();
  INFO("PEPPER_SEED=" << seed);
  std::mt19937_64 random{seed};
  for (int round = 0; round < kRounds; ++round) {
    Room room;
    SharedBuckets buckets;
    const double interval = std::exp(std::normal_distribution<double>{0, 3}(random));
    const int scale = static_cast<int>(random() % 10);
    BucketWriter writer(buckets, {.max_buckets = 1u << 20, .expected_interval = interval}, room.lease);
    const auto index =
        bucket_index_slow(std::bit_cast<std::uint64_t>(interval * std::exp(std::normal_distribution<double>{3, 2}(random))), scale);
    const std::uint64_t count = 1 + random() % 1000;
    const BucketPlace place = place_of_index(index, false, 0, scale_code(scale));
    REQUIRE(writer.add(place, count));
    REQUIRE(writer.fill_back(place, count));
    // A bucket of values is filled back as the value that stands for it.
    const double value = bucket_border(index, scale) * (1 + error_at_scale(scale));
    Model expected = naive_backfill(value, interval, count, scale);
    const std::uint64_t backfilled = expected.total();
    // The loop may come to a last value that is an interval but for its rounding.
    const double last = value / interval;
    if (std::abs(last - std::round(last)) < 1e-6) continue;
    CHECK(buckets.get()->backfilled() == backfilled);
    CHECK(buckets.get()->total() == backfilled + count);
    const double least = backfilled == 0 ? kInfinity : value - static_cast<double>(backfilled / count) * interval;
    CHECK(buckets.get()->least_filled() <= least * (1 + 1e-6));
    CHECK((backfilled == 0) == std::isinf(buckets.get()->least_filled()));
    CHECK((backfilled == 0 || buckets.get()->least_filled() >= least * (1 - 1e-6)));
    expected.counts[0][index] += count;
    const Model found = model_of(*buckets.get());
    // A missing value on a border may be in the bucket beside it, by rounding: never more than one of them at each border.
    std::set<std::int32_t> indices;
    for (const Model& model : {expected, found}) {
      for (const auto& [at, unused] : model.counts[0]) indices.insert(at);
    }
    std::int64_t shifted = 0;
    for (const std::int32_t at : indices) {
      const auto count_in = [at](const Model& model) {
        const auto it = model.counts[0].find(at);
        return it == model.counts[0].end() ? std::int64_t{0} : static_cast<std::int64_t>(it->second);
      };
      shifted += count_in(found) - count_in(expected);
      CHECK(std::abs(shifted) <= static_cast<std::int64_t>(count));
    }
    CHECK(shifted == 0);
  }
}

TEST_CASE("negative values, zeros and those up to the interval are not filled back") {
  Room room;
  SharedBuckets buckets;
  BucketWriter writer(buckets, {.expected_interval = 10}, room.lease);
  for (const double value : {-1e6, -20.0, 0.0, 1.0, 9.0, kInfinity, -kInfinity}) REQUIRE(add_and_fill_back(writer, value, 6));
  CHECK(buckets.get()->backfilled() == 0);
  CHECK(buckets.get()->total() == 7);
}

TEST_CASE("a value so many intervals long is filled back without counting one by one, up to 2^53 values, and keeps the limit") {
  Room room;
  constexpr double kMost = std::uint64_t{1} << 53;
  for (const double value : {1e9, 1e12, 1e15, 1e300}) {
    SharedBuckets buckets;
    BucketWriter writer(buckets, {.max_buckets = 64, .expected_interval = 1e-3}, room.lease);
    REQUIRE(add_and_fill_back(writer, value, 9));
    CHECK(size_of(*buckets.get()) <= 64);
    const double all = std::min(value * 1e3, kMost);
    CHECK(std::abs(static_cast<double>(buckets.get()->backfilled()) - all) <= all * error_at_scale(9));
    CHECK(buckets.get()->total() == model_of(*buckets.get()).total());
  }
}

TEST_CASE("the least of what was filled back outlives a lower scale, a merge and a copy") {
  Room room;
  SharedBuckets buckets, other;
  BucketWriter writer(buckets, {.max_buckets = 64, .expected_interval = 10}, room.lease), plain(other, {}, room.lease);
  REQUIRE(add_and_fill_back(writer, 100, 9));
  const double least = buckets.get()->least_filled();
  CHECK(least >= 10);
  CHECK(least < 20);
  const SharedBuckets kept = buckets;
  for (const double value : {-1e9, -1e-9}) REQUIRE(add(writer, value, 9));
  CHECK(buckets.get()->scale() < kept.get()->scale());
  CHECK(buckets.get()->least_filled() == least);
  REQUIRE(add(plain, 5, 9));
  CHECK(std::isinf(other.get()->least_filled()));
  REQUIRE(plain.merge(*buckets.get()));
  CHECK(other.get()->least_filled() == least);
}

TEST_CASE("counts of what is filled back stop before they come round") {
  Room room;
  SharedBuckets buckets;
  BucketWriter writer(buckets, {.max_buckets = 64, .expected_interval = 1e-3}, room.lease);
  std::uint64_t before = 0;
  for (int i = 0; i < 20; ++i) {
    REQUIRE(add_and_fill_back(writer, 1e300, 9, 1000));
    CHECK(buckets.get()->backfilled() >= before);
    before = buckets.get()->backfilled();
    CHECK(buckets.get()->total() == model_of(*buckets.get()).total());
    CHECK(buckets.get()->total() - before == (static_cast<std::uint64_t>(i) + 1) * 1000);
  }
  CHECK(before > std::uint64_t{1} << 61);
  CHECK(before <= std::uint64_t{1} << 62);
}
