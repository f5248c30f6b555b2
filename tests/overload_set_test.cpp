#include "internals.hpp"

#include <map>

using namespace internals;

namespace {

constexpr std::uint32_t kBase = 50, kSeries = 600;

using State = std::map<std::uint32_t, Sum>;

using Violations = std::map<std::uint32_t, std::uint64_t>;

auto into(State& state, Violations& violations) {
  return [&state, &violations](std::uint32_t index, const Cell& cell, std::uint64_t more_violations) {
    Sum& sum = state[index];  // a series visited twice is seen by its count
    sum = {sum.count + cell.count, sum.sum + cell.total()};
    violations[index] += more_violations;
  };
}

/// A set, and the two who use it, driven by one thread.
class Bed {
 public:
  explicit Bed(std::size_t budget_bytes = std::size_t{16} << 20) {
    budget.set_limit(budget_bytes);
    series.set(kBase, kSeries);
    REQUIRE(set.reserve(kSeries, budget));
  }

  /// One more chunk, announced but not folded.
  void prepare(std::vector<Record> records) {
    records_ = std::move(records);
    table_ = series.table(nullptr, ++stamp);
    set.begin(is_fresh);
    is_fresh = false;
    set.prepare(records_.data(), records_.size(), table_);
  }
  void fold_prepared(std::size_t first = kChunkRecords) { set.fold_prepared(records_.data(), std::min(first, records_.size()), table_); }
  void fold(std::vector<Record> records) {
    prepare(std::move(records));
    fold_prepared();
  }
  void clear() {
    set.clear();
    is_fresh = true;
  }

  State all() {
    State state;
    violations.clear();
    tally = set.visit_all(into(state, violations));
    return state;
  }
  State before_prepare() {
    State state;
    violations.clear();
    tally = set.visit_before_prepare(into(state, violations));
    return state;
  }
  State before_fold() {
    State state;
    violations.clear();
    tally = set.visit_before_fold(stamp, into(state, violations));
    return state;
  }

  Budget budget;
  SeriesRange series{kSeries};
  OverloadSet set;
  Tally tally;
  Violations violations;
  std::uint32_t stamp = 0;
  bool is_fresh = true;

 private:
  std::vector<Record> records_;
  FoldTable table_{};
};

Record record(std::uint32_t index, double value) { return {make_head(kBase + index, kExtraPlain), value}; }

/// 255 records of every third series from `first` on, and of a few again and again.
std::vector<Record> chunk(std::uint32_t first) {
  std::vector<Record> records;
  for (std::uint32_t i = 0; i < kChunkRecords; ++i) records.push_back(record(i % 5 == 0 ? i % 4 : (first + 3 * i) % kSeries, i + 1));
  return records;
}

State sums(const std::vector<std::vector<Record>>& chunks) {
  State state;
  for (const auto& records : chunks) {
    for (const Record& of : records) state[id_of(of.head) - kBase].add(of.value);
  }
  return state;
}

}  // namespace

TEST_CASE("a set holds what was folded into it, chunk after chunk") {
  Bed bed;
  bed.fold(chunk(0));
  bed.fold(chunk(100));
  bed.fold(chunk(200));
  CHECK((bed.all() == sums({chunk(0), chunk(100), chunk(200)})));
  CHECK(bed.tally.records() == 0);
}

TEST_CASE("while a fold prepares, the set reads as before it: empty at first, and with content") {
  Bed bed;
  bed.prepare(chunk(0));
  CHECK(bed.before_prepare().empty());
  bed.fold_prepared();
  bed.prepare(chunk(7));
  CHECK((bed.before_prepare() == sums({chunk(0)})));
}

TEST_CASE("while a fold folds, the set reads as before it, however far the fold has come") {
  for (const std::size_t folded : {0u, 1u, 17u, 128u, 254u, 255u}) {
    CAPTURE(folded);
    Bed bed;
    bed.prepare(chunk(0));
    bed.fold_prepared(folded);
    CHECK(bed.before_fold().empty());
    Bed second;
    second.fold(chunk(0));
    second.prepare(chunk(7));
    second.fold_prepared(folded);
    CHECK((second.before_fold() == sums({chunk(0)})));
    Bed third;
    third.fold(chunk(0));
    third.fold(chunk(7));
    third.prepare(chunk(7));
    third.fold_prepared(folded);
    CHECK((third.before_fold() == sums({chunk(0), chunk(7)})));
  }
}

TEST_CASE("what was in no series reads as before the fold, too") {
  Bed bed;
  const std::vector<Record> foreign(10, Record{make_head(kBase + kSeries, kExtraPlain), 1});
  bed.fold(foreign);
  bed.prepare(foreign);
  (void)bed.before_prepare();
  CHECK(bed.tally[Found::foreign] == 10);
  bed.fold_prepared();
  (void)bed.before_fold();
  CHECK(bed.tally[Found::foreign] == 10);
  (void)bed.all();
  CHECK(bed.tally[Found::foreign] == 20);
}

TEST_CASE("violations read as before the fold, however far it has come, and are counted once when it is done") {
  constexpr std::uint32_t kChecked = 7;
  const std::vector<Record> records{record(kChecked, 1), record(kChecked, -1), record(1, -1), record(kChecked, 2), record(kChecked, -2)};
  for (const std::size_t folded : {0u, 1u, 2u, 4u, 5u}) {
    CAPTURE(folded);
    Bed bed;
    bed.series.checks().set(kChecked, ValueCheck::non_negative());
    bed.series.set_kind(1, Kind::summary);
    bed.prepare(records);
    (void)bed.before_prepare();
    CHECK(bed.violations[kChecked] == 0);
    bed.fold_prepared(folded);
    CHECK(bed.before_fold().empty());
    CHECK(bed.violations[kChecked] == 0);
    bed.clear();  // a thread was at it, and was robbed
    for (std::uint64_t round = 1; round < 3; ++round) {
      bed.prepare(records);
      (void)bed.before_prepare();
      CHECK(bed.violations[kChecked] == 2 * (round - 1));
      CHECK(bed.tally[Found::invalid] == 2 * (round - 1));
      bed.fold_prepared();
      (void)bed.before_fold();
      CHECK(bed.violations[kChecked] == 2 * (round - 1));
      CHECK(bed.tally[Found::invalid] == 2 * (round - 1));
      const auto sum_of_one = static_cast<double>(round);
      CHECK((bed.all() == State{{1, {round, -sum_of_one}}, {kChecked, {2 * round, 3 * sum_of_one}}}));
      CHECK(bed.violations[kChecked] == 2 * round);
      CHECK(bed.tally[Found::invalid] == 2 * round);
    }
  }
}

TEST_CASE("a set whose budget has no room for violations loses the records to memory, each counted") {
  Bed bed(OverloadSet::kPageCharge);
  bed.series.checks().set(0, ValueCheck::non_negative());
  bed.fold({record(0, -1), record(0, 1)});
  CHECK(bed.all().empty());
  CHECK(bed.tally[Found::memory] == 2);
  CHECK(bed.tally[Found::invalid] == 0);
}

TEST_CASE("a cleared set is empty, and good for the next chunks") {
  Bed bed;
  bed.fold(chunk(0));
  bed.fold({record(1, std::numeric_limits<double>::quiet_NaN())});
  (void)bed.all();
  CHECK(bed.tally[Found::nan] == 1);
  bed.clear();
  CHECK(bed.all().empty());
  CHECK(bed.tally[Found::nan] == 0);
  bed.prepare(chunk(3));
  CHECK(bed.before_fold().empty());
  bed.fold_prepared();
  CHECK((bed.all() == sums({chunk(3)})));
}

TEST_CASE("lost chunks are counted, and the loss reads as before while it is under way") {
  Bed bed;
  bed.set.begin(true);
  bed.set.prepare_loss();
  bed.set.add_loss(Found::overflow, 255);
  bed.set.begin(false);
  bed.set.prepare_loss();
  bed.set.add_loss(Found::overflow, 200);
  CHECK(bed.before_fold().empty());
  CHECK(bed.tally[Found::overflow] == 255);
  CHECK(bed.all().empty());
  CHECK(bed.tally[Found::overflow] == 455);
}

TEST_CASE("a loss after a fold does not count what the fold had logged once more") {
  Bed bed;
  bed.fold(chunk(0));
  bed.fold(chunk(0));
  bed.set.begin(false);
  bed.set.prepare_loss();
  ++bed.stamp;
  CHECK((bed.before_fold() == sums({chunk(0), chunk(0)})));
  bed.clear();  // and the next to use the set finds nothing of it
  bed.set.begin(true);
  bed.set.prepare_loss();
  ++bed.stamp;
  CHECK(bed.before_fold().empty());
}

TEST_CASE("series for which the budget has no page lose their records to memory, each counted; the others fold") {
  Bed bed(2 * OverloadSet::kPageCharge);
  std::vector<Record> records;
  for (const std::uint32_t index : {0u, 64u, 128u, 192u, 1u, 128u}) records.push_back(record(index, 5));  // 64 cells to a page
  bed.fold(records);
  CHECK((bed.all() == State{{0, {1, 5}}, {1, {1, 5}}, {64, {1, 5}}}));
  CHECK(bed.tally[Found::memory] == 3);
  CHECK(bed.tally.records() == 3);
  bed.budget.set_limit(100 * kPageBytes);
  bed.fold(records);
  CHECK(bed.all().at(128) == Sum{2, 10});
  CHECK(bed.tally[Found::memory] == 3);
}

TEST_CASE("a page is paid for once, however often the set is cleared while there is room") {
  Bed bed;
  for (int i = 0; i < 5; ++i) {
    bed.fold(chunk(0));
    bed.clear();
  }
  CHECK(bed.budget.used() == round_up_to_pages(kSeries * sizeof(Cell)) / kPageBytes * OverloadSet::kPageCharge);
}

TEST_CASE("clearing gives memory back where the budget is tight") {
  Bed bed(12 * kPageBytes);
  bed.fold(chunk(0));
  CHECK(bed.budget.used() == 10 * OverloadSet::kPageCharge);
  CHECK(bed.budget.is_tight());
  bed.clear();
  CHECK(bed.budget.used() == 0);
  bed.fold(chunk(9));
  CHECK((bed.all() == sums({chunk(9)})));
}

TEST_CASE("releasing keeps the addresses: a fold that is under way does no harm, and the next finds an empty set") {
  Bed bed;
  bed.fold(chunk(0));
  bed.prepare(chunk(1));
  bed.set.clear();
  bed.set.release();
  CHECK(bed.budget.used() == 0);
  bed.fold_prepared();  // by a thread that does not know yet
  bed.clear();
  bed.fold(chunk(2));
  CHECK((bed.all() == sums({chunk(2)})));
}

TEST_CASE("touching pays for the pages that so many series need, and no more") {
  Bed bed;
  bed.set.touch(65, 0, false);
  CHECK(bed.budget.used() == 2 * OverloadSet::kPageCharge);
  bed.fold({record(0, 1), record(127, 1)});
  CHECK(bed.budget.used() == 2 * OverloadSet::kPageCharge);
  bed.fold({record(128, 1)});
  CHECK(bed.budget.used() == 3 * OverloadSet::kPageCharge);
}
