#include <pepper/detail/capture.hpp>

#include "internals.hpp"
#include "overload_buckets.hpp"
#include "place.hpp"
#include "single_step.hpp"

#include <map>

using namespace internals;

namespace {

constexpr std::uint32_t kSeries = 3, kStamp = 1;
constexpr int kScale = 3;

/// Series, sign, index at kScale or what is special; and how often.
using Counted = std::map<std::tuple<std::uint32_t, bool, std::int32_t>, std::uint64_t>;
constexpr std::int32_t kSpecial = 1 << 30;  ///< and on

class Bed {
 public:
  explicit Bed(std::size_t bytes = std::size_t{64} << 20) {
    budget.set_limit(bytes);
    series.set(0, kSeries);
    for (std::uint32_t i = 0; i < kSeries; ++i) series.set_scale(i, scale_code(kScale));
    REQUIRE(buckets.reserve(kSeries, budget));
  }

  void begin(bool is_fresh = false) { buckets.begin(is_fresh); }
  void count(const std::vector<Record>& records) noexcept {
    buckets.count(records.data(), records.size(), series.table(nullptr, kStamp, 1e-9));
    buckets.end();
  }
  void fold(const std::vector<Record>& records, bool is_fresh = false) {
    begin(is_fresh);
    count(records);
  }

  static void add(Counted& counted, const BucketTable::Page& page) {
    const int steps = scale_of(PageKey::code(page.key)) - kScale;
    for (std::uint32_t at = 0; at < kBucketsPerPage; ++at) {
      if (page.counts[at] == 0) continue;
      const std::int32_t index = PageKey::code(page.key) == 0 ? kSpecial + static_cast<std::int32_t>(at)
                                                              : (PageKey::first_index(page.key) + static_cast<std::int32_t>(at)) >> steps;
      counted[{PageKey::series(page.key), PageKey::is_negative(page.key), index}] += page.counts[at];
    }
  }
  [[nodiscard]] Counted all() {
    Counted counted;
    buckets.visit_all([&](const BucketTable::Page& page) { add(counted, page); });
    return counted;
  }
  [[nodiscard]] Counted before() {
    Counted counted;
    buckets.visit_before([&](const BucketTable::Page& page) { add(counted, page); });
    return counted;
  }

  Budget budget;
  SeriesRange series{kSeries};
  OverloadBuckets buckets;
};

Counted counted_by_hand(std::initializer_list<std::vector<Record>> all) {
  Counted counted;
  for (const std::vector<Record>& records : all) {
    for (const Record& record : records) {
      const auto bits = std::bit_cast<std::uint64_t>(record.value);
      if (is_nan(bits)) continue;
      const BucketPlace place = place_bucket_slow(bits, id_of(record.head), scale_code(kScale));
      const std::int32_t at = static_cast<std::int32_t>(place.at);
      ++counted[{PageKey::series(place.key), PageKey::is_negative(place.key),
                 PageKey::code(place.key) == 0 ? kSpecial + at : PageKey::first_index(place.key) + at}];
    }
  }
  return counted;
}

std::vector<Record> some_records(std::mt19937_64& random, std::size_t count, int octaves) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  constexpr std::array kOdd{0.0,
                            -0.0,
                            kInfinity,
                            -kInfinity,
                            std::numeric_limits<double>::quiet_NaN(),
                            std::numeric_limits<double>::denorm_min(),
                            std::numeric_limits<double>::min(),
                            std::numeric_limits<double>::max()};
  std::vector<Record> records;
  for (std::size_t i = 0; i < count; ++i) {
    double value = std::exp2(std::uniform_real_distribution(0.0, double(octaves))(random));
    if (random() % 8 == 0) value = -value;
    if (random() % 8 == 0) value = kOdd[random() % kOdd.size()];
    records.push_back({make_head(static_cast<std::uint32_t>(random() % kSeries), kExtraPlain), value});
  }
  return records;
}

}  // namespace

TEST_CASE("a fold counts every value but NaN in its bucket, near or far, at any length of runs") {
  const std::uint64_t seed = new_seed();
  INFO("PEPPER_SEED=" << seed);
  std::mt19937_64 random{seed};
  for (int round = 0; round < 300; ++round) {
    Bed bed;
    const auto a = some_records(random, 1 + random() % kChunkRecords, 1 + static_cast<int>(random() % 400)),
               b = some_records(random, 1 + random() % kChunkRecords, 1 + static_cast<int>(random() % 400));
    const std::vector<Record> run(random() % 40, a.front());
    bed.fold(a, true);
    REQUIRE((bed.all() == counted_by_hand({a})));
    bed.fold(run);
    bed.fold(b);
    REQUIRE((bed.all() == counted_by_hand({a, run, b})));
    bed.buckets.clear();
    bed.fold(b, true);
    REQUIRE((bed.all() == counted_by_hand({b})));
  }
}

TEST_CASE("a thread goes on counting where the flusher lowers the scale of its series") {
  std::mt19937_64 random{1};
  Bed bed;
  for (std::uint32_t i = 0; i < kSeries; ++i) bed.series.set_scale(i, scale_code(kScale + 4));
  const auto records = some_records(random, kChunkRecords, 20);
  bed.fold(records, true);
  for (std::uint32_t i = 0; i < kSeries; ++i) bed.series.set_scale(i, scale_code(kScale));
  bed.fold(records);
  CHECK((bed.all() == counted_by_hand({records, records})));
}

TEST_CASE("a look at any instruction of a fold finds the buckets as they were before it") {
  std::mt19937_64 random{2};
  for (const int octaves : {2, 60}) {
    Bed bed;
    const auto a = some_records(random, 60, octaves), b = some_records(random, 30, octaves);
    bed.fold(a, true);
    bed.begin();
    const Counted before = counted_by_hand({a});
    std::size_t looks = 0, wrong = 0;
    single_step::look_at_each([&] { bed.count(b); },
                              [&] {
                                ++looks;
                                wrong += bed.before() != before;
                              });
    CHECK(wrong == 0);
    CHECK((looks > 1000 || !single_step::kIsPossible));
    CHECK((bed.before() == before));
    CHECK((bed.all() == counted_by_hand({a, b})));
  }
}

TEST_CASE("the least normal value takes one page, however often it comes, and keeps no other from a span") {
  for (int scale = 0; scale <= kTableScale; ++scale) {
    CAPTURE(scale);
    Bed bed;
    for (std::uint32_t i = 0; i < kSeries; ++i) bed.series.set_scale(i, scale_code(scale));
    constexpr double kLeast = std::numeric_limits<double>::min();
    for (int turn = 0; turn < 3; ++turn) {
      for (int i = 0; i < 5; ++i) bed.fold(std::vector<Record>(100, {make_head(0, kExtraPlain), kLeast}), i == 0);
      bed.fold({{make_head(0, kExtraPlain), kLeast * (1 + 1e-9)}, {make_head(0, kExtraPlain), 1.0}});
      std::uint64_t counted = 0, pages = 0;
      bed.buckets.visit_all([&](const BucketTable::Page& page) {
        ++pages;
        for (std::uint32_t at = 0; at < kBucketsPerPage; ++at) counted += page.counts[at];
      });
      CHECK(counted == 502);
      CHECK(pages < 40);  // at a low scale a span from there to 1, one octave a bucket
      bed.buckets.clear();
    }
  }
}

TEST_CASE("what the budget has no page for is in no bucket, and what has one goes on") {
  std::mt19937_64 random{3};
  const auto records = some_records(random, kChunkRecords, 100);
  for (const std::size_t bytes : {std::size_t{0}, std::size_t{5'000}, std::size_t{25'000}, std::size_t{40'000}}) {
    Bed bed(bytes);
    const Counted all = counted_by_hand({records});
    bed.fold(records, true);
    std::uint64_t counted = 0;
    for (const auto& [place, count] : bed.all()) {
      REQUIRE(count <= all.at(place));
      counted += count;
    }
    CHECK(bed.budget.used() <= bytes);
    CHECK(counted < kChunkRecords);
    CHECK((bytes < 25'000) == (counted == 0));
    bed.buckets.clear();
    bed.buckets.release();
    CHECK(bed.budget.used() == 0);
  }
}

TEST_CASE("a thread that keeps very many buckets has the flusher look soon") {
  TelemetryConfig config;
  config.buffer_size = 4 * kChunkRecords;
  const Tenancy tenancy(config);
  Place& place = tenancy.place();
  place.series().set_kind(0, Kind::histogram);
  place.series().set_scale(0, scale_code(20));  // so fine that each value below has a page of its own
  place.open_gate();
  const std::uint64_t head = make_head(place.series().base(), kExtraPlain);
  double value = 1;
  const auto record = [&](int count) {
    for (int i = 0; i < count; ++i) {
      value *= 1.0001;
      capture_span(place.offset(), head, &value, 1);
    }
  };
  record(60'000);
  CHECK_FALSE(place.pressure().take());
  record(10'000);
  CHECK(place.pressure().take());
  place.close_gate();
}
