#include "internals.hpp"

#include <cmath>
#include <limits>

using namespace internals;

namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

/// As a fold leaves it.
Cell cell_of(std::initializer_list<double> values, std::uint32_t ticket = 0) {
  Cell cell;
  cell.clear();
  for (const double value : values) {
    ++cell.count;
    cell.delta += value;
    cell.min = std::min(cell.min, value);
    cell.max = std::max(cell.max, value);
    cell.last = value;
  }
  cell.ticket = ticket;
  return cell;
}

}  // namespace

TEST_CASE("a cleared cell has no values, and any value is its minimum and its maximum") {
  const Cell cell = cell_of({});
  CHECK(cell.count == 0);
  CHECK(cell.total() == 0);
  CHECK(cell.min == kInfinity);
  CHECK(cell.max == -kInfinity);
  CHECK(cell.stamp == 0);
  CHECK(cell.ticket == 0);
}

TEST_CASE("settling keeps what one double cannot") {
  Cell cell = cell_of({});
  for (const double value : {1e16, 1.0, 1.0, 1.0, -1e16}) {
    cell.delta = value;
    cell.settle();
    CHECK(cell.delta == 0);
  }
  CHECK(cell.total() == 3);  // a plain sum says 4 or 2
}

TEST_CASE("settling twice changes nothing") {
  Cell cell = cell_of({0.1, 0.2});
  cell.settle();
  const double total = cell.total();
  cell.settle();
  CHECK(cell.total() == total);
}

TEST_CASE("an infinity stays in the sum, and both signs make it NaN") {
  Cell cell = cell_of({kInfinity, 1});
  cell.settle();
  cell.delta = 5;
  cell.settle();
  CHECK(cell.total() == kInfinity);
  cell.delta = -kInfinity;
  CHECK(std::isnan(cell.total()));
  cell.settle();
  CHECK(std::isnan(cell.total()));
}

TEST_CASE("merging adds counts and sums, joins the ranges, and takes the later last") {
  Cell cell = cell_of({1, 5});
  cell.merge(cell_of({-2, 3}));
  CHECK(cell.count == 4);
  CHECK(cell.total() == 7);
  CHECK(cell.min == -2);
  CHECK(cell.max == 5);
  CHECK(cell.last == 3);
}

TEST_CASE("merging loses no more of the sum than folding does") {
  Cell cell = cell_of({1e16}), other = cell_of({1});
  other.settle();
  for (int i = 0; i < 1000; ++i) cell.merge(other);
  cell.merge(cell_of({-1e16}));
  CHECK(cell.total() == 1000);
  Cell split = cell_of({1e16});
  split.settle();
  split.delta = 1;
  split.settle();  // 1e16 and 1, apart
  Cell into = cell_of({});
  into.merge(split);
  into.merge(cell_of({-1e16}));
  CHECK(into.total() == 1);
}

TEST_CASE("merging an empty cell changes nothing, and merging into one copies") {
  Cell cell = cell_of({4, 2});
  cell.merge(cell_of({}));
  CHECK(cell.count == 2);
  CHECK(cell.min == 2);
  CHECK(cell.last == 2);
  Cell empty = cell_of({});
  empty.merge(cell);
  CHECK(empty.count == 2);
  CHECK(empty.total() == 6);
  CHECK(empty.max == 4);
  CHECK(empty.last == 2);
}

TEST_CASE("the higher ticket decides last, in whichever order cells are merged") {
  constexpr std::uint32_t kFirst = 0x8000'0000u;
  Cell newer = cell_of({2}, kFirst + 9);
  newer.merge(cell_of({1}, kFirst + 8));
  CHECK(newer.last == 2);
  CHECK(newer.ticket == kFirst + 9);
  Cell older = cell_of({1}, kFirst + 8);
  older.merge(cell_of({2}, kFirst + 9));
  CHECK(older.last == 2);
  CHECK(older.ticket == kFirst + 9);
}

TEST_CASE("a value without a ticket does not displace one that a gauge has set, and the other way round does") {
  Cell set = cell_of({7}, 0x8000'0001u);
  set.merge(cell_of({1}));
  CHECK(set.last == 7);
  Cell plain = cell_of({1});
  plain.merge(cell_of({7}, 0x8000'0001u));
  CHECK(plain.last == 7);
}

TEST_CASE("the order of tickets wraps") {
  const auto ticket = [](std::uint32_t count) { return count | 0x8000'0000u; };  // as a gauge makes them
  CHECK(Cell::is_newer(ticket(0), 0));
  CHECK(Cell::is_newer(ticket(1), ticket(0)));
  CHECK_FALSE(Cell::is_newer(ticket(0), ticket(1)));
  CHECK_FALSE(Cell::is_newer(ticket(5), ticket(5)));
  CHECK(Cell::is_newer(ticket(0x7fff'ffffu + 1), ticket(0x7fff'ffffu)));
  CHECK(Cell::is_newer(ticket(0x8000'0000u + 100), ticket(0x7fff'ffffu - 100)));
  CHECK_FALSE(Cell::is_newer(ticket(0x7fff'ffffu - 100), ticket(0x8000'0000u + 100)));
  CHECK(Cell::is_newer(ticket(0xffff'ffffu + 1), ticket(0xffff'ffffu)));
}
