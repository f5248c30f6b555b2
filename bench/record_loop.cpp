// record_loop MODE TURNS: runs one of the loops of record_loops.hpp, for a tool that counts instructions to look at.
// Exit code 1 if its records went nowhere, 2 on wrong arguments.

#include "record_loops.hpp"

#include <pepper/pepper.hpp>

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>

int main(int argc, char** argv) {
  using namespace pepper::bench;
  const std::string_view mode = argc == 3 ? argv[1] : "";
  const std::size_t turns = argc == 3 ? std::strtoull(argv[2], nullptr, 10) : 0;
  // A pool that all records fit, and nobody drains meanwhile: what is counted is capture, with one hand-over of a chunk in 255.
  pepper::configure_default({.enabled = mode != "disabled", .buffer_size = turns + 65'536, .flush_mode = pepper::FlushMode::manual});
  pepper::MetricsCollector& collector = pepper::default_collector();
  std::array<pepper::Summary, 16> summaries;
  for (std::size_t i = 0; i < summaries.size(); ++i) summaries[i] = collector.summary("s", {{"i", std::to_string(i)}});
  const auto ring = std::make_unique<Ring>();

  if (turns == 0) {
    std::fputs("usage: record_loop empty|ring|handle|member|global|static|disabled TURNS\n", stderr);
    return 2;
  }
  if (mode == "empty") {
    empty_loop(turns);
  } else if (mode == "ring") {
    ring_loop(turns, *ring);
  } else if (mode == "handle" || mode == "disabled") {
    handle_loop(turns, summaries[0]);
  } else if (mode == "member") {
    member_loop(turns, summaries);
  } else if (mode == "global") {
    global_summary = summaries[0];
    global_loop(turns);
  } else if (mode == "static") {
    bind_static();
    static_loop(turns);
  } else {
    std::fprintf(stderr, "record_loop: no such mode: %s\n", argv[1]);
    return 2;
  }
  const bool records = mode == "handle" || mode == "member" || mode == "global" || mode == "static";
  return collector.flush()->stats().aggregated == (records ? turns : 0) ? 0 : 1;
}
