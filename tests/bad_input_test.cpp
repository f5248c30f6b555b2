#include "contract.hpp"

#include <algorithm>
#include <limits>
#include <stdexcept>

using namespace pepper;
using contract::manual;

namespace {

/// What no series may be called, and the text that the refusal has to quote.
struct BadKey {
  std::string why, name;
  std::vector<std::pair<std::string, std::string>> tags;
  std::vector<std::string> offending;

  [[nodiscard]] std::vector<Tag> views() const {
    std::vector<Tag> views;
    for (const auto& [key, value] : tags) views.push_back({key, value});
    return views;
  }
};

std::vector<std::pair<std::string, std::string>> many_tags(std::size_t count) {
  std::vector<std::pair<std::string, std::string>> tags;
  for (std::size_t i = 0; i < count; ++i) tags.emplace_back("key" + std::to_string(i), "value");
  return tags;
}

std::vector<BadKey> bad_keys() {
  const std::string long_text(256, 'x'), long_value(1025, 'y');
  std::vector<BadKey> bad{
      {"empty name", "", {}, {"\"\""}},
      {"long name", long_text, {}, {long_text}},
      {"very long name", std::string(100'000, 'x'), {}, {long_text}},
      {"33 tags", "many", many_tags(33), {"many"}},
      {"1000 tags", "many", many_tags(1000), {"many"}},
      {"empty key", "keyless", {{"", "v"}}, {"keyless"}},
      {"long key", "n", {{long_text, "v"}}, {long_text}},
      {"long value", "n", {{"k", long_value}}, {long_value}},
      {"very long value", "n", {{"a", "b"}, {"k", std::string(100'000, 'y')}}, {long_value}},
  };
  for (const char control : {'\0', '\1', '\t', '\n', '\x1b', '\x1f', '\x7f'}) {
    const std::string text = std::string("be") + control + "fore";
    bad.push_back({"control byte in the name", text, {}, {"be", "fore"}});
    bad.push_back({"control byte in a key", "n", {{"a", "b"}, {text, "v"}}, {"be", "fore"}});
  }
  return bad;
}

/// The message of the std::invalid_argument that `call` has to throw.
template <class Call>
std::string refusal(Call&& call) {
  try {
    call();
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
  FAIL_CHECK("std::invalid_argument was not thrown");
  return {};
}

}  // namespace

TEST_CASE("binding a bad name or tag throws, whatever the kind, and quotes the offending text, past its control bytes") {
  MetricsCollector collector(manual());
  for (const BadKey& bad : bad_keys()) {
    CAPTURE(bad.why);
    const std::vector<Tag> tags = bad.views();
    const auto names_it = [&](const std::string& message) {
      return std::ranges::all_of(bad.offending, [&](const std::string& part) { return message.find(part) != std::string::npos; });
    };
    CHECK(names_it(refusal([&] { (void)collector.counter(bad.name, tags); })));
    CHECK(names_it(refusal([&] { (void)collector.gauge(bad.name, tags); })));
    CHECK(names_it(refusal([&] { (void)collector.summary(bad.name, tags); })));
    CHECK(names_it(refusal([&] { (void)collector.histogram(bad.name, tags); })));
    CHECK(names_it(refusal([&] { (void)collector.timer(bad.name, tags); })));
    CHECK(names_it(refusal([&] { (void)collector.observe(bad.name, tags, [] { return 1.0; }); })));
  }
  CHECK(collector.flush()->size() == 0);
}

TEST_CASE("a refused bind quotes no more of a text than a message should hold") {
  MetricsCollector collector(manual());
  const std::string endless(10'000'000, 'x');
  CHECK(refusal([&] { (void)collector.counter(endless); }).size() < 4096);
  CHECK(refusal([&] { (void)collector.counter("n", {{"k", endless}}); }).size() < 4096);
}

TEST_CASE("record() refuses a bad name or tag, counts it and records nothing") {
  MetricsCollector collector(manual());
  std::uint64_t refused = 0;
  for (const BadKey& bad : bad_keys()) {
    CAPTURE(bad.why);
    const std::vector<Tag> tags = bad.views();
    CHECK_FALSE(collector.record(bad.name, 1, tags));
    CHECK_FALSE(collector.record(Metric{.name = bad.name, .value = 1, .tags = Tags(tags.data(), tags.size())}));
    refused += 2;
    CHECK(collector.stats().rejected == refused);
  }
  const CollectorStats stats = collector.flush()->stats();
  CHECK(stats.rejected == refused);
  CHECK(stats.recorded == 0);
  CHECK(stats.dropped == 0);
  CHECK(stats.series == 0);
}

TEST_CASE("record() refuses NaN and counts it") {
  MetricsCollector collector(manual());
  CHECK_FALSE(collector.record("n", std::numeric_limits<double>::quiet_NaN()));
  CHECK(collector.record("n", 1));
  CHECK_FALSE(collector.record("n", -std::numeric_limits<double>::quiet_NaN()));
  const CollectorStats stats = collector.flush()->stats();
  CHECK(stats.rejected == 2);
  CHECK(stats.recorded == 1);
}

TEST_CASE("find() knows no series of a bad name, and refuses nothing") {
  MetricsCollector collector(manual());
  const auto snapshot = collector.flush();
  for (const BadKey& bad : bad_keys()) {
    CAPTURE(bad.why);
    CHECK(snapshot->find(bad.name, bad.views()) == nullptr);
  }
  CHECK(collector.stats().rejected == 0);
}

TEST_CASE("names and tags up to their limits are taken") {
  MetricsCollector collector(manual());
  const std::string text(255, 'x'), value(1024, 'y');
  const auto owned = many_tags(32);
  const BadKey good{{}, {}, owned, {}};
  collector.counter(text, {{text, value}}).add();
  CHECK(collector.record(text, 1, {{text, value}}));
  collector.counter("many", good.views()).add();
  CHECK(collector.record("many", 1, good.views()));
  const auto snapshot = collector.flush();
  CHECK(contract::count(*snapshot, text, {{text, value}}) == 2);
  CHECK(contract::count(*snapshot, "many", good.views()) == 2);
  CHECK(snapshot->stats().rejected == 0);
}

TEST_CASE("values may hold any bytes, none included, and names and keys all but control bytes") {
  MetricsCollector collector(manual());
  std::string every_byte, printable;
  for (int c = 0; c < 256; ++c) every_byte += static_cast<char>(c);
  for (int c = 0x20; c < 256; ++c) {
    if (c != 0x7f) printable += static_cast<char>(c);
  }
  collector.counter(printable, {{printable, every_byte}, {"empty", ""}, {"null", std::string_view{}}}).add();
  CHECK(collector.record("n", 1, {{"empty", ""}, {"null", std::string_view{}}}));
  const auto snapshot = collector.flush();
  CHECK(contract::count(*snapshot, printable, {{printable, every_byte}, {"empty", ""}, {"null", ""}}) == 1);
  CHECK(contract::count(*snapshot, "n", {{"empty", std::string_view{}}, {"null", ""}}) == 1);
}

TEST_CASE("wrong series options throw, naming field and value") {
  MetricsCollector collector(manual());
  const auto message = [&](const SeriesOptions& options) { return refusal([&] { (void)collector.histogram("n", {}, options); }); };
  const std::string unit(256, 'u'), help(1025, 'h');
  CHECK(message({.unit = unit}).find("unit") != std::string::npos);
  CHECK(message({.unit = unit}).find("uuuu") != std::string::npos);
  CHECK(message({.help = help}).find("help") != std::string::npos);
  for (const double wrong : {0.0, -0.01, 0.75, 1e-7, std::numeric_limits<double>::quiet_NaN()}) {
    CAPTURE(wrong);
    CHECK(message({.relative_error = wrong}).find("relative_error") != std::string::npos);
  }
  CHECK(message({.relative_error = 0.75}).find("0.75") != std::string::npos);
  const std::string tiny = message({.relative_error = 1e-7});
  CHECK((tiny.find("1e-07") != std::string::npos || tiny.find("1e-7") != std::string::npos || tiny.find("0.0000001") != std::string::npos));
  CHECK_NOTHROW((void)collector.histogram("a", {}, {.relative_error = 0.5}));
  CHECK_NOTHROW((void)collector.histogram("b", {}, {.relative_error = 1e-6}));
  CHECK_NOTHROW((void)collector.histogram("c", {}, {.unit = std::string_view(unit).substr(1), .help = std::string_view(help).substr(1)}));
}
