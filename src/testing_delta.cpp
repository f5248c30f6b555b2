#include <pepper/testing.hpp>

#include "text_label.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <stdexcept>
#include <utility>

namespace pepper::testing {

namespace {

enum Column : std::size_t { series, what, expected, got };
constexpr std::size_t kColumns = got + 1;
using Row = std::array<std::string, kColumns>;

/// The shortest that reads as the same number, as what differs may differ in the last digit alone.
std::string exact(double value) {
  char digits[32];
  return {digits, std::to_chars(digits, digits + sizeof digits, value).ptr};
}

/// Whether a difference of two sums is as expected. `largest` is the larger of the two: what it was rounded to is in the difference too.
bool is_close(double wanted, double found, double largest) noexcept {
  if (wanted == found || (std::isnan(wanted) && std::isnan(found))) return true;
  return std::abs(wanted - found) <= 1e-9 * std::abs(wanted) + 1e-13 * largest;
}

bool is_same(double wanted, double found) noexcept { return wanted == found || (std::isnan(wanted) && std::isnan(found)); }

/// A change, and what is_close() wants to know of it.
struct Step {
  Change change;
  double largest_sum = 0;
};

Step step(std::string_view name, TagsView tags, const Snapshot& from, const Snapshot& to) {
  Step step{{.name = std::string(name), .tags = Tags(tags.data(), tags.size())}};
  const auto after = to.find(name, tags);
  if (after == nullptr) return step;
  const auto before = from.find(name, tags);
  const std::uint64_t count_before = before == nullptr ? 0 : before->count;
  const double sum_before = count_before == 0 ? 0 : before->sum;
  if (after->count == count_before) return step;
  step.change.count = after->count - count_before;
  step.change.sum = after->sum - sum_before;
  step.change.last = after->last;
  step.largest_sum = std::max(std::abs(sum_before), std::abs(after->sum));
  return step;
}

std::vector<Change> changes(const Snapshot& from, const Snapshot& to) {
  std::vector<Change> found;
  for (const SeriesSnapshot& one : to) {
    Step made = step(one.name, one.tags, from, to);
    if (made.change.count != 0) found.push_back(std::move(made.change));
  }
  return found;
}

std::string label(std::string_view name, const Tags& tags) { return detail::label(name, {tags.data(), tags.size()}); }

/// The series of that name which do have new records; for who has mistaken a tag.
std::string near_misses(std::string_view name, std::span<const Change> all) {
  std::string text;
  for (const Change& change : all) {
    if (change.name != name) continue;
    text += text.empty() ? "none, but " : ", ";
    text += std::to_string(change.count) + " of " + label(change.name, change.tags);
  }
  return text.empty() ? "none" : text;
}

void compare(const Expected& want, const Step& have, std::span<const Change> all, std::vector<Row>& rows) {
  const std::string name = label(want.name, want.tags);
  const Change& change = have.change;
  if (change.count == 0 && want.count.value_or(1) != 0) {
    rows.push_back({name, "count", want.count ? std::to_string(*want.count) : "some", near_misses(want.name, all)});
    return;
  }
  if (want.count && *want.count != change.count) rows.push_back({name, "count", std::to_string(*want.count), std::to_string(change.count)});
  if (want.sum && !is_close(*want.sum, change.sum, have.largest_sum)) rows.push_back({name, "sum", exact(*want.sum), exact(change.sum)});
  if (want.last && !is_same(*want.last, change.last)) rows.push_back({name, "last", exact(*want.last), exact(change.last)});
}

std::string table(const std::vector<Row>& rows) {
  std::array<std::size_t, kColumns> widths{};
  for (const Row& row : rows) {
    for (std::size_t column = 0; column < kColumns; ++column) widths[column] = std::max(widths[column], detail::width(row[column]));
  }
  std::string text;
  for (const Row& row : rows) {
    for (std::size_t column = 0; column < kColumns; ++column) {
      text += row[column];
      if (column != got) text.append(widths[column] + 2 - detail::width(row[column]), ' ');
    }
    text += '\n';
  }
  return text;
}

/// What may explain a difference: records that are in no series.
std::string losses(const CollectorStats& from, const CollectorStats& to) {
  std::string text;
  for (const Loss& loss : to.losses) {
    const auto same = std::ranges::find(from.losses, loss.cause, &Loss::cause);
    const std::uint64_t before = same == from.losses.end() ? 0 : same->count;
    if (loss.count != before)
      text += "dropped meanwhile: " + std::to_string(loss.count - before) + ", cause: " + std::string(to_string(loss.cause)) + '\n';
  }
  if (to.rejected != from.rejected)
    text += "rejected meanwhile: " + std::to_string(to.rejected - from.rejected) + " (NaN, or a name or tag outside the limits)\n";
  return text;
}

}  // namespace

Delta::Delta(MetricsCollector& collector) : collector_(collector), before_(collector.flush()) {}

Change Delta::of(std::string_view name, TagsView tags) const { return step(name, tags, *before_, *collector_.flush()).change; }

std::vector<Change> Delta::all() const { return changes(*before_, *collector_.flush()); }

std::string Delta::difference(std::span<const Expected> expected, Others others) const {
  const std::shared_ptr<const Snapshot> after = collector_.flush();
  const std::vector<Change> all = changes(*before_, *after);
  std::vector<Row> rows{{"series", "what", "expected", "got"}};
  const auto find = [&](std::string_view name, const Tags& tags) {
    return std::ranges::find_if(expected, [&](const Expected& one) { return one.name == name && one.tags == tags; });
  };
  for (const Expected& want : expected) {
    if (&*find(want.name, want.tags) != &want) throw std::invalid_argument("Delta: " + label(want.name, want.tags) + " is expected twice");
    compare(want, step(want.name, want.tags, *before_, *after), all, rows);
  }
  for (const Change& change : all) {
    if (others == Others::ignored || find(change.name, change.tags) != expected.end()) continue;
    rows.push_back({label(change.name, change.tags), "count", "none", std::to_string(change.count) + ", sum " + exact(change.sum)});
  }
  return rows.size() == 1 ? std::string{} : table(rows) + losses(before_->stats(), after->stats());
}

void Delta::expect(std::initializer_list<Expected> expected, Others others) const {
  const std::string wrong = difference(expected, others);
  if (!wrong.empty()) throw std::runtime_error("not recorded as expected:\n" + wrong);
}

}  // namespace pepper::testing
