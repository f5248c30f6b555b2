// In place of prometheus_bench.cpp where there is no prometheus-cpp.

#include "benches.hpp"

namespace pepper::bench {

void add_prometheus_benches() {}

}  // namespace pepper::bench
