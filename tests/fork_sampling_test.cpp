#include "forked.hpp"

#include <cstdint>
#include <thread>

using namespace forked;

namespace {

/// Which of 64 calls are kept: a bit for each.
using Kept = std::uint64_t;

Kept kept_of(SamplingCollector<MetricsCollector&>& sampled) {
  Kept kept = 0;
  const auto summary = sampled.summary("s");
  for (int call = 0; call < 64; ++call) {
    summary.record([&] {
      kept |= Kept{1} << call;
      return 1.0;
    });
  }
  return kept;
}

Kept kept_by_child_of(SamplingCollector<MetricsCollector&>& sampled) {
  int ends[2];
  REQUIRE(pipe(ends) == 0);
  Kept kept = 0;
  CHECK(holds_in_child([&] {
    kept = kept_of(sampled);
    return write(ends[1], &kept, sizeof kept) == sizeof kept;
  }));
  CHECK(read(ends[0], &kept, sizeof kept) == sizeof kept);
  close(ends[0]);
  close(ends[1]);
  return kept;
}

Kept kept_by_thread_of(SamplingCollector<MetricsCollector&>& sampled) {
  Kept kept = 0;
  std::thread([&] { kept = kept_of(sampled); }).join();
  return kept;
}

}  // namespace

TEST_CASE("without a seed, a child keeps other calls than its parent and than other children, whether that sampled before or not") {
  for (const bool has_sampled : {false, true}) {
    CAPTURE(has_sampled);
    MetricsCollector collector(manual());
    SamplingCollector sampled{collector, 0.5};
    if (has_sampled) (void)kept_of(sampled);
    const Kept first = kept_by_child_of(sampled), second = kept_by_child_of(sampled), parent = kept_of(sampled);
    // Each pair is alike by chance once in 2^64 times.
    CHECK(first != parent);
    CHECK(second != parent);
    CHECK(first != second);
  }
}

TEST_CASE("with a seed, a child keeps the calls that its parent's next thread would, and so the same ones at each run") {
  Kept run[2];
  for (Kept& in_run : run) {
    MetricsCollector collector(manual());
    SamplingCollector sampled{collector, 0.5, 7};
    const Kept before_all = kept_by_child_of(sampled), parent = kept_of(sampled);
    CHECK(before_all == parent);
    in_run = kept_by_child_of(sampled);
    CHECK(in_run != parent);
    CHECK(in_run == kept_by_thread_of(sampled));
  }
  CHECK(run[0] == run[1]);
}
