#include "bucket_model.hpp"

#include <initializer_list>
#include <utility>

using namespace bucket_model;

namespace {

/// Random values at one scale; what they are to be is added to `model`.
SharedBuckets random_buckets(Room& room, std::mt19937_64& random, const BucketLimits& limits, Model* model = nullptr) {
  SharedBuckets buckets;
  BucketWriter writer(buckets, limits, room.lease);
  const int scale = kMinScale + static_cast<int>(random() % (kMaxScale - kMinScale + 1));
  const double spread = std::vector{0.01, 1.0, 10.0, 200.0}[random() % 4];
  if (model != nullptr) model->lower(scale);
  for (std::size_t i = random() % 200; i-- != 0;) {
    const double value = any_value(random, spread);
    const std::uint64_t count = 1 + random() % 1000;
    REQUIRE(add(writer, value, scale, count));
    if (model != nullptr) model->add(value, count);
  }
  return buckets;
}

SharedBuckets merged(Room& room, const BucketLimits& limits, std::initializer_list<const SharedBuckets*> all) {
  SharedBuckets into;
  BucketWriter writer(into, limits, room.lease);
  for (const SharedBuckets* from : all) {
    if (from->get() != nullptr) REQUIRE(writer.merge(*from->get()));
  }
  return into;
}

}  // namespace

TEST_CASE("buckets count what was added, at whatever scale they have come to") {
  const std::uint64_t seed = new_seed();
  INFO("PEPPER_SEED=" << seed);
  std::mt19937_64 random{seed};
  for (int round = 0; round < kRounds; ++round) {
    Room room;
    Model expected;
    const BucketLimits limits{.max_buckets = std::vector{8u, 9u, 20u, 160u, 2048u, 1u << 20}[random() % 6]};
    const SharedBuckets buckets = random_buckets(room, random, limits, &expected);
    if (buckets.get() == nullptr) continue;
    CHECK(buckets.get()->total() == expected.total());
    CHECK(size_of(*buckets.get()) <= limits.max_buckets);
    CHECK(at_scale(expected, buckets.get()->scale()) == at_scale(model_of(*buckets.get()), expected.scale));
    CHECK(room.in_use() == buckets.get()->bytes());
  }
}

TEST_CASE("merging is commutative, associative and loses nothing at the lower scale") {
  const std::uint64_t seed = new_seed();
  INFO("PEPPER_SEED=" << seed);
  std::mt19937_64 random{seed};
  for (int round = 0; round < kRounds; ++round) {
    Room room;
    const BucketLimits some{.max_buckets = 4096}, limits{.max_buckets = 1u << 20};
    const SharedBuckets a = random_buckets(room, random, some), b = random_buckets(room, random, some),
                        c = random_buckets(room, random, some);
    const SharedBuckets ab = merged(room, limits, {&a, &b}), bc = merged(room, limits, {&b, &c});
    const SharedBuckets all = merged(room, limits, {&a, &b, &c});
    if (all.get() == nullptr) continue;
    const int scale = all.get()->scale();
    const Model expected = model_of(*all.get());
    for (const SharedBuckets& other : {merged(room, limits, {&c, &b, &a}), merged(room, limits, {&b, &a, &c}),
                                       merged(room, limits, {&ab, &c}), merged(room, limits, {&a, &bc})}) {
      const int common = std::min(scale, other.get()->scale());
      CHECK(at_scale(model_of(*other.get()), common) == at_scale(expected, common));
      CHECK(other.get()->total() == all.get()->total());
    }
    Model sum;
    sum.scale = scale;
    for (const SharedBuckets* part : {&a, &b, &c}) {
      if (part->get() == nullptr) continue;
      const Model model = at_scale(model_of(*part->get()), scale);
      for (const bool sign : {false, true}) {
        for (const auto& [index, count] : model.counts[sign]) sum.counts[sign][index] += count;
      }
      for (std::size_t i = 0; i < 3; ++i) sum.special[i] += model.special[i];
    }
    CHECK(sum == expected);
  }
}

TEST_CASE("merging looks at what was counted, not at the room beside it") {
  Room room;
  SharedBuckets from, into;
  BucketWriter writer(from, {.max_buckets = 1u << 20}, room.lease), few(into, {.max_buckets = 8}, room.lease);
  for (const double value : {1e-310, 0.5, 1e300, -1e-310, -0.5, -1e300}) REQUIRE(add(writer, value, kMinScale));
  CHECK(few.merge(*from.get()));
  REQUIRE(into.get() != nullptr);
  CHECK(model_of(*into.get()) == model_of(*from.get()));
}

TEST_CASE("a merge under a limit keeps it, and every record") {
  const std::uint64_t seed = new_seed();
  INFO("PEPPER_SEED=" << seed);
  std::mt19937_64 random{seed};
  for (int round = 0; round < kRounds; ++round) {
    Room room;
    const BucketLimits wide{.max_buckets = 1u << 16}, narrow{.max_buckets = 8 + static_cast<std::uint32_t>(random() % 30)};
    const SharedBuckets a = random_buckets(room, random, wide), b = random_buckets(room, random, wide);
    const SharedBuckets both = merged(room, wide, {&a, &b}), few = merged(room, narrow, {&a, &b});
    if (few.get() == nullptr) continue;
    CHECK(size_of(*few.get()) <= narrow.max_buckets);
    CHECK(few.get()->scale() <= both.get()->scale());
    CHECK(at_scale(model_of(*both.get()), few.get()->scale()) == model_of(*few.get()));
  }
}

TEST_CASE("the whole range of doubles, of both signs, fits into eight buckets") {
  Room room;
  SharedBuckets buckets;
  BucketWriter writer(buckets, {.max_buckets = 8}, room.lease);
  Model expected;
  expected.scale = 20;
  std::mt19937_64 random{1};
  for (int i = 0; i < 2000; ++i) {
    const double magnitude = std::bit_cast<double>(1 + random() % 0x7fefffffffffffff), value = i % 2 == 0 ? magnitude : -magnitude;
    REQUIRE(add(writer, value, 20));
    expected.add(value);
    REQUIRE(size_of(*buckets.get()) <= 8);
  }
  for (const double value : {5e-324, -5e-324, 1.7976931348623157e308, -1.7976931348623157e308, 1.0, -1.0}) {
    REQUIRE(add(writer, value, 20));
    expected.add(value);
  }
  CHECK(buckets.get()->scale() == kMinScale);
  CHECK(model_of(*buckets.get()) == at_scale(expected, kMinScale));
}

TEST_CASE("what is shared stays as it is, and is copied by the next record") {
  Room room;
  SharedBuckets buckets;
  BucketWriter writer(buckets, {}, room.lease);
  for (int i = 1; i <= 100; ++i) REQUIRE(add(writer, i, 6));
  std::vector<std::pair<SharedBuckets, Model>> kept;
  for (int i = 0; i < 50; ++i) {
    kept.emplace_back(buckets, model_of(*buckets.get()));
    CHECK_FALSE(writer.is_own());
    REQUIRE(add(writer, std::pow(1.9, i) * (i % 3 == 0 ? -1 : 1), 6));
    CHECK(writer.is_own());
  }
  for (const auto& [snapshot, model] : kept) CHECK(model_of(*snapshot.get()) == model);
}

TEST_CASE("where the budget is short the scale is lowered, then records are refused, and those that are in stay in") {
  for (std::size_t limit = 0; limit < 3000; limit += 7) {
    CAPTURE(limit);
    Room room(limit);
    SharedBuckets buckets, shared;
    BucketWriter writer(buckets, {}, room.lease);
    std::mt19937_64 random{limit};
    Model expected;
    expected.scale = 6;
    for (int i = 0; i < 300; ++i) {
      const double value = any_value(random, 20);
      const auto before = buckets.get() == nullptr ? Model{} : model_of(*buckets.get());
      if (add(writer, value, 6)) {
        expected.add(value);
      } else {
        REQUIRE((buckets.get() == nullptr || model_of(*buckets.get()) == before));
      }
      REQUIRE(room.budget.used() <= limit);
      if (i % 50 == 0) shared = buckets;  // so that what is next needs room for a copy as well
    }
    if (buckets.get() == nullptr) {
      CHECK(expected.total() == 0);
      continue;
    }
    CHECK(buckets.get()->total() == expected.total());
    CHECK(at_scale(expected, buckets.get()->scale()) == at_scale(model_of(*buckets.get()), 6));
  }
}

TEST_CASE("bytes of a tenant that is gone are on nobody's budget") {
  Budget budget;
  budget.set_limit(1 << 20);
  BucketLease lease(budget);
  SharedBuckets old, fresh;
  {
    BucketWriter writer(old, {}, lease);
    REQUIRE(add(writer, 1, 6));
  }
  lease.end();
  CHECK(budget.used() == 0);
  BucketWriter writer(fresh, {}, lease);
  REQUIRE(add(writer, 1, 6));
  const std::size_t used = budget.used();
  CHECK(used - lease.reserved() == fresh.get()->bytes());
  old = SharedBuckets{};
  CHECK(budget.used() == used);
  fresh = SharedBuckets{};
  lease.none_is_present();
  CHECK(budget.used() == 0);
}

TEST_CASE("with the budget used up, a distribution that has a bucket takes every record, though each snapshot shares it") {
  const std::uint64_t seed = new_seed();
  INFO("PEPPER_SEED=" << seed);
  std::mt19937_64 random{seed};
  for (std::size_t limit = 10'000; limit < 100'000; limit += 10'000) {
    CAPTURE(limit);
    Room room(limit);
    std::vector<SharedBuckets> all(20), snapshot;
    std::vector<Model> expected(all.size());
    std::vector<BucketWriter> writers;
    for (SharedBuckets& buckets : all) {
      writers.emplace_back(buckets, BucketLimits{}, room.lease);
      REQUIRE(add(writers.back(), 1, 6));
      expected[writers.size() - 1].add(1);
    }
    for (int turn = 0; turn < 30; ++turn) {
      snapshot = all;  // and the one before is gone
      for (int i = 0; i < 400; ++i) {
        const std::size_t at = random() % all.size();
        const double value = any_value(random, turn % 3 * 5 + 0.1);
        REQUIRE(add(writers[at], value, 6));
        expected[at].add(value);
        REQUIRE(room.budget.used() <= limit);
      }
    }
    int lowest = kMaxScale;
    for (std::size_t i = 0; i < all.size(); ++i) {
      lowest = std::min(lowest, all[i].get()->scale());
      CHECK(model_of(*all[i].get()) == at_scale(expected[i], all[i].get()->scale()));
    }
    if (limit <= 20'000) CHECK(lowest < 6);
  }
}

TEST_CASE("a bucket counts past 2^32") {
  Room room;
  SharedBuckets buckets, other;
  BucketWriter writer(buckets, {}, room.lease);
  constexpr std::uint64_t kMany = (std::uint64_t{1} << 31) - 5;
  std::uint64_t expected = 0;
  for (int i = 0; i < 10; ++i) {
    REQUIRE(add(writer, 3, 6, kMany));
    REQUIRE(add(writer, -3, 6, 1));
    expected += kMany;
  }
  REQUIRE(buckets.get()->is_wide());
  Model model = model_of(*buckets.get());
  CHECK(model.counts[0].begin()->second == expected);
  CHECK(model.counts[1].begin()->second == 10);
  CHECK(buckets.get()->total() == expected + 10);
  // Merging keeps it, either way round, and so does a lower scale.
  BucketWriter small(other, {}, room.lease);
  REQUIRE(add(small, 1e9, 2));
  REQUIRE(small.merge(*buckets.get()));
  CHECK(other.get()->total() == expected + 11);
  REQUIRE(writer.merge(*SharedBuckets(other).get()));
  CHECK(buckets.get()->total() == 2 * expected + 21);
  CHECK(buckets.get()->scale() == 2);
  model = model_of(*buckets.get());
  CHECK(model.total() == 2 * expected + 21);
  CHECK(buckets.get()->value_at(0) == doctest::Approx(-3).epsilon(error_at_scale(2) * 1.01));
  CHECK(buckets.get()->value_at(19) < 0);
  CHECK(buckets.get()->value_at(20) > 0);
  CHECK(buckets.get()->value_at(2 * expected + 20) == doctest::Approx(1e9).epsilon(error_at_scale(2) * 1.01));
}

TEST_CASE("what is counted in place is in the total once it is settled") {
  Room room;
  SharedBuckets buckets;
  BucketWriter writer(buckets, {}, room.lease);
  REQUIRE(add(writer, 3, 6));
  REQUIRE(add(writer, 0, 6));
  REQUIRE(writer.is_own());
  std::uint32_t* const counts = writer.counts();
  for (std::uint32_t i = 0; i < buckets.get()->window(false).size; ++i) counts[i] += i;
  writer.settle();
  CHECK(buckets.get()->total() == model_of(*buckets.get()).total());
}

TEST_CASE("a page adds what its places would, one by one") {
  const std::uint64_t seed = new_seed();
  INFO("PEPPER_SEED=" << seed);
  std::mt19937_64 random{seed};
  for (int round = 0; round < kRounds; ++round) {
    Room room;
    SharedBuckets by_page, by_place;
    const BucketLimits limits{.max_buckets = std::vector{8u, 40u, 2048u}[random() % 3]};
    BucketWriter pages(by_page, limits, room.lease), places(by_place, limits, room.lease);
    for (int i = 0; i < 10; ++i) {
      std::uint32_t counts[kBucketsPerPage] = {};
      const BucketTable::Page page{place_bucket(std::bit_cast<std::uint64_t>(any_value(random, 5)), 0, scale_code(6)).key, counts};
      const std::uint32_t most = PageKey::code(page.key) == 0 ? 3 : kBucketsPerPage;
      for (std::uint32_t n = static_cast<std::uint32_t>(random() % 20); n-- != 0;) ++counts[random() % most];
      REQUIRE(pages.add(page));
      for (std::uint32_t at = 0; at < most; ++at) {
        if (page.counts[at] != 0) REQUIRE(places.add({page.key, at}, page.counts[at]));
      }
    }
    if (by_place.get() == nullptr) continue;
    const int common = std::min(by_page.get()->scale(), by_place.get()->scale());
    CHECK(at_scale(model_of(*by_page.get()), common) == at_scale(model_of(*by_place.get()), common));
    CHECK(by_page.get()->total() == by_place.get()->total());
  }
}

TEST_CASE("ranks are in ascending order of values, and cover them all") {
  const std::uint64_t seed = new_seed();
  INFO("PEPPER_SEED=" << seed);
  std::mt19937_64 random{seed};
  for (int round = 0; round < kRounds / 4; ++round) {
    Room room;
    SharedBuckets buckets;
    BucketWriter writer(buckets, {}, room.lease);
    std::vector<double> values(1 + random() % 300);
    for (double& value : values) {
      do value = any_value(random, 3);
      while (std::abs(value) < 1e-300 && value != 0);
      REQUIRE(add(writer, value, 6));
    }
    std::ranges::sort(values);
    // So many at one end that counts are wide, and that values are looked for from the other.
    constexpr std::uint64_t kMany = std::uint64_t{1} << 33;
    const bool has_most_below = round % 3 == 1, has_most_above = round % 3 == 2;
    if (has_most_below || has_most_above) REQUIRE(add(writer, has_most_below ? -kInfinity : kInfinity, 6, kMany));
    CHECK(buckets.get()->is_wide() == (has_most_below || has_most_above));
    const double error = error_at_scale(buckets.get()->scale()) + 1e-12;
    for (std::size_t rank = 0; rank < values.size(); ++rank) {
      const double value = buckets.get()->value_at(rank + (has_most_below ? kMany : 0));
      CHECK((value == values[rank] || std::abs(value - values[rank]) <= error * std::abs(values[rank])));
    }
  }
}
