#pragma once

namespace pepper::bench {

// Each registers the benches of the file of its name. The baselines come with every run: a figure without its neighbour says little.
void add_baselines();
void add_capture_benches();
void add_fold_benches();
void add_overload_benches();
void add_latency_benches();
void add_snapshot_benches();
void add_prometheus_benches();

}  // namespace pepper::bench
