#include "collector_impl.hpp"
#include "internals.hpp"
#include "registry.hpp"
#include "single_step.hpp"

#include <atomic>
#include <memory>
#include <thread>

using namespace internals;

namespace {

std::uint64_t all_alike(const void*, std::size_t) { return 0x1234'5678'9abc'def0; }
std::uint64_t one_bit(const void* bytes, std::size_t size) { return xxh3(bytes, size) & 1; }
std::uint64_t upper_alike(const void* bytes, std::size_t size) { return xxh3(bytes, size) & 0xffff'ffff; }

TelemetryConfig small() {
  TelemetryConfig config;
  config.buffer_size = 1000;
  config.flush_mode = FlushMode::manual;
  config.on_error = [](std::string_view) {};
  return config;
}

struct Bed {
  explicit Bed(KeyHash hash, TelemetryConfig with = small())
      : config(std::move(with)), tenancy(config), registry(tenancy.place(), config, hash) {}
  std::uint32_t intern(std::string_view name, TagsView tags = {}) {
    return registry.intern(SeriesKey(name, tags), Kind::summary, {}, true).entry->number - tenancy.place().series().base();
  }
  TelemetryConfig config;
  Tenancy tenancy;
  Registry registry;
};

}  // namespace

TEST_CASE("series whose hashes are equal are never merged, and each is found again") {
  for (const KeyHash hash : std::initializer_list<KeyHash>{all_alike, one_bit, upper_alike, xxh3}) {
    Bed bed(hash);
    const int count = hash == xxh3 || hash == upper_alike ? 5000 : 600;
    for (int i = 0; i < count; ++i) {
      const std::string value = std::to_string(i);
      CHECK(bed.intern("name", {{"key", value}}) == static_cast<std::uint32_t>(i));
    }
    CHECK(bed.registry.size() == static_cast<std::uint32_t>(count));
    for (int i = 0; i < count; ++i) {
      const std::string value = std::to_string(i);
      CHECK(bed.registry.find(SeriesKey("name", {{"key", value}})) == static_cast<std::uint32_t>(i));
      CHECK(bed.intern("name", {{"key", value}}) == static_cast<std::uint32_t>(i));
    }
    CHECK(bed.registry.size() == static_cast<std::uint32_t>(count));
    CHECK(bed.registry.find(SeriesKey("name", {{"key", "none"}})) == Registry::kNone);
  }
}

TEST_CASE("keys whose bytes read alike in a row are different series, also where all hashes are equal") {
  for (const KeyHash hash : std::initializer_list<KeyHash>{all_alike, xxh3}) {
    Bed bed(hash);
    const std::vector<std::uint32_t> indices{
        bed.intern("ab"),
        bed.intern("a", {{"b", ""}}),
        bed.intern("a"),
        bed.intern("a", {{"bc", "d"}}),
        bed.intern("a", {{"b", "cd"}}),
        bed.intern("a", {{"b", "c"}, {"d", ""}}),
        bed.intern("a", {{"b", ""}, {"cd", ""}}),
        bed.intern("ab", {{"c", "d"}}),
    };
    for (std::uint32_t i = 0; i < indices.size(); ++i) CHECK(indices[i] == i);
  }
}

TEST_CASE("the order in which tags are given does not matter, and of equal keys the last wins") {
  Bed bed(all_alike);
  const std::uint32_t first = bed.intern("a", {{"x", "1"}, {"y", "2"}});
  CHECK(bed.intern("a", {{"y", "2"}, {"x", "1"}}) == first);
  CHECK(bed.intern("a", {{"y", "0"}, {"x", "1"}, {"y", "2"}}) == first);
  CHECK(bed.intern("a", {{"y", "2"}, {"x", "1"}, {"y", "0"}}) != first);
}

TEST_CASE("a collector whose hashes are all equal merges nothing") {
  for (const KeyHash hash : std::initializer_list<KeyHash>{all_alike, one_bit}) {
    const auto collector = std::make_shared<Collector>(small(), hash);
    constexpr int kSeries = 300;
    for (int i = 0; i < kSeries; ++i) {
      const std::string value = std::to_string(i);
      for (int j = 0; j <= i; ++j) CHECK(collector->record("name", 1, {{"key", value}}));
    }
    const auto snapshot = collector->flush();
    CHECK(snapshot->size() == kSeries);
    for (int i = 0; i < kSeries; ++i) {
      const auto series = snapshot->find("name", {{"key", std::to_string(i)}});
      REQUIRE(series != nullptr);
      CHECK(series->count == static_cast<std::uint64_t>(i + 1));
    }
  }
}

TEST_CASE("threads that intern the same series at once agree on each, and finding needs no lock meanwhile") {
  Bed bed(one_bit);
  constexpr std::uint32_t kThreads = 4;
  const std::uint32_t series = kIsSanitized ? 200 : 600;
  std::vector<std::vector<std::uint32_t>> seen(kThreads);
  std::atomic<bool> is_done{false};
  std::atomic<std::uint64_t> finds{0}, wrong{0};
  {
    std::jthread finder([&] {
      for (std::uint32_t i = 0; !is_done || finds == 0; i = (i + 7) % series) {
        const std::string value = std::to_string(i);
        const std::uint32_t index = bed.registry.find(SeriesKey("n", {{"k", value}}));
        if (index == Registry::kNone) continue;
        const SeriesEntry& entry = bed.registry.entry(index);
        wrong += entry.name() != "n" || entry.tags().size() != 1 || entry.tags()[0].value != value;
        ++finds;
      }
    });
    {
      std::vector<std::jthread> threads;
      for (std::uint32_t t = 0; t < kThreads; ++t) {
        threads.emplace_back([&, t] {
          for (std::uint32_t i = 0; i < series; ++i) {
            const std::string value = std::to_string((i * 7 + t * 50) % series);
            seen[t].push_back(bed.intern("n", {{"k", value}}));
          }
        });
      }
    }
    is_done = true;
  }
  CHECK(wrong == 0);
  CHECK(bed.registry.size() == series);
  for (std::uint32_t t = 0; t < kThreads; ++t) {
    for (std::uint32_t i = 0; i < series; ++i) {
      const std::string value = std::to_string((i * 7 + t * 50) % series);
      CHECK(seen[t][i] == bed.registry.find(SeriesKey("n", {{"k", value}})));
    }
  }
}

TEST_CASE("a look-up finds its series, and no other, wherever it is when the table grows and the old one's memory goes") {
  constexpr int kFirstTable = 256;  // series that the first table takes
  const auto name_of = [](int i) { return "series" + std::to_string(i); };
  for (const KeyHash hash : std::initializer_list<KeyHash>{one_bit, xxh3}) {
    const std::size_t rounds = single_step::for_each_step([&](std::size_t step) {
      Bed bed(hash);
      for (int i = 0; i < kFirstTable; ++i) (void)bed.intern(name_of(i));
      const SeriesKey known("series77", {}), unknown("none", {});
      const std::size_t before = bed.tenancy.place().budget().used();
      std::uint32_t found = 0, found_none = 0;
      const bool has_grown = single_step::run(
          step,
          [&] {
            found = bed.registry.find(known);
            found_none = bed.registry.find(unknown);
          },
          [&] { (void)bed.intern(name_of(kFirstTable)); });
      CAPTURE(step);
      REQUIRE(found == 77);
      REQUIRE(found_none == Registry::kNone);
      if (has_grown) REQUIRE(bed.tenancy.place().budget().used() < before + 512 * 8 + 1'000);  // 1,024 slots for 512
      return has_grown;
    });
    CHECK(rounds >= (single_step::kIsPossible ? 5 : 1));
  }
}

TEST_CASE("max_series is exact: what comes after goes to the overflow series of its name, or of all") {
  TelemetryConfig config = small();
  config.max_series = 3;
  Bed bed(xxh3, config);
  (void)bed.intern("a", {{"k", "0"}});
  (void)bed.intern("a", {{"k", "1"}});
  (void)bed.intern("b");
  CHECK(bed.registry.size() == 3);
  const std::uint32_t more_of_a = bed.intern("a", {{"k", "2"}});
  CHECK(more_of_a == bed.intern("a", {{"k", "3"}}));
  CHECK(more_of_a == bed.registry.find(SeriesKey("a", {{"pepper.overflow", "true"}})));
  const std::uint32_t others = bed.intern("c");
  CHECK(others == bed.intern("d", {{"k", "1"}}));
  CHECK(others == bed.registry.find(SeriesKey("pepper.overflow", {})));
  CHECK(bed.registry.size() == 5);
  CHECK(bed.intern("b") == 2);
}

TEST_CASE("a series that the budget has no room for goes to an overflow series, and the memory is given back at the end") {
  TelemetryConfig config = small();
  config.memory_limit_bytes = (std::size_t{1} << 20) + config.buffer_size * sizeof(Record);
  std::size_t used_before = 0;
  {
    const Tenancy tenancy(config);
    used_before = tenancy.place().budget().used();
  }
  {
    Bed bed(xxh3, config);
    std::uint32_t index = 0, made = 0;
    while ((index = bed.intern("n", {{"k", std::to_string(made)}})) == made) ++made;
    CHECK(made > 100);
    const std::uint32_t own = bed.registry.find(SeriesKey("n", {{"pepper.overflow", "true"}}));
    CHECK(index == (own != Registry::kNone ? own : bed.registry.find(SeriesKey("pepper.overflow", {}))));
    CHECK(bed.tenancy.place().budget().used() <= config.memory_limit_bytes);
  }
  const Tenancy tenancy(config);
  CHECK(tenancy.place().budget().used() == used_before);
}
