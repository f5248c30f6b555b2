#include "contract.hpp"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <locale>
#include <map>
#include <ranges>
#include <sstream>

using namespace pepper;
using contract::manual;
using contract::series;

namespace {

static_assert(std::random_access_iterator<Snapshot::Iterator>);
static_assert(std::ranges::random_access_range<const Snapshot>);
static_assert(std::ranges::common_range<const Snapshot>);
static_assert(std::is_same_v<std::ranges::range_value_t<const Snapshot>, SeriesSnapshot>);

std::vector<std::string> lines(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

std::string label(const SeriesSnapshot& of) {
  std::string text(of.name);
  for (const Tag& tag : of.tags) text.append(" ").append(tag.key).append("=").append(tag.value);
  return text;
}

/// Characters of UTF-8 up to where `text` is found.
std::size_t column_of(const std::string& line, std::string_view text) {
  const std::size_t at = line.find(text);
  REQUIRE(at != std::string::npos);
  return static_cast<std::size_t>(std::count_if(line.begin(), line.begin() + static_cast<std::ptrdiff_t>(at),
                                                [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
}

}  // namespace

TEST_CASE("before any flush there is an empty snapshot, numbered 0") {
  MetricsCollector collector(manual());
  (void)collector.counter("hits");
  REQUIRE(collector.snapshot() != nullptr);
  CHECK(collector.snapshot()->sequence() == 0);
  CHECK(collector.snapshot()->size() == 0);
  CHECK(collector.snapshot()->begin() == collector.snapshot()->end());
}

TEST_CASE("each flush publishes the next snapshot, and snapshot() is the latest") {
  MetricsCollector collector(manual());
  for (std::uint64_t i = 1; i <= 5; ++i) {
    const auto flushed = collector.flush();
    CHECK(flushed->sequence() == i);
    CHECK(flushed->stats().flushes == i);
    CHECK(collector.snapshot() == flushed);
  }
}

TEST_CASE("a snapshot says when it was taken") {
  MetricsCollector collector(manual());
  const auto before = std::chrono::system_clock::now();
  const auto snapshot = collector.flush();
  CHECK(snapshot->taken_at() >= before);
  CHECK(snapshot->taken_at() <= std::chrono::system_clock::now());
}

TEST_CASE("find() finds a series by its name and exactly its tags") {
  MetricsCollector collector(manual());
  collector.counter("hits").add(1);
  collector.counter("hits", {{"a", "1"}}).add(2);
  collector.counter("hits", {{"a", "1"}, {"b", "2"}}).add(3);
  const auto snapshot = collector.flush();
  CHECK(series(*snapshot, "hits")->sum == 1);
  CHECK(series(*snapshot, "hits", {{"a", "1"}})->sum == 2);
  CHECK(series(*snapshot, "hits", {{"b", "2"}, {"a", "1"}})->sum == 3);
  CHECK(snapshot->find("hits", {{"b", "2"}}) == nullptr);
  CHECK(snapshot->find("hits", {{"a", "2"}}) == nullptr);
  CHECK(snapshot->find("hit") == nullptr);
  CHECK(snapshot->find("") == nullptr);
}

TEST_CASE("find() knows no series younger than the snapshot") {
  MetricsCollector collector(manual());
  const auto before = collector.flush();
  (void)collector.counter("hits");
  CHECK(before->find("hits") == nullptr);
  CHECK(before->size() == 0);
  CHECK(collector.flush()->find("hits") != nullptr);
}

TEST_CASE("what find() found outlives the snapshot's pointer and the collector") {
  std::shared_ptr<const SeriesSnapshot> found;
  {
    MetricsCollector collector(manual());
    collector.counter("hits", {{"key", "a value that no small string holds"}}, {.unit = "1", .help = "help"}).add(7);
    found = collector.flush()->find("hits", {{"key", "a value that no small string holds"}});
    for (int i = 0; i < 100; ++i) {
      collector.counter("other" + std::to_string(i)).add();
      (void)collector.flush();
    }
  }
  const MetricsCollector next(manual());
  REQUIRE(found != nullptr);
  CHECK(label(*found) == "hits key=a value that no small string holds");
  CHECK(found->sum == 7);
  CHECK(found->unit == "1");
  CHECK(found->help == "help");
}

TEST_CASE("a snapshot outlives its collector") {
  std::shared_ptr<const Snapshot> kept;
  {
    MetricsCollector collector(manual());
    for (int i = 0; i < 100; ++i) collector.counter("hits", {{"i", std::to_string(i)}}).add(i);
    kept = collector.flush();
  }
  MetricsCollector next(manual());
  next.counter("hits", {{"i", "1"}}).add(1000);
  (void)next.flush();
  CHECK(kept->size() == 100);
  CHECK(std::distance(kept->begin(), kept->end()) == 100);
  CHECK(series(*kept, "hits", {{"i", "1"}})->sum == 1);
  CHECK(kept->to_text().find("hits{i=99}") != std::string::npos);
  CHECK(kept->stats().recorded == 100);
}

TEST_CASE("an old snapshot stays as it was, whatever is recorded later") {
  MetricsCollector collector(manual());
  const Summary sizes = collector.summary("sizes");
  sizes.record(1);
  const auto first = collector.flush();
  const std::string text = first->to_text();
  std::vector<std::shared_ptr<const Snapshot>> kept;
  for (int i = 2; i <= 50; ++i) {
    sizes.record(i);
    (void)collector.summary("sizes" + std::to_string(i));
    kept.push_back(collector.flush());
  }
  CHECK(first->to_text() == text);
  CHECK(first->size() == 1);
  CHECK(series(*first, "sizes")->count == 1);
  CHECK(first->stats().recorded == 1);
  for (std::size_t i = 0; i < kept.size(); ++i) {
    CHECK(kept[i]->size() == i + 2);
    CHECK(series(*kept[i], "sizes")->count == i + 2);
    CHECK(series(*kept[i], "sizes")->max == static_cast<double>(i + 2));
  }
}

TEST_CASE("an old snapshot stays as it was, though the series' first bind comes later") {
  MetricsCollector collector(manual());
  CHECK(collector.record("hits", 1));
  const auto before = collector.flush();
  const std::string text = before->to_text();
  (void)collector.counter("hits", {}, {.unit = "1", .help = "help"});
  CHECK(series(*before, "hits")->kind == Kind::summary);
  CHECK(series(*before, "hits")->unit.empty());
  CHECK(before->to_text() == text);
  CHECK(series(*collector.flush(), "hits")->kind == Kind::counter);
}

TEST_CASE("a series that nobody recorded into is in the snapshot, empty") {
  MetricsCollector collector(manual());
  (void)collector.summary("sizes");
  const auto snapshot = collector.flush();
  const auto found = series(*snapshot, "sizes");
  CHECK(snapshot->size() == 1);
  CHECK(found->count == 0);
  CHECK(found->sum == 0);
  CHECK(std::isnan(found->min));
  CHECK(std::isnan(found->max));
  CHECK(std::isnan(found->last));
  CHECK(std::isnan(found->mean()));
  CHECK(std::isnan(found->quantile(0.5)));
}

TEST_CASE("a series without a distribution has no quantiles") {
  MetricsCollector collector(manual());
  collector.summary("sizes").record({1, 2, 3});
  for (const double q : {0.0, 0.5, 1.0}) CHECK(std::isnan(series(*collector.flush(), "sizes")->quantile(q)));
}

TEST_CASE("series come in the order of names, then of tags") {
  const std::vector<std::string> sorted{"a", "a k=", "a k=1", "a k=1 z=0", "a k=10", "a k=2", "a l=0", "aa", "b", "b a=9 b=1", "b a=9 b=2"};
  std::vector<std::pair<std::string, Tags>> keys{{"b", {{"a", "9"}, {"b", "2"}}},
                                                 {"a", {{"l", "0"}}},
                                                 {"aa", {}},
                                                 {"a", {{"k", "10"}}},
                                                 {"b", {}},
                                                 {"a", {{"k", ""}}},
                                                 {"a", {}},
                                                 {"a", {{"k", "2"}}},
                                                 {"b", {{"b", "1"}, {"a", "9"}}},
                                                 {"a", {{"z", "0"}, {"k", "1"}}},
                                                 {"a", {{"k", "1"}}}};
  MetricsCollector collector(manual());
  const auto in_order = [](const Snapshot& snapshot) {
    std::vector<std::string> labels;
    for (const SeriesSnapshot& one : snapshot) labels.push_back(label(one));
    return labels;
  };
  for (std::size_t i = 0; i < keys.size(); ++i) {
    (void)collector.counter(keys[i].first, keys[i].second);
    CHECK(std::ranges::is_sorted(in_order(*collector.flush())));  // the order grows with the series
  }
  CHECK(in_order(*collector.flush()) == sorted);
}

TEST_CASE("a snapshot is a range as the standard algorithms know it") {
  MetricsCollector collector(manual());
  for (int i = 0; i < 10; ++i) collector.counter("hits" + std::to_string(i)).add(i);
  const auto snapshot = collector.flush();
  CHECK(std::ranges::distance(*snapshot) == 10);
  CHECK(std::ranges::find(*snapshot, "hits7", &SeriesSnapshot::name)->sum == 7);
  CHECK((*std::ranges::lower_bound(*snapshot, "hits3", {}, &SeriesSnapshot::name)).sum == 3);
  CHECK(std::ranges::count_if(*snapshot, [](const SeriesSnapshot& one) { return one.sum > 4; }) == 5);
  CHECK((*std::ranges::max_element(*snapshot, {}, &SeriesSnapshot::sum)).name == "hits9");
  const auto begin = snapshot->begin();
  CHECK(begin[4].sum == 4);
  CHECK((3 + begin)->sum == 3);
  CHECK((snapshot->end() - 1)->sum == 9);
  CHECK((begin + 4) - begin == 4);
  CHECK(begin < snapshot->end());
  auto it = begin;
  CHECK((it++)->sum == 0);
  CHECK((it--)->sum == 1);
  CHECK((++it)->sum == 1);
  CHECK((--it)->sum == 0);
}

TEST_CASE("threads may read one snapshot at once") {
  MetricsCollector collector(manual());
  for (int i = 0; i < 300; ++i) collector.counter("hits", {{"i", std::to_string(i)}}).add(i);
  const auto snapshot = collector.flush();
  contract::on_threads(4, [&](std::size_t) {
    double sum = 0;
    for (const SeriesSnapshot& one : *snapshot) sum += one.sum;
    CHECK(sum == 299 * 300 / 2);
    CHECK(series(*snapshot, "hits", {{"i", "123"}})->sum == 123);
    CHECK(!snapshot->to_text().empty());
  });
}

TEST_CASE("to_text() is a header and one line for each series, in columns") {
  MetricsCollector collector(manual());
  collector.counter("hits", {{"a", "1"}, {"b", "2"}}, {.unit = "requests"}).add(1'234'567);
  collector.summary("s").record({0.5, -1.25});
  (void)collector.gauge("a name that is rather long");
  const std::vector<std::string> table = lines(collector.flush()->to_text());
  REQUIRE(table.size() == 4);
  for (const char* const title : {"series", "kind", "count", "sum", "min", "mean", "max", "last", "unit"}) {
    CHECK(table[0].find(title) != std::string::npos);
  }
  CHECK(table[1].rfind("a name that is rather long ", 0) == 0);
  CHECK(table[2].rfind("hits{a=1,b=2} ", 0) == 0);
  CHECK(table[3].rfind("s ", 0) == 0);
  CHECK(column_of(table[1], " gauge ") == column_of(table[2], " counter "));
  CHECK(column_of(table[1], " gauge ") == column_of(table[3], " summary "));
  CHECK(column_of(table[2], "requests") == column_of(table[0], "unit"));
  CHECK(table[2].find("1.23457e+06") != std::string::npos);
  CHECK(table[3].find("-0.375") != std::string::npos);
  for (const std::string& line : table) CHECK(line.back() != ' ');
}

TEST_CASE("to_text() keeps control bytes off the terminal") {
  MetricsCollector collector(manual());
  collector.counter("hits", {{"k", "\x1b[31m\nred\x7f"}}, {.unit = "\x1b]0;"}).add();
  const std::string text = collector.flush()->to_text();
  CHECK(lines(text).size() == 2);
  CHECK(std::ranges::none_of(text, [](char c) { return (static_cast<unsigned char>(c) < 0x20 && c != '\n') || c == 0x7f; }));
  CHECK(text.find("red") != std::string::npos);
}

TEST_CASE("to_text() keeps the terminal from control characters of two bytes, and from bytes that are no UTF-8") {
  MetricsCollector collector(manual());
  (void)collector.counter("a\xff\xfe\x80z", {{"k",
                                              "\xc2\x9b"
                                              "31m\xc2\x80\xc2\x9f"}});
  (void)collector.counter("b\xc0\xaf\xed\xa0\x80\xf5z");  // overlong, a surrogate, past the last character
  (void)collector.counter("c\xe2\x82", {{"k", "\xc2\xa0\xc3\xa9\xe2\x82\xac\xf0\x9f\x8c\xb6"}}, {.unit = "\xc2\x85s\xc2"});
  const std::vector<std::string> table = lines(collector.flush()->to_text());
  REQUIRE(table.size() == 4);
  CHECK(table[1].rfind("a???z{k=?31m??} ", 0) == 0);
  CHECK(table[2].rfind("b??????z ", 0) == 0);
  CHECK(table[3].rfind("c??{k=\xc2\xa0\xc3\xa9\xe2\x82\xac\xf0\x9f\x8c\xb6} ", 0) == 0);
  CHECK(table[3].ends_with(" ?s?"));
}

TEST_CASE("to_text() has each quantile in its column") {
  MetricsCollector collector(manual());
  std::vector<double> values;
  for (int i = 1; i <= 10'000; ++i) values.push_back(i);
  collector.histogram("values").record(values);
  const auto snapshot = collector.flush();
  std::istringstream header(lines(snapshot->to_text())[0]), row(lines(snapshot->to_text())[1]);
  std::map<std::string, std::string> cells;
  for (std::string title, cell; header >> title && row >> cell;) cells[title] = cell;
  CHECK(std::stod(cells["p50"]) == doctest::Approx(5000).epsilon(0.01));
  CHECK(std::stod(cells["p90"]) == doctest::Approx(9000).epsilon(0.01));
  CHECK(std::stod(cells["p99"]) == doctest::Approx(9900).epsilon(0.006));
  CHECK(std::stod(cells["p99.9"]) == doctest::Approx(9990).epsilon(0.006));
  CHECK(std::stod(cells["p99"]) < std::stod(cells["p99.9"]));
  CHECK(cells["min"] == "1");
  CHECK(cells["max"] == "10000");
}

TEST_CASE("to_text() aligns by characters, not by bytes of UTF-8") {
  MetricsCollector collector(manual());
  (void)collector.counter("größe");
  (void)collector.counter("grosse");
  (void)collector.counter("大きさ!!!");
  const std::vector<std::string> table = lines(collector.flush()->to_text());
  REQUIRE(table.size() == 4);
  for (std::size_t i = 2; i < 4; ++i) CHECK(column_of(table[i], " counter ") == column_of(table[1], " counter "));
}

TEST_CASE("to_text() reads the same under every locale") {
  struct Foreign : std::numpunct<char> {
    char do_decimal_point() const override { return ','; }
    char do_thousands_sep() const override { return '.'; }
    std::string do_grouping() const override { return "\3"; }
  };
  MetricsCollector collector(manual());
  collector.summary("sizes").record({0.5, 1'234'567});
  const auto snapshot = collector.flush();
  const std::string text = snapshot->to_text();
  const std::locale before = std::locale::global(std::locale(std::locale(), new Foreign));
  const std::string foreign = snapshot->to_text();
  std::locale::global(before);
  CHECK(foreign == text);
  CHECK(text.find("0.5") != std::string::npos);
}

TEST_CASE("to_text() of no series is the header alone") {
  MetricsCollector collector(manual());
  CHECK(lines(collector.flush()->to_text()).size() == 1);
}
