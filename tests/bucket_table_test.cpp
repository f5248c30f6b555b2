#include "internals.hpp"
#include "mapping.hpp"

#include <map>
#include <memory>
#include <optional>
#include <sys/mman.h>

using namespace internals;

namespace {

constexpr std::size_t kPlenty = std::size_t{512} << 20;

/// A table and the budget that it has: at its end, whole again.
struct Table {
  explicit Table(std::size_t bytes = kPlenty) {
    budget.set_limit(bytes);
    table.emplace();
    REQUIRE(table->reserve(budget));
  }
  ~Table() {
    table.reset();
    CHECK(budget.used() == 0);
  }
  Table(const Table&) = delete;
  Table& operator=(const Table&) = delete;
  BucketTable* operator->() { return &*table; }

  /// As its reader does.
  void empty() {
    table->clear(table->size());
    table->note_empty();
  }

  Budget budget;
  std::optional<BucketTable> table;
};

/// A page for each series.
BucketPlace place(std::uint32_t series, std::int32_t index = 0) { return place_of_index(index, false, series, scale_code(6)); }

}  // namespace

TEST_CASE("a bucket's count is found again, and no other's") {
  Table table;
  std::map<std::pair<std::uint64_t, std::uint32_t>, std::uint32_t> expected;
  std::mt19937_64 random{1};
  for (int i = 0; i < 20'000; ++i) {
    const BucketPlace at = place_of_index(static_cast<std::int32_t>(random() % 1000) - 500, random() % 2 == 0,
                                          static_cast<std::uint32_t>(random() % 50), scale_code(static_cast<int>(random() % 3)));
    std::uint32_t* const count = table->find(at);
    REQUIRE(count != nullptr);
    REQUIRE(*count == expected[{at.key, at.at}]);
    ++*count;
    ++expected[{at.key, at.at}];
  }
  std::uint64_t sum = 0;
  for (std::uint32_t number = 0; number < table->size(); ++number) {
    const BucketTable::Page page = table->page(number);
    for (std::uint32_t at = 0; at < kBucketsPerPage; ++at) {
      sum += page.counts[at];
      if (page.counts[at] != 0) REQUIRE(page.counts[at] == expected[{page.key, at}]);
    }
  }
  CHECK(sum == 20'000);
}

TEST_CASE("the pages of a run follow each other, count besides others of the same buckets, and are forgotten like these") {
  Table table;
  for (int turn = 0; turn < 3; ++turn) {
    *table->find(place(7, 64)) = 1;
    std::uint32_t* const run = table->make_run(place(7, -128).key, 5);
    REQUIRE(run != nullptr);
    *table->find(place(8, 64)) = 1;
    std::uint32_t* const again = table->make_run(place(7, -128).key, 5);
    REQUIRE(again != nullptr);
    for (std::int32_t index = -128; index < 192; ++index) {
      REQUIRE(run[index + 128] == 0);
      REQUIRE(again[index + 128] == 0);
      ++run[index + 128];
      ++again[index + 128];
    }
    std::map<std::int32_t, std::uint32_t> counted;
    for (std::uint32_t number = 0; number < table->size(); ++number) {
      const BucketTable::Page page = table->page(number);
      if (PageKey::series(page.key) != 7) continue;
      for (std::uint32_t at = 0; at < kBucketsPerPage; ++at)
        counted[PageKey::first_index(page.key) + static_cast<std::int32_t>(at)] += page.counts[at];
    }
    CHECK(counted.size() == 320);
    for (const auto& [index, count] : counted) REQUIRE(count == (index == 64 ? 3 : 2));
    table.empty();
    REQUIRE(*table->find(place(7, 0)) == 0);
    REQUIRE(*table->find(place(8, 64)) == 0);
    table.empty();
  }
}

TEST_CASE("a run is refused where there would be more pages than runs may have, or than the budget has") {
  Table table, poor(20'000);
  std::size_t missing = 0;
  for (std::uint32_t series = 0; series < BucketTable::kMostInRuns - 4; ++series) missing += table->find(place(series)) == nullptr;
  REQUIRE(missing == 0);
  CHECK(table->make_run(place(0).key, 5) == nullptr);
  CHECK(table->make_run(place(0).key, 4) != nullptr);
  CHECK(table->make_run(place(0).key, 1) == nullptr);
  CHECK(table->find(place(BucketTable::kMostPages)) != nullptr);
  CHECK(poor->make_run(place(0).key, 100) == nullptr);
  CHECK(poor->size() == 0);
  CHECK(poor->make_run(place(0).key, 30) != nullptr);
}

TEST_CASE("an empty table finds nothing of before, and takes no more memory for the same again") {
  Table table;
  std::size_t used = 0;
  for (int turn = 0; turn < 5; ++turn) {
    for (std::uint32_t series = 0; series < 2000; ++series) {
      std::uint32_t* const count = table->find(place(series + static_cast<std::uint32_t>(turn) * 777));
      REQUIRE(count != nullptr);
      REQUIRE(*count == 0);
      *count = series + 1;
    }
    CHECK(table->size() == 2000);
    if (turn == 0) used = table.budget.used();
    CHECK(table.budget.used() == used);
    table.empty();
    CHECK(table->size() == 0);
  }
}

TEST_CASE("a table released is as good as new, its memory on nobody's budget") {
  Table table;
  for (int turn = 0; turn < 3; ++turn) {
    for (std::uint32_t series = 0; series < 5000; ++series) {
      std::uint32_t* const count = table->find(place(series));
      REQUIRE(count != nullptr);
      REQUIRE((*count)++ == 0);
    }
    table->release();
    table->note_empty();
    CHECK(table.budget.used() == 0);
  }
}

TEST_CASE("a table that is full refuses new pages, and goes on counting in those it has") {
  Table table;
  for (std::uint32_t series = 0; series < BucketTable::kMostPages; ++series) {
    std::uint32_t* const count = table->find(place(series));
    if (count == nullptr) FAIL("full after " << series);
    *count = series;
  }
  CHECK(table->size() == BucketTable::kMostPages);
  const std::size_t used = table.budget.used();
  CHECK(table->find(place(BucketTable::kMostPages)) == nullptr);
  CHECK(table->find(place(0, 64)) == nullptr);
  CHECK(table->size() == BucketTable::kMostPages);
  CHECK(table.budget.used() == used);
  std::size_t wrong = 0;
  for (std::uint32_t series = 0; series < BucketTable::kMostPages; ++series) wrong += *table->find(place(series)) != series;
  CHECK(wrong == 0);
  table.empty();
  CHECK(table->find(place(BucketTable::kMostPages)) != nullptr);
}

TEST_CASE("a budget that is out refuses pages, wherever it runs out, and keeps those that are") {
  for (std::size_t limit = 0; limit < 400'000; limit += limit < 20'000 ? 997 : 12'345) {
    CAPTURE(limit);
    Table table(limit);
    std::uint32_t made = 0;
    for (std::uint32_t series = 0; series < 2000; ++series) {
      std::uint32_t* const count = table->find(place(series));
      REQUIRE(table.budget.used() <= limit);
      if (count == nullptr) break;
      *count = ++made;
    }
    CHECK(table->size() == made);
    std::size_t wrong = 0;
    for (std::uint32_t series = 0; series < made; ++series) wrong += *table->find(place(series)) != series + 1;
    CHECK(wrong == 0);
    if (made < 2000) {
      CHECK(table->find(place(1999)) == nullptr);
      table.budget.set_limit(kPlenty);  // others have left: there is room again
      CHECK(table->find(place(1999)) != nullptr);
    }
  }
}

TEST_CASE("what was touched beforehand needs no more of the budget") {
  for (const std::uint32_t pages : {1u, 15u, 256u, 257u, 3000u}) {
    CAPTURE(pages);
    Table table;
    table->touch(pages);
    const std::size_t used = table.budget.used();
    CHECK(used > 0);
    for (std::uint32_t series = 0; series < pages; ++series) REQUIRE(table->find(place(series)) != nullptr);
    CHECK(table.budget.used() == used);
  }
}

TEST_CASE("touching goes as far as the budget does, and harms nothing beyond") {
  for (const std::size_t limit : {100, 6000, 10'000, 100'000}) {
    Table table(limit);
    table->touch(256);
    CHECK(table.budget.used() <= limit);
    table.budget.set_limit(kPlenty);
    for (std::uint32_t series = 0; series < 600; ++series) REQUIRE(table->find(place(series)) != nullptr);
    CHECK(table->size() == 600);
  }
}

TEST_CASE("memory that is given back reads as zero, where it is locked as well") {
  constexpr std::size_t kBytes = 600 * kPageBytes;
  for (const bool is_locked : {false, true}) {
    CAPTURE(is_locked);
    auto* const at = static_cast<unsigned char*>(map_pages(kBytes));
    REQUIRE(at != nullptr);
    for (std::size_t page = 0; page < 600; page += 7) at[page * kPageBytes + page] = 1;
    if (is_locked && mlock(at, kBytes) != 0) {
      MESSAGE("this process may lock no memory: not tried");
    } else {
      release_pages(at, kBytes);
      std::size_t left = 0;
      for (std::size_t i = 0; i < kBytes; ++i) left += at[i];
      CHECK(left == 0);
    }
    unmap_pages(at, kBytes);
  }
}
