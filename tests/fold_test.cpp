#include "internals.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

using namespace internals;

namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
const double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr std::uint32_t kBase = 1000, kSeries = 300;
constexpr double kSecondsPerTick = 0.25;

/// What a series' cell has to say, the slow way.
struct Expected {
  std::uint64_t count = 0;
  long double sum = 0, magnitude = 0;
  double min = kInfinity, max = -kInfinity, last = 0;
  std::uint32_t ticket = 0;
  std::uint64_t violations = 0;
  bool has_plus = false, has_minus = false;  ///< infinities
};

/// A table to fold into, and beside it what a naive fold finds. All series are summaries but where told.
class Bed {
 public:
  Bed() : cells_(kSeries), violations_(kSeries) {
    series.set(kBase, kSeries);
    for (std::uint32_t i = 0; i < kSeries; ++i) set_kind(i, Kind::summary);
  }
  void set_kind(std::uint32_t index, Kind kind) {
    series.set_kind(index, kind);
    kinds_[index] = kind;
  }

  void set_check(std::uint32_t index, const ValueCheck& check) {
    series.checks().set(index, check);
    checks_[index] = check;
  }

  void fold(const std::vector<Record>& records) {
    FoldTable table = series.table(cells_.data(), 1);
    table.violations = violations_.data();
    table.seconds_per_tick = kSecondsPerTick;
    for (std::size_t i = 0; i < records.size(); i += kChunkRecords) {
      const std::size_t count = std::min(kChunkRecords, records.size() - i);
      const Record* const next = i + 2 * kChunkRecords <= records.size() ? &records[i + kChunkRecords] : nullptr;
      detail::fold<true>(
          &records[i], count, table, tally,
          [this](std::uint32_t index, Cell& cell) {
            if (index == refused) return false;
            cell.clear();
            cell.stamp = 1;
            return true;
          },
          next);
    }
    for (const Record& record : records) fold_slowly(record);
  }

  void check() const {
    for (std::size_t i = 0; i < kFoundKinds; ++i) CHECK(tally.counts[i] == expected_tally.counts[i]);
    for (const auto& [of, want] : expected) {
      const std::uint32_t index = of;
      const Cell& cell = cells_[index];
      CAPTURE(index);
      CHECK(cell.stamp == 1);
      CHECK(cell.count == want.count);
      CHECK(violations_[index] == want.violations);
      if (want.count == 0) continue;
      CHECK(cell.min == want.min);
      CHECK(cell.max == want.max);
      CHECK(cell.last == want.last);
      CHECK(cell.ticket == want.ticket);
      if (want.has_plus && want.has_minus) {
        CHECK(std::isnan(cell.total()));
      } else if (want.has_plus || want.has_minus) {
        CHECK(cell.total() == (want.has_plus ? kInfinity : -kInfinity));
      } else {
        CHECK(std::abs(cell.total() - want.sum) <= std::ldexp(want.magnitude, -46));
      }
    }
    for (std::uint32_t i = 0; i < kSeries; ++i) {
      if (!expected.contains(i)) CHECK(cells_[i].stamp == 0);
    }
  }
  const Cell& cell(std::uint32_t index) const { return cells_[index]; }

  SeriesRange series{kSeries};
  std::uint32_t refused = kSeries;
  Tally tally, expected_tally;
  std::map<std::uint32_t, Expected> expected;

 private:
  void fold_slowly(const Record& record) {
    const std::uint32_t index = id_of(record.head) - kBase, extra = extra_of(record.head);
    double value = record.value;
    if (index >= kSeries) return static_cast<void>(++expected_tally[Found::foreign]);
    if (index == refused) return static_cast<void>(++expected_tally[Found::memory]);
    Expected& into = expected[index];
    if (extra == kExtraTicks) {
      if (value < 0) {
        ++expected_tally[Found::clock_step];
        value = 0;
      }
      value *= kSecondsPerTick;
    }
    if (std::isnan(value)) return static_cast<void>(++expected_tally[Found::nan]);
    const ValueCheck& check = checks_[index];
    if (value < check.least || value > check.most) {
      ++into.violations;
      if (!check.clamp) return static_cast<void>(++expected_tally[Found::invalid]);
      ++expected_tally[Found::clamped];
      value = value < check.least ? check.least : check.most;
    }
    if (kinds_[index] == Kind::counter && value < 0) return static_cast<void>(++expected_tally[Found::negative]);
    ++into.count;
    into.min = std::min(into.min, value);
    into.max = std::max(into.max, value);
    into.has_plus |= value == kInfinity;
    into.has_minus |= value == -kInfinity;
    if (std::isfinite(value)) {
      into.sum += value;
      into.magnitude += std::abs(value);
    }
    const bool is_set = kinds_[index] == Kind::gauge && extra > kExtraTicks;
    if (is_set && !Cell::is_newer(extra, into.ticket)) return;
    into.last = value;
    if (is_set) into.ticket = extra;
  }

  std::vector<Cell> cells_;
  std::vector<std::uint64_t> violations_;
  Kind kinds_[kSeries] = {};
  ValueCheck checks_[kSeries] = {};
};

Record record(std::uint32_t index, double value, std::uint32_t extra = kExtraPlain) { return {make_head(kBase + index, extra), value}; }

}  // namespace

TEST_CASE("runs of every length fold as their values one by one, wherever they begin") {
  for (std::size_t before = 0; before < 9; ++before) {
    for (std::size_t length = 1; length < 40; ++length) {
      Bed bed;
      std::vector<Record> records;
      for (std::size_t i = 0; i < before; ++i) records.push_back(record(1 + i % 2, 3));
      for (std::size_t i = 0; i < length; ++i) records.push_back(record(0, static_cast<double>(i * i) - 50));
      records.push_back(record(1, 4));
      bed.fold(records);
      bed.check();
    }
  }
}

TEST_CASE("a NaN anywhere in a run is refused, and nothing but it") {
  for (std::size_t at = 0; at < 64; ++at) {
    Bed bed;
    std::vector<Record> records;
    for (std::size_t i = 0; i < 64; ++i) records.push_back(record(0, i == at ? kNan : static_cast<double>(i + 1)));
    bed.fold(records);
    CHECK(bed.tally[Found::nan] == 1);
    bed.check();
  }
}

TEST_CASE("a series of NaN alone has no value") {
  Bed bed;
  bed.fold(std::vector<Record>(20, record(0, kNan)));
  CHECK(bed.tally[Found::nan] == 20);
  CHECK(bed.cell(0).count == 0);
  bed.check();
}

TEST_CASE("a negative amount anywhere in a counter's run is dropped, and nothing but it; other kinds take it") {
  for (std::size_t at = 0; at < 64; ++at) {
    Bed bed;
    bed.set_kind(0, Kind::counter);
    std::vector<Record> records;
    for (const std::uint32_t index : {0u, 1u}) {
      for (std::size_t i = 0; i < 64; ++i) records.push_back(record(index, i == at ? -1 : static_cast<double>(i + 1)));
    }
    bed.fold(records);
    CHECK(bed.tally[Found::negative] == 1);
    CHECK(bed.cell(1).min == -1);
    bed.check();
  }
}

TEST_CASE("a counter takes zero of either sign, and refuses negative infinity") {
  Bed bed;
  bed.set_kind(0, Kind::counter);
  bed.fold({record(0, 0.0), record(0, -0.0), record(0, -kInfinity), record(0, kInfinity)});
  CHECK(bed.cell(0).count == 3);
  CHECK(bed.tally[Found::negative] == 1);
  bed.check();
}

TEST_CASE("infinities count in minimum and maximum, make the sum infinite, and both signs make it NaN, in runs and out of them") {
  for (const std::size_t length : {3u, 8u, 64u}) {
    for (const std::vector<double>& infinities : {std::vector{kInfinity}, std::vector{-kInfinity}, std::vector{kInfinity, -kInfinity}}) {
      Bed bed;
      std::vector<Record> records(length, record(0, 1));
      for (std::size_t i = 0; i < infinities.size(); ++i) records[i].value = infinities[i];
      bed.fold(records);
      bed.fold(std::vector<Record>(100, record(0, 2)));
      bed.check();
    }
  }
}

TEST_CASE("a value that its series' check minds is refused or clamped wherever it stands, counted once, and nothing but it") {
  for (const bool clamps : {false, true}) {
    for (const double odd : {-1.0, 65.0, -kInfinity, kInfinity}) {
      for (std::size_t at = 0; at < 64; ++at) {
        CAPTURE(clamps);
        CAPTURE(odd);
        CAPTURE(at);
        Bed bed;
        bed.set_check(0, clamps ? ValueCheck::range(0, 64).clamped() : ValueCheck::range(0, 64));
        std::vector<Record> records;
        for (const std::uint32_t index : {0u, 1u}) {
          for (std::size_t i = 0; i < 64; ++i) records.push_back(record(index, i == at ? odd : static_cast<double>(i + 1)));
        }
        bed.fold(records);
        CHECK(bed.tally[clamps ? Found::clamped : Found::invalid] == 1);
        CHECK(bed.tally.records() == (clamps ? 0 : 1));
        bed.check();
      }
    }
  }
}

TEST_CASE("ids below and above the table are nobody's, in runs and out of them") {
  Bed bed;
  std::vector<Record> records(30, Record{make_head(kBase - 1, kExtraPlain), 1});
  records.insert(records.end(), 5, Record{make_head(kBase + kSeries, kExtraPlain), 1});
  records.push_back(Record{make_head(0, kExtraPlain), 1});
  records.push_back(Record{make_head(~0u, kExtraTicks), 1});
  records.push_back(record(kSeries - 1, 7));
  bed.fold(records);
  CHECK(bed.tally[Found::foreign] == 37);
  bed.check();
}

TEST_CASE("a series that may have no cell loses its records to memory, each counted") {
  Bed bed;
  bed.refused = 3;
  std::vector<Record> records(20, record(3, 1));
  for (std::uint32_t i = 0; i < 20; ++i) records.push_back(record(i % 5, 2));
  bed.fold(records);
  CHECK(bed.tally[Found::memory] == 24);
  bed.check();
}

TEST_CASE("ticks become seconds, and a clock that went backwards counts as no time") {
  Bed bed;
  bed.set_kind(0, Kind::timer);
  std::vector<Record> records;
  for (int i = -3; i < 30; ++i) records.push_back(record(0, i, kExtraTicks));
  for (int i = 0; i < 30; ++i) records.push_back(record(0, 0.5));  // in seconds already
  bed.fold(records);
  CHECK(bed.tally[Found::clock_step] == 3);
  CHECK(bed.cell(0).count == 63);
  CHECK(bed.cell(0).max == 29 * kSecondsPerTick);
  bed.check();
}

TEST_CASE("the last set of a gauge wins, in whatever order its records come, also where the tickets wrap") {
  const std::uint64_t seed = new_seed();
  CAPTURE(seed);
  std::mt19937_64 random(seed);
  for (const std::uint32_t first : {0u, 0x7fff'ff80u, 0xffff'ff80u}) {
    Bed bed;
    bed.set_kind(0, Kind::gauge);
    std::vector<Record> records;
    for (std::uint32_t i = 0; i < 256; ++i) records.push_back(record(0, i, (first + i) | 0x8000'0000u));
    std::shuffle(records.begin(), records.end(), random);
    bed.fold(records);
    CHECK(bed.cell(0).last == 255);
    CHECK(bed.cell(0).count == 256);
    bed.check();
  }
}

TEST_CASE("the sum of ten million values errs by less than 2^-46 of their magnitudes, which a plain sum does not") {
  Bed bed;
  const std::vector<Record> run(kChunkRecords, record(0, 0.1)), alternating = [] {
    std::vector<Record> records;
    for (std::size_t i = 0; i < kChunkRecords; ++i) records.push_back(record(1 + i % 2, 0.1));
    return records;
  }();
  const int chunks = kIsSanitized ? 4'000 : 40'000;
  double plain = 0;
  for (int i = 0; i < chunks; ++i) {
    bed.fold(run);
    bed.fold(alternating);
    for (std::size_t j = 0; j < kChunkRecords; ++j) plain += 0.1;
  }
  const auto exact = static_cast<long double>(0.1) * chunks * kChunkRecords;
  CHECK(std::abs(plain - exact) > std::ldexp(exact, -46));
  CHECK(std::abs(bed.cell(0).total() - exact) <= std::ldexp(exact, -46));
  CHECK(std::abs(static_cast<long double>(bed.cell(1).total()) + bed.cell(2).total() - exact) <= std::ldexp(exact, -46));
}

TEST_CASE("random mixes fold as a naive reference does") {
  const std::uint64_t seed = new_seed();
  CAPTURE(seed);
  std::mt19937_64 random(seed);
  const auto chance = [&random](double of) { return std::uniform_real_distribution<double>()(random) < of; };
  for (int round = 0; round < (kIsSanitized ? 40 : 300); ++round) {
    CAPTURE(round);
    Bed bed;
    const std::uint32_t series = std::vector<std::uint32_t>{1, 2, 3, 16, kSeries}[random() % 5];
    for (std::uint32_t i = 0; i < series; ++i) bed.set_kind(i, static_cast<Kind>(random() % 5));
    if (chance(0.5)) {
      // Not finite(): many of the largest doubles add up to infinity.
      const ValueCheck checks[] = {
          {}, ValueCheck::range(-1e290, 1e290), ValueCheck::non_negative(), ValueCheck::range(-1, 1e6), {.most = 0}};
      for (std::uint32_t i = 0; i < series; ++i) {
        const ValueCheck& check = checks[random() % std::size(checks)];
        bed.set_check(i, chance(0.5) ? check.clamped() : check);
      }
    }
    if (chance(0.2)) bed.refused = static_cast<std::uint32_t>(random() % series);
    const double odd = chance(0.3) ? 0.02 : 0;  // of values that are not ordinary
    const double run = std::vector<double>{0, 0.5, 0.97}[random() % 3];
    std::vector<Record> records;
    std::uint32_t index = 0, ticket = static_cast<std::uint32_t>(random());
    const std::size_t count = random() % 2000;
    while (records.size() < count) {
      if (!chance(run)) index = static_cast<std::uint32_t>(random() % series);
      double value = std::ldexp(std::uniform_real_distribution<double>(-1, 1)(random), static_cast<int>(random() % 80) - 40);
      if (chance(odd)) value = std::vector<double>{kNan, kInfinity, -kInfinity, 0, -0.0}[random() % 5];
      std::uint32_t extra = kExtraPlain;
      if (chance(0.1)) extra = chance(0.5) ? kExtraTicks : (ticket += 3) | 0x8000'0000u;
      records.push_back(record(chance(odd) ? kSeries + index : index, value, extra));
    }
    bed.fold(records);
    bed.check();
  }
}
