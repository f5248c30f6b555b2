#include "contract.hpp"

#include <algorithm>
#include <atomic>
#include <cstring>

using namespace pepper;
using contract::count;
using contract::manual;
using contract::series;

TEST_CASE("record() makes a summary") {
  MetricsCollector collector(manual());
  CHECK(collector.record("sizes", 2.5, {{"k", "v"}}));
  CHECK(collector.record("sizes", -1, {{"k", "v"}}));
  const auto found = series(*collector.flush(), "sizes", {{"k", "v"}});
  CHECK(found->kind == Kind::summary);
  CHECK(found->count == 2);
  CHECK(found->sum == 1.5);
  CHECK(found->last == -1);
}

TEST_CASE("a metric in full is recorded by its name, value and tags") {
  MetricsCollector collector(manual());
  CHECK(collector.record(Metric{.name = "sizes", .value = 3, .tags = {{"b", "2"}, {"a", "1"}}}));
  CHECK(collector.record(
      Metric{.name = "sizes", .value = 4, .timestamp = std::chrono::system_clock::now(), .tags = {{"a", "1"}, {"b", "2"}}}));
  const auto snapshot = collector.flush();
  CHECK(snapshot->size() == 1);
  CHECK(series(*snapshot, "sizes", {{"a", "1"}, {"b", "2"}})->sum == 7);
}

TEST_CASE("metadata does not tell series apart") {
  MetricsCollector collector(manual());
  CHECK(collector.record("sizes", 1, {{"k", "v"}}, {{"request", "1"}}));
  CHECK(collector.record("sizes", 1, {{"k", "v"}}, {{"request", "2"}}));
  CHECK(collector.record(Metric{.name = "sizes", .value = 1, .tags = {{"k", "v"}}, .metadata = {{"request", "3"}}}));
  const auto snapshot = collector.flush();
  CHECK(snapshot->size() == 1);
  CHECK(count(*snapshot, "sizes", {{"k", "v"}}) == 3);
}

TEST_CASE("record() finds the series that was bound") {
  MetricsCollector collector(manual());
  collector.histogram("sizes", {{"k", "v"}}).record(1);
  CHECK(collector.record("sizes", 2, {{"k", "v"}}));
  const auto snapshot = collector.flush();
  CHECK(snapshot->size() == 1);
  CHECK(series(*snapshot, "sizes", {{"k", "v"}})->kind == Kind::histogram);
  CHECK(series(*snapshot, "sizes", {{"k", "v"}})->count == 2);
}

TEST_CASE("the bytes of a key tell series apart, not where they lie") {
  // The same buffers of the same length throughout; one byte of one of them differs.
  for (const std::size_t length : {1, 2, 3, 4, 5, 7, 8, 9, 12, 15, 16, 17, 31, 100, 255}) {
    CAPTURE(length);
    MetricsCollector collector(manual());
    std::string name(length, 'a'), key(length, 'a'), value(length, 'a');
    const auto record = [&] { CHECK(collector.record(name, 1, {{key, value}, {"other", "tag"}})); };
    std::uint64_t others = 0;
    for (int round = 0; round < 3; ++round) {
      for (std::string* const changed : {&name, &key, &value}) {
        for (std::size_t at = 0; at < length; ++at) {
          record();
          (*changed)[at] = 'b';
          record();
          (*changed)[at] = 'a';
          ++others;
        }
      }
    }
    const auto snapshot = collector.flush();
    CHECK(snapshot->size() == 1 + 3 * length);
    CHECK(std::ranges::count_if(*snapshot, [](const SeriesSnapshot& one) { return one.count == 3; }) ==
          static_cast<std::ptrdiff_t>(3 * length));
    CHECK(count(*snapshot, name, {{key, value}, {"other", "tag"}}) == others);
  }
}

TEST_CASE("one key at many addresses is one series") {
  MetricsCollector collector(manual());
  std::vector<std::string> copies(500, "a key of some length");
  for (const std::string& copy : copies) CHECK(collector.record(copy, 1, {{copy, copy}}));
  const auto snapshot = collector.flush();
  CHECK(snapshot->size() == 1);
  CHECK(count(*snapshot, copies[0], {{copies[0], copies[0]}}) == copies.size());
}

TEST_CASE("parts of one buffer are keys of their own") {
  MetricsCollector collector(manual());
  const std::string buffer(64, 'x');
  for (int round = 0; round < 3; ++round) {
    for (std::size_t length = 1; length <= buffer.size(); ++length) {
      CHECK(collector.record(std::string_view(buffer).substr(0, length), 1));
      CHECK(collector.record("n", 1, {{std::string_view(buffer).substr(0, length), "v"}}));
      CHECK(collector.record("n", 1, {{"k", std::string_view(buffer).substr(0, length)}}));
      CHECK(collector.record(std::string_view(buffer).substr(0, length), 1, {{"k", std::string_view(buffer).substr(length)}}));
    }
  }
  const auto snapshot = collector.flush();
  CHECK(snapshot->size() == 4 * buffer.size());
  for (const SeriesSnapshot& one : *snapshot) CHECK(one.count == 3);
}

TEST_CASE("key and value changed about are another series") {
  MetricsCollector collector(manual());
  const std::string a = "a", b = "b";
  for (int round = 0; round < 3; ++round) {
    CHECK(collector.record("n", 1, {{a, b}}));
    CHECK(collector.record("n", 1, {{b, a}}));
    CHECK(collector.record("n", 1, {{a, a}, {b, b}}));
    CHECK(collector.record("n", 1, {{a, b}, {b, a}}));
    CHECK(collector.record(a, 1, {{b, b}}));
  }
  const auto snapshot = collector.flush();
  CHECK(snapshot->size() == 5);
  for (const SeriesSnapshot& one : *snapshot) CHECK(one.count == 3);
}

TEST_CASE("the order of tags never matters to record()") {
  MetricsCollector collector(manual());
  std::vector<Tag> tags{{"a", "1"}, {"b", "2"}, {"c", "3"}, {"d", "4"}};
  std::uint64_t calls = 0;
  do {
    for (int again = 0; again < 3; ++again, ++calls) CHECK(collector.record("n", 1, tags));
  } while (std::ranges::next_permutation(tags, {}, &Tag::key).found);
  const auto snapshot = collector.flush();
  CHECK(snapshot->size() == 1);
  CHECK(count(*snapshot, "n", tags) == calls);
}

TEST_CASE("of equal keys the last wins, however often record() sees them") {
  MetricsCollector collector(manual());
  for (int again = 0; again < 3; ++again) {
    CHECK(collector.record("n", 1, {{"k", "old"}, {"k", "new"}}));
    CHECK(collector.record("n", 1, {{"k", "new"}, {"k", "new"}}));
    CHECK(collector.record("n", 1, {{"k", "new"}, {"k", "old"}}));
  }
  const auto snapshot = collector.flush();
  CHECK(snapshot->size() == 2);
  CHECK(count(*snapshot, "n", {{"k", "new"}}) == 6);
  CHECK(count(*snapshot, "n", {{"k", "old"}}) == 3);
}

TEST_CASE("any number of tags up to the limit makes a key, in any order") {
  MetricsCollector collector(manual());
  std::vector<std::string> keys;
  for (int i = 0; i < 32; ++i) keys.push_back("key" + std::to_string(i));
  for (std::size_t size = 0; size <= keys.size(); ++size) {
    std::vector<Tag> tags;
    for (std::size_t i = 0; i < size; ++i) tags.push_back({keys[i], "value"});
    for (int again = 0; again < 3; ++again) {
      CHECK(collector.record("n", 1, tags));
      std::ranges::reverse(tags);
    }
  }
  const auto snapshot = collector.flush();
  CHECK(snapshot->size() == 33);
  for (const SeriesSnapshot& one : *snapshot) CHECK(one.count == 3);
}

TEST_CASE("keys of every length are told apart by any of their bytes") {
  MetricsCollector collector(manual());
  std::string name(255, 'n'), key(255, 'k'), value(1024, 'v');
  for (int round = 0; round < 3; ++round) {
    for (const std::size_t at : {0, 127, 254}) {
      for (std::string* const changed : {&name, &key, &value}) {
        const char before = std::exchange((*changed)[at], '!');
        CHECK(collector.record(name, 1, {{key, value}}));
        (*changed)[at] = before;
      }
    }
  }
  const auto snapshot = collector.flush();
  CHECK(snapshot->size() == 9);
  for (const SeriesSnapshot& one : *snapshot) CHECK(one.count == 3);
}

TEST_CASE("a thousand keys in rotation are a thousand series") {
  constexpr int kKeys = 1000, kRounds = 30;
  MetricsCollector collector(manual());
  std::vector<std::string> values;
  for (int i = 0; i < kKeys; ++i) values.push_back("value " + std::to_string(i));
  for (int round = 0; round < kRounds; ++round) {
    for (int i = 0; i < kKeys; ++i) {
      REQUIRE(collector.record("n", i, {{"fixed", "tag"}, {"i", values[static_cast<std::size_t>(i)]}}));
    }
  }
  const auto snapshot = collector.flush();
  CHECK(snapshot->size() == kKeys);
  for (int i = 0; i < kKeys; ++i) {
    const auto found = series(*snapshot, "n", {{"i", values[static_cast<std::size_t>(i)]}, {"fixed", "tag"}});
    CHECK(found->count == kRounds);
    CHECK(found->min == i);
    CHECK(found->max == i);
  }
}

TEST_CASE("threads that record the same keys at once, out of buffers of their own, lose and merge nothing") {
  constexpr std::size_t kThreads = 4, kKeys = 300, kRounds = 50;
  MetricsCollector collector(manual(4096));
  std::atomic<std::uint64_t> refused{0};
  contract::on_threads(kThreads, [&](std::size_t) {
    char buffer[32];
    for (std::size_t round = 0; round < kRounds; ++round) {
      for (std::size_t i = 0; i < kKeys; ++i) {
        const std::string key = std::to_string(i);
        std::memcpy(buffer, key.data(), key.size());
        refused += !collector.record("n", static_cast<double>(i), {{"i", std::string_view(buffer, key.size())}});
      }
    }
  });
  CHECK(refused == 0);
  const auto snapshot = collector.flush();
  CHECK(snapshot->size() == kKeys);
  for (std::size_t i = 0; i < kKeys; ++i) {
    const auto found = series(*snapshot, "n", {{"i", std::to_string(i)}});
    CHECK(found->count == kThreads * kRounds);
    CHECK(found->min == static_cast<double>(i));
    CHECK(found->max == static_cast<double>(i));
  }
}

TEST_CASE("what a thread knows of one collector's keys it does not take for the next one's") {
  const std::string name = "n", key = "k", value = "v";
  for (int life = 0; life < 20; ++life) {
    MetricsCollector collector(manual());
    CHECK(collector.record("first" + std::to_string(life), 1));
    for (int again = 0; again <= life; ++again) CHECK(collector.record(name, 1, {{key, value}}));
    CHECK(count(*collector.flush(), name, {{key, value}}) == static_cast<std::uint64_t>(life + 1));
  }
}

TEST_CASE("a thread may record keys of several collectors in turn") {
  MetricsCollector one(manual()), other(manual());
  for (int i = 0; i < 300; ++i) {
    CHECK(one.record("n", 1, {{"k", "v"}}));
    CHECK(other.record("m", 2, {{"k", "v"}}));
  }
  CHECK(one.flush()->size() == 1);
  CHECK(count(*one.flush(), "n", {{"k", "v"}}) == 300);
  CHECK(count(*other.flush(), "m", {{"k", "v"}}) == 300);
  CHECK(other.flush()->find("n", {{"k", "v"}}) == nullptr);
}
