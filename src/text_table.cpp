#include <pepper/snapshot.hpp>

#include "text_label.hpp"
#include "text_number.hpp"

#include <algorithm>
#include <array>
#include <string>
#include <vector>

namespace pepper {

namespace {

using detail::append_printable, detail::width;

enum Column : std::size_t { series, kind, count, sum, min, mean, p50, p90, p99, p999, max, last, unit };
constexpr std::size_t kColumns = unit + 1;
using Row = std::array<std::string, kColumns>;

bool is_text(std::size_t column) noexcept { return column == series || column == kind || column == unit; }

}  // namespace

std::string Snapshot::to_text() const {
  std::vector<Row> rows{{"series", "kind", "count", "sum", "min", "mean", "p50", "p90", "p99", "p99.9", "max", "last", "unit"}};
  rows.reserve(size() + 1);
  for (const SeriesSnapshot& of : *this) {
    std::string printable_unit;
    append_printable(printable_unit, of.unit);
    Row row{detail::label(of.name, of.tags), std::string(to_string(of.kind)), std::to_string(of.count)};
    const double numbers[] = {of.sum, of.min, of.mean(), of.quantile(0.5), of.quantile(0.9), of.quantile(0.99), of.quantile(0.999),
                              of.max, of.last};
    std::size_t column = sum;
    for (const double number : numbers) row[column++] = detail::to_text(number);
    row[column] = std::move(printable_unit);
    rows.push_back(std::move(row));
  }
  std::array<std::size_t, kColumns> widths{};
  for (const Row& row : rows) {
    for (std::size_t column = 0; column < kColumns; ++column) widths[column] = std::max(widths[column], width(row[column]));
  }
  std::string text;
  for (const Row& row : rows) {
    for (std::size_t column = 0; column < kColumns; ++column) {
      const std::string padding(widths[column] - width(row[column]), ' ');
      if (column != 0) text += "  ";
      text += is_text(column) ? row[column] + padding : padding + row[column];
    }
    text.erase(text.find_last_not_of(' ') + 1);
    text += '\n';
  }
  return text;
}

}  // namespace pepper
