#include "demo_compare.hpp"

#include "demo_display.hpp"
#include "demo_job.hpp"
#include "demo_probe.hpp"
#include "demo_report.hpp"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <ctime>
#include <string>
#include <vector>

#include <pepper/pepper.hpp>

namespace demo {

namespace {

/// What one or more passes over the tree took. CPU is that of all threads, pepper's own included: on idle cores they would not show in the
/// wall time.
struct Cost {
  double wall = 0, cpu = 0;  // seconds

  static Cost now() {
    timespec cpu{};
    ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu);
    const std::chrono::duration<double> wall = std::chrono::steady_clock::now().time_since_epoch();
    return {wall.count(), static_cast<double>(cpu.tv_sec) + static_cast<double>(cpu.tv_nsec) * 1e-9};
  }
  Cost& operator+=(const Cost& other) { return wall += other.wall, cpu += other.cpu, *this; }
  friend Cost operator-(const Cost& a, const Cost& b) { return {a.wall - b.wall, a.cpu - b.cpu}; }
};

struct Pass {
  Cost cost;
  JobResult result;
  std::uint64_t records = 0;
};

/// The passes of one comparison: the same tree, the same threads.
struct Job {
  const Tree& tree;
  unsigned threads;

  Pass without_pepper() const {
    JobCounts counts;
    ErrorLog errors;
    NoProbe probe;
    const Cost begin = Cost::now();
    const JobResult result = hash_tree(tree, threads, probe, counts, errors);
    return {Cost::now() - begin, result, 0};
  }

  /// Binding, recording and the flush at the end are pepper's cost. Making and ending a collector are not: a program does that once. But it
  /// lives no longer than the pass, so that no thread of it can slow the passes without.
  Pass with_pepper() const {
    JobCounts counts;
    ErrorLog errors;
    pepper::MetricsCollector collector(telemetry_config());
    const Cost begin = Cost::now();
    PepperProbe probe(collector, tree);
    const JobResult result = hash_tree(tree, threads, probe, counts, errors);
    const auto snapshot = collector.flush();
    return {Cost::now() - begin, result, snapshot->stats().recorded};
  }
};

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const std::size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

std::string percent(double ratio) { return (ratio >= 1 ? "+" : "") + decimal((ratio - 1) * 100, 2) + " %"; }
std::string milliseconds(double seconds) { return decimal(seconds * 1e3, 2) + " ms"; }

/// Collects rounds and says what they mean. The median of the paired ratios is the overhead: drift of the machine hits both sides of a pair
/// alike.
class Rounds {
 public:
  void add(const Cost& without, const Cost& with) {
    wall_without_.push_back(without.wall), wall_with_.push_back(with.wall), wall_ratio_.push_back(with.wall / without.wall);
    cpu_without_.push_back(without.cpu), cpu_with_.push_back(with.cpu), cpu_ratio_.push_back(with.cpu / without.cpu);
    std::printf("round %-3zu without %s, with %s: wall %s, CPU %s\n", wall_ratio_.size(), milliseconds(without.wall).c_str(),
                milliseconds(with.wall).c_str(), percent(wall_ratio_.back()).c_str(), percent(cpu_ratio_.back()).c_str());
    std::fflush(stdout);
  }

  void print() const {
    print_side("without pepper", wall_without_, cpu_without_);
    print_side("with pepper", wall_with_, cpu_with_);
    print_ratio("wall", wall_ratio_);
    print_ratio("CPU", cpu_ratio_);
  }

  /// What the overhead is made of: `records` and `files` are those of one side of a round.
  void print_cost(std::uint64_t records, std::uint64_t files) const {
    const double nanoseconds = (median(cpu_ratio_) - 1) * median(cpu_without_) * 1e9;
    std::printf("cost     %s ns of CPU a file, %s ns a record with its share of the clock reads (%s records a file)\n",
                decimal(nanoseconds / static_cast<double>(files), 0).c_str(),
                decimal(nanoseconds / static_cast<double>(records), 0).c_str(),
                decimal(static_cast<double>(records) / static_cast<double>(files), 1).c_str());
  }

 private:
  static void print_side(const char* side, const std::vector<double>& wall, const std::vector<double>& cpu) {
    std::printf("%-15s median %s, CPU %s\n", side, milliseconds(median(wall)).c_str(), milliseconds(median(cpu)).c_str());
  }
  static void print_ratio(const char* of, const std::vector<double>& ratios) {
    const auto [min, max] = std::minmax_element(ratios.begin(), ratios.end());
    std::printf("overhead %-6s %s (median of %zu paired ratios; min %s, max %s)\n", of, percent(median(ratios)).c_str(), ratios.size(),
                percent(*min).c_str(), percent(*max).c_str());
  }

  std::vector<double> wall_without_, wall_with_, wall_ratio_, cpu_without_, cpu_with_, cpu_ratio_;
};

/// Fills the page cache, behind a progress bar: the first pass may have to wait for a disk.
void warm_up(const Job& job, ErrorLog& errors) {
  JobCounts counts;
  counts.found_files.add(job.tree.files.size());
  counts.found_bytes.add(job.tree.bytes);
  counts.begin_hashing();
  NoProbe probe;
  const Display display(counts);
  hash_tree(job.tree, job.threads, probe, counts, errors);
}

}  // namespace

bool compare(const Tree& tree, unsigned threads, unsigned rounds, ErrorLog& errors) {
  const Job job{tree, threads};
  warm_up(job, errors);
  const JobResult expected = job.without_pepper().result;
  const Pass sample = job.with_pepper();
  // A round is as many short passes as fill a quarter of a second a side: interleaved finely, they see the same machine.
  const auto passes = static_cast<unsigned>(std::clamp(0.25 / sample.cost.wall, 1.0, 64.0));
  std::printf("comparing %zu files, %llu bytes on %u threads: %u rounds of %u passes a side\n", tree.files.size(),
              static_cast<unsigned long long>(expected.bytes), threads, rounds, passes);

  bool is_equal = true;
  Rounds measured;
  for (unsigned round = 0; round < rounds; ++round) {
    Cost without, with;
    for (unsigned pass = 0; pass < 2 * passes; ++pass) {
      const bool is_with = ((round * 2 * passes + pass) + 1) / 2 % 2 == 1;  // A B B A A B B A ...
      const Pass done = is_with ? job.with_pepper() : job.without_pepper();
      (is_with ? with : without) += done.cost;
      is_equal = is_equal && done.result == expected;
    }
    measured.add(without, with);
  }
  measured.print();
  if (!tree.files.empty()) measured.print_cost(passes * sample.records, passes * sample.result.files);
  std::printf("digests  %s %s\n", digest_text(expected.digest).c_str(), is_equal ? "equal" : "DIFFER (or the tree has changed)");
  return is_equal;
}

}  // namespace demo
