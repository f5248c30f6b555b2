#include "contract.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <sstream>

using namespace pepper;
using contract::manual;
using contract::series;

namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

std::shared_ptr<const SeriesSnapshot> recorded(const std::vector<double>& values, SeriesOptions options = {}) {
  MetricsCollector collector(manual());
  collector.histogram("values", {}, options).record(values);
  return series(*collector.flush(), "values");
}

/// A row that reads `lower .. upper  count  ###`, or with one value in place of the borders, and what is not there empty.
struct Row {
  std::string numbers, lower, upper;
  std::uint64_t count = 0;
  std::size_t bar = 0, size = 0;
};

std::vector<Row> rows_of(const std::string& text) {
  std::vector<Row> rows;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) {
    Row row;
    row.size = line.size();
    row.bar = static_cast<std::size_t>(std::ranges::count(line, '#'));
    row.numbers = line.substr(0, line.find('#'));
    row.numbers.erase(row.numbers.find_last_not_of(' ') + 1);
    std::istringstream words(row.numbers);
    std::string dots;
    words >> row.lower;
    if (row.numbers.find(" .. ") != std::string::npos) words >> dots >> row.upper;
    words >> row.count;
    rows.push_back(row);
  }
  return rows;
}

}  // namespace

TEST_CASE("a histogram's text has no number cut, whatever the width, and bars where there is room for them beside") {
  std::vector<double> values(999, 1.0);
  values.insert(values.end(), 500, 10.0);
  values.insert(values.end(), 3, -1.2345e-100);
  values.insert(values.end(), {0, kInfinity});
  const auto found = recorded(values);
  const std::vector<Row> wide = rows_of(found->histogram_text(16, 200));
  REQUIRE(wide.size() == 5);
  const std::uint64_t counts[] = {3, 1, 999, 500, 1};
  std::size_t needed = 0;
  for (std::size_t i = 0; i < wide.size(); ++i) {
    CHECK(wide[i].count == counts[i]);
    needed = std::max(needed, wide[i].numbers.size());
  }
  needed += 3;  // two spaces, and a bar of one
  for (std::size_t width = 0; width <= 100; ++width) {
    CAPTURE(width);
    const std::vector<Row> rows = rows_of(found->histogram_text(16, width));
    REQUIRE(rows.size() == wide.size());
    for (std::size_t i = 0; i < rows.size(); ++i) {
      CHECK(rows[i].numbers == wide[i].numbers);
      CHECK(rows[i].size <= std::max(width, needed - 3));
      const auto longest = width < needed ? 0 : width - needed + 1;
      CHECK(rows[i].bar == std::max<std::size_t>(longest != 0, rows[i].count * longest / 999));
    }
  }
}

TEST_CASE("a row that is as wide as any fits into 77 characters with its bar") {
  const auto found = recorded({-1.0000001e-100, -1.0000011e-100, -1.0000021e-100}, {.relative_error = 1e-6});
  for (const Row& row : rows_of(found->histogram_text(16, 77))) {
    CHECK(row.bar > 0);
    CHECK(row.size <= 77);
  }
}

TEST_CASE("the borders of a row are told apart, however fine the buckets are") {
  for (const double relative_error : {1e-6, 1e-5, 1e-4, 0.01, 0.5}) {
    CAPTURE(relative_error);
    const auto found = recorded({1, 1.0000001, 1.0000101, 1.0000201, 1.0000301, -123456.7}, {.relative_error = relative_error});
    for (const Row& row : rows_of(found->histogram_text())) {
      CHECK(!row.upper.empty());
      CHECK(row.lower != row.upper);
      CHECK(std::stod(row.lower) < std::stod(row.upper));
    }
  }
  CHECK(rows_of(recorded({3})->histogram_text())[0].upper.size() <= 7);  // and no more digits than it takes
}

TEST_CASE("what is finite is not drawn as infinite") {
  const double most = std::numeric_limits<double>::max();
  for (const SeriesOptions& options : {SeriesOptions{}, SeriesOptions{.max_buckets = 8}}) {
    CHECK(recorded({1, most, -most}, options)->histogram_text().find("inf") == std::string::npos);
    CHECK(rows_of(recorded({-1, -kInfinity}, options)->histogram_text())[0].lower == "-inf");
  }
}

TEST_CASE("a histogram keeps to its rows, however few") {
  const auto found = recorded({-1.2345e-100, -1, 0, 1, 1.2345e-100, kInfinity});
  CHECK(found->histogram_text(0).empty());
  for (const std::size_t rows : {1u, 2u, 4u}) {
    const std::vector<Row> drawn = rows_of(found->histogram_text(rows, 80));
    CHECK(!drawn.empty());
    CHECK(drawn.size() <= rows);
    std::uint64_t count = 0;
    for (const Row& row : drawn) count += row.count;
    CHECK(count == 6);
  }
}
