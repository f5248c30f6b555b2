#include "record_loops.hpp"

#include "values.hpp"

#include <pepper/static_handles.hpp>

namespace pepper::bench {

void empty_loop(std::size_t turns) {
  for (std::size_t i = 0; i < turns; ++i) {
    use(kSomeValues[i % kValues]);
    barrier();
  }
}

void ring_loop(std::size_t turns, Ring& ring) {
  for (std::size_t i = 0; i < turns; ++i) {
    ring.records[ring.tail % ring.records.size()] = {7, kSomeValues[i % kValues]};
    ++ring.tail;
    barrier();
  }
}

void handle_loop(std::size_t turns, Summary summary) {
  for (std::size_t i = 0; i < turns; ++i) {
    summary.record(kSomeValues[i % kValues]);
    barrier();
  }
}

void member_loop(std::size_t turns, const std::array<Summary, 16>& summaries) {
  for (std::size_t i = 0; i < turns; ++i) {
    summaries[i % 16].record(kSomeValues[i % kValues]);
    barrier();
  }
}

Summary global_summary;

void global_loop(std::size_t turns) {
  for (std::size_t i = 0; i < turns; ++i) {
    global_summary.record(kSomeValues[i % kValues]);
    barrier();
  }
}

void bind_static() { (void)summary<"static">(); }

void static_loop(std::size_t turns) {
  for (std::size_t i = 0; i < turns; ++i) {
    summary<"static">().record(kSomeValues[i % kValues]);
    barrier();
  }
}

}  // namespace pepper::bench
