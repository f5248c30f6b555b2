#include "contract.hpp"
#include "forked.hpp"

#include <algorithm>
#include <atomic>
#include <string>

using namespace pepper;
using contract::is_balanced;
using contract::manual;
using contract::series;

namespace {

std::string text(const Exemplar* exemplar) {
  if (exemplar == nullptr) return "none";
  std::string out;
  for (const Tag& tag : exemplar->metadata) out.append(tag.key).append("=").append(tag.value).append(" ");
  return out + std::to_string(static_cast<long>(exemplar->value)) + (exemplar->is_cut ? " cut" : "");
}

/// "largest, latest" of a flush.
std::string flushed(MetricsCollector& collector, std::string_view name = "sizes") {
  const auto found = series(*collector.flush(), name);
  return text(found->exemplars.largest) + ", " + text(found->exemplars.latest);
}

}  // namespace

TEST_CASE("a series keeps the metadata of its largest and of its latest record that has some") {
  MetricsCollector collector(manual());
  collector.record("sizes", 2, {}, {{"id", "a"}});
  CHECK(flushed(collector) == "id=a 2, id=a 2");
  for (const auto& [value, id] : {std::pair{3, "b"}, {9, "c"}, {9, "d"}, {4, "e"}, {-1, "f"}})
    collector.record("sizes", value, {}, {{"id", id}});
  CHECK(flushed(collector) == "id=c 9, id=f -1");
  for (const auto& [value, id] : {std::pair{-3, "g"}, {-2, "h"}}) collector.record("sizes", value, {}, {{"id", id}});
  CHECK(flushed(collector) == "id=h -2, id=h -2");
}

TEST_CASE("exemplars are of the records since the snapshot before") {
  MetricsCollector collector(manual());
  collector.record("sizes", 9, {}, {{"id", "a"}});
  collector.record("others", 9, {}, {{"id", "a"}});
  const auto before = collector.flush();
  collector.record("sizes", 1, {}, {{"id", "b"}});
  CHECK(flushed(collector) == "id=b 1, id=b 1");
  CHECK(flushed(collector) == "none, none");
  CHECK(text(series(*before, "sizes")->exemplars.largest) == "id=a 9");
  CHECK(text(series(*before, "others")->exemplars.largest) == "id=a 9");
}

TEST_CASE("what has no metadata, is refused, is nobody's or is no count makes no exemplar") {
  MetricsCollector collector(manual());
  (void)collector.counter("sizes");
  collector.record("sizes", 1);
  collector.record(Metric{.name = "sizes", .value = 2, .timestamp = std::chrono::system_clock::now()});
  CHECK_FALSE(collector.record("sizes", std::numeric_limits<double>::quiet_NaN(), {}, {{"id", "a"}}));
  collector.record("sizes", -1, {}, {{"id", "a"}});
  collector.set_enabled(false);
  collector.record("sizes", 3, {}, {{"id", "a"}});
  collector.set_enabled(true);
  CHECK(flushed(collector) == "none, none");
  CHECK(collector.stats().exemplars_skipped == 0);
}

TEST_CASE("an exemplar has the time of its metric, else of its record") {
  using namespace std::chrono_literals;
  MetricsCollector collector(manual());
  const auto then = std::chrono::system_clock::now() - 1h;
  collector.record(Metric{.name = "sizes", .value = 2, .timestamp = then, .metadata = {{"id", "a"}}});
  const auto begin = std::chrono::system_clock::now();
  collector.record("sizes", 1, {}, {{"id", "b"}});
  const auto found = series(*collector.flush(), "sizes");
  CHECK(found->exemplars.largest->time == then);
  CHECK(found->exemplars.latest->time >= begin);
  CHECK(found->exemplars.latest->time <= std::chrono::system_clock::now());
}

TEST_CASE("metadata is sorted by its keys, and of equal ones the last counts") {
  MetricsCollector collector(manual());
  collector.record("sizes", 1, {}, {{"b", "2"}, {"a", ""}, {"c", "3"}, {"b", "4"}});
  CHECK(flushed(collector) == "a= b=4 c=3 1, a= b=4 c=3 1");
}

TEST_CASE("metadata over 256 bytes or 16 tags is cut at whole tags, and says so") {
  MetricsCollector collector(manual());
  const std::string full(254, 'x');
  collector.record("sizes", 1, {}, {{"a", full}});
  collector.record("sizes", 2, {}, {{"a", full}, {"b", ""}});
  CHECK(flushed(collector) == "a=" + full + " b= 2, a=" + full + " b= 2");
  collector.record("sizes", 1, {}, {{"a", full}, {"b", "1"}, {"c", ""}});
  CHECK(flushed(collector) == "a=" + full + " 1 cut, a=" + full + " 1 cut");
  collector.record("sizes", 1, {}, {{"a", full + "xxx"}});
  CHECK(flushed(collector) == "1 cut, 1 cut");
  std::vector<Tag> many(17, Tag{"a", "1"});
  many.back().value = "2";
  collector.record("sizes", 1, {}, std::span(many).first(16));
  CHECK(flushed(collector) == "a=1 1, a=1 1");
  collector.record("sizes", 1, {}, many);
  CHECK(flushed(collector) == "a=1 1 cut, a=1 1 cut");
}

TEST_CASE("a snapshot's exemplars outlive their collector") {
  std::shared_ptr<const SeriesSnapshot> found;
  {
    MetricsCollector collector(manual());
    collector.record("sizes", 1, {}, {{"id", std::string(200, 'x')}});
    found = series(*collector.flush(), "sizes");
  }
  CHECK(text(found->exemplars.latest) == "id=" + std::string(200, 'x') + " 1");
}

TEST_CASE("exemplars stay within memory_limit_bytes; what finds no room is counted, and its record kept") {
  TelemetryConfig config = manual(1);
  config.memory_limit_bytes = std::size_t{2} << 20;
  MetricsCollector collector(config);
  constexpr std::uint64_t kSeries = 2000;
  for (std::uint64_t i = 0; i < kSeries; ++i)
    CHECK(collector.record("sizes", static_cast<double>(i), {{"i", std::to_string(i)}}, {{"id", std::to_string(i)}}));
  const auto snapshot = collector.flush();
  std::uint64_t kept = 0, wrong = 0;
  for (const SeriesSnapshot& one : *snapshot) {
    if (one.exemplars.latest == nullptr) continue;
    ++kept;
    wrong += one.exemplars.latest->metadata[0].value != std::to_string(static_cast<std::uint64_t>(one.last));
  }
  CHECK(kept > 50);
  CHECK(wrong == 0);
  CHECK(snapshot->stats().exemplars_skipped > 0);
  CHECK(snapshot->stats().memory_bytes <= config.memory_limit_bytes);
  CHECK(snapshot->stats().aggregated == kSeries);
}

TEST_CASE("an exemplar is one whole record, and its snapshot has that record") {
  MetricsCollector collector(manual());
  constexpr std::size_t kThreads = 3, kWanted = 300;
  std::atomic<bool> is_over{false};
  std::atomic<std::uint64_t> recorded{0};
  std::uint64_t wrong = 0;
  contract::on_threads(kThreads + 1, [&](std::size_t t) {
    if (t < kThreads) {
      for (std::uint64_t i = 0; !is_over; ++i, ++recorded) {
        const std::uint64_t value = i * kThreads + t;  // grows: a record that its snapshot has not would be larger than all it has
        const std::string id = std::to_string(value);
        collector.record("sizes", static_cast<double>(value), {}, {{"a", id}, {"b", id}});
      }
      return;
    }
    for (std::size_t found = 0; found < kWanted;) {
      const auto sizes = collector.flush()->find("sizes");
      if (sizes == nullptr || sizes->exemplars.latest == nullptr) continue;
      ++found;
      const auto& [largest, latest] = sizes->exemplars;
      for (const Exemplar* one : {largest, latest}) {
        wrong += one->metadata.size() != 2 || one->metadata[0].value != std::to_string(static_cast<std::uint64_t>(one->value)) ||
                 one->metadata[1].value != one->metadata[0].value || one->value > sizes->max;
      }
      wrong += largest->value < latest->value;
    }
    is_over = true;
  });
  CHECK(wrong == 0);
  const auto snapshot = collector.flush();
  CHECK(contract::count(*snapshot, "sizes") == recorded);
  CHECK(snapshot->stats().exemplars_skipped < recorded);
}

TEST_CASE("a child starts with no exemplars and makes its own; the parent keeps its") {
  MetricsCollector collector(manual());
  collector.record("sizes", 5, {}, {{"id", "parent"}});
  std::atomic<bool> is_over{false};
  std::jthread recording([&] {  // so that forks meet a thread in the middle of it
    while (!is_over) collector.record("others", 1, {}, {{"id", "parent"}});
  });
  for (int i = 0; i < 20; ++i) {
    CHECK(forked::holds_in_child([&] {
      const bool is_empty = flushed(collector) == "none, none";
      collector.record("sizes", 1, {}, {{"id", "child"}});
      collector.record("others", 1, {}, {{"id", "child"}});
      return is_empty && flushed(collector, "others") == "id=child 1, id=child 1" && collector.stats().exemplars_skipped == 0;
    }));
  }
  is_over = true;
  recording.join();
  CHECK(flushed(collector) == "id=parent 5, id=parent 5");
}
