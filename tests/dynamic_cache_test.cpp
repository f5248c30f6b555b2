#include "dynamic_cache.hpp"
#include "internals.hpp"
#include "place.hpp"
#include "registry.hpp"

#include <pepper/collector.hpp>

#include <cstdio>
#include <cstring>
#include <string>

using namespace internals;

namespace {

TelemetryConfig small() {
  TelemetryConfig config;
  config.buffer_size = 1000;
  config.flush_mode = FlushMode::manual;
  config.on_error = [](std::string_view) {};
  return config;
}

struct Bed {
  const SeriesEntry& entry(std::string_view name, TagsView tags) {
    return *registry.intern(SeriesKey(name, tags), Kind::summary, {}, true).entry;
  }
  const TelemetryConfig config = small();
  Tenancy tenancy{config};
  Registry registry{tenancy.place(), config, xxh3};
  DynamicCache cache{1};
};

}  // namespace

TEST_CASE("what was put is found by the same strings, with the tags in the order they were put in") {
  Bed bed;
  const Tag tags[] = {{"y", "2"}, {"x", "1"}};
  const SeriesEntry& entry = bed.entry("name", tags);
  CHECK(bed.cache.find(1, "name", tags) == nullptr);
  bed.cache.put(1, "name", tags, entry);
  CHECK(bed.cache.find(1, "name", tags) == &entry);
  CHECK(bed.cache.find(1, "name", {}) == nullptr);
}

TEST_CASE("strings that have changed in place are not what was put") {
  Bed bed;
  std::string name = "a name that is longer", key = "key", value = "value one";
  const auto tags = [&] { return Tag{key, value}; };
  const Tag put = tags();
  const SeriesEntry& entry = bed.entry(name, std::span(&put, 1));
  bed.cache.put(1, name, std::span(&put, 1), entry);
  for (std::string* const text : {&name, &key, &value}) {
    for (char& c : *text) {
      c ^= 1;  // the same address and length: the same hint
      const Tag tag = tags();
      CHECK(bed.cache.find(1, name, std::span(&tag, 1)) == nullptr);
      c ^= 1;
      const Tag again = tags();
      CHECK(bed.cache.find(1, name, std::span(&again, 1)) == &entry);
    }
  }
}

TEST_CASE("keys that lie in one buffer in turn are all found, and so are those that differ in a tag's key alone") {
  Bed bed;
  char name[] = "name0";
  const std::string value = "value";
  const auto each = [&](auto&& body) {
    for (const char digit : {'1', '2'}) {
      for (const char* key : {"k", "l"}) {
        name[4] = digit;
        const Tag tag{key, value};
        body(std::span(&tag, 1), bed.entry(name, std::span(&tag, 1)));
      }
    }
  };
  each([&](TagsView tags, const SeriesEntry& entry) {
    CHECK(bed.cache.find(1, name, tags) == nullptr);
    bed.cache.put(1, name, tags, entry);
  });
  each([&](TagsView tags, const SeriesEntry& entry) { CHECK(bed.cache.find(1, name, tags) == &entry); });
}

TEST_CASE("sixty-four keys have room, however far apart their strings lie") {
  constexpr std::size_t kKeys = 64;
  static char room[kKeys * 256];
  std::size_t found = 0, rounds = 0;
  for (const std::size_t stride : {16u, 24u, 32u, 48u, 64u, 80u, 96u, 112u, 128u, 144u, 192u, 256u}) {
    Bed bed;
    const auto each = [&](auto&& body) {
      for (std::size_t i = 0; i < kKeys; ++i) {
        char* const at = room + i * stride;
        std::snprintf(at, 16, "value%02zu", i);
        const Tag tag{"k", {at, 7}};
        body(std::span(&tag, 1), bed.entry("name", std::span(&tag, 1)));
      }
    };
    each([&](TagsView tags, const SeriesEntry& entry) { bed.cache.put(1, "name", tags, entry); });
    each([&](TagsView tags, const SeriesEntry& entry) { found += bed.cache.find(1, "name", tags) == &entry; });
    ++rounds;
  }
  CHECK(found >= rounds * kKeys * 3 / 4);
}

TEST_CASE("strings of any length are told apart at each byte") {
  Bed bed;
  for (std::size_t size = 1; size <= 40; ++size) {
    std::string name(size, 'n');
    const SeriesEntry& entry = bed.entry(name, {});
    bed.cache.put(1, name, {}, entry);
    CHECK(bed.cache.find(1, name, {}) == &entry);
    for (char& c : name) {
      c = 'm';
      CHECK(bed.cache.find(1, name, {}) == nullptr);
      c = 'n';
    }
  }
}

TEST_CASE("another generation finds nothing, and its own keys replace the old ones") {
  Bed bed;
  const SeriesEntry& entry = bed.entry("name", {});
  bed.cache.put(1, "name", {}, entry);
  CHECK(bed.cache.find(2, "name", {}) == nullptr);
  const SeriesEntry& other = bed.entry("other", {});
  bed.cache.put(2, "other", {}, other);
  CHECK(bed.cache.find(2, "other", {}) == &other);
  CHECK(bed.cache.find(2, "name", {}) == nullptr);
  CHECK(bed.cache.find(1, "name", {}) == nullptr);
}

TEST_CASE("a key given twice, more tags than it keeps, and a series that stands for others are not kept") {
  Bed bed;
  const Tag twice[] = {{"x", "1"}, {"x", "2"}};
  bed.cache.put(1, "a", twice, bed.entry("a", twice));
  CHECK(bed.cache.find(1, "a", twice) == nullptr);
  std::vector<std::string> keys;
  std::vector<Tag> many;
  for (int i = 0; i < 16; ++i) keys.push_back("k" + std::to_string(i));
  for (const std::string& key : keys) many.push_back({key, "v"});
  bed.cache.put(1, "b", many, bed.entry("b", many));
  CHECK(bed.cache.find(1, "b", many) == nullptr);
  many.pop_back();
  const SeriesEntry& fifteen = bed.entry("b", many);
  bed.cache.put(1, "b", many, fifteen);
  CHECK(bed.cache.find(1, "b", many) == &fifteen);
  bed.cache.put(1, "c", {}, bed.entry("pepper.overflow", {}));
  CHECK(bed.cache.find(1, "c", {}) == nullptr);
}

TEST_CASE("more keys than it holds push each other out, and none is ever taken for another") {
  Bed bed;
  std::vector<std::string> names;
  for (int i = 0; i < 3000; ++i) names.push_back("name" + std::to_string(i));
  std::size_t found = 0;
  for (int round = 0; round < 2; ++round) {
    for (const std::string& name : names) {
      const SeriesEntry& entry = bed.entry(name, {});
      const SeriesEntry* const cached = bed.cache.find(1, name, {});
      CHECK((cached == nullptr || cached == &entry));
      if (cached == nullptr) bed.cache.put(1, name, {}, entry);
      CHECK(bed.cache.find(1, name, {}) == &entry);
    }
    for (const std::string& name : names) found += bed.cache.find(1, name, {}) != nullptr;
  }
  CHECK(found >= 2 * 200);  // of 256 places
  CHECK(found <= 2 * 256);
}

TEST_CASE("record() by name counts in the right series, whatever buffer the name is in") {
  MetricsCollector collector(small());
  char buffer[16];
  std::string kept[20];
  for (int i = 0; i < 20; ++i) kept[i] = "name" + std::to_string(i % 10);
  for (int round = 0; round < 100; ++round) {
    for (int i = 0; i < 20; ++i) {
      std::strcpy(buffer, kept[i].c_str());
      CHECK(collector.record(buffer, i % 10, {{"k", kept[i]}, {"l", buffer}}));
      CHECK(collector.record(kept[i], i % 10, {{"l", buffer}, {"k", kept[i]}}));
    }
  }
  const auto snapshot = collector.flush();
  CHECK(snapshot->size() == 10);
  for (int i = 0; i < 10; ++i) {
    const auto series = snapshot->find(kept[i], {{"k", kept[i]}, {"l", kept[i]}});
    REQUIRE(series != nullptr);
    CHECK(series->count == 400);
    CHECK(series->min == i);
    CHECK(series->max == i);
  }
}

TEST_CASE("a collector that takes over the place of another does not see its cached series") {
  for (int round = 0; round < 5; ++round) {
    MetricsCollector collector(small());
    for (int i = 0; i < round; ++i) (void)collector.counter("pad" + std::to_string(i));
    CHECK(collector.record("name", round));
    const auto snapshot = collector.flush();
    const auto series = snapshot->find("name");
    REQUIRE(series != nullptr);
    CHECK(series->count == 1);
    CHECK(series->sum == round);
  }
}
