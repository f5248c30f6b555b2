// Hashes every regular file below a directory, instrumented as a program of yours would be: demo_probe.hpp is all that knows of pepper,
// demo_job.cpp is the job itself.

#include "demo_compare.hpp"
#include "demo_counts.hpp"
#include "demo_display.hpp"
#include "demo_errors.hpp"
#include "demo_io.hpp"
#include "demo_job.hpp"
#include "demo_probe.hpp"
#include "demo_report.hpp"
#include "demo_serve.hpp"
#include "demo_walk.hpp"

#include <CLI/CLI.hpp>
#include <pepper/pepper.hpp>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <thread>
#include <utility>

namespace {

enum ExitCode { all_read = 0, some_unread = 1, not_started = 2, contradiction = 3 };

constexpr const char* kExitCodes =
    "Exit codes:\n"
    "  0  all files and directories were read\n"
    "  1  some could not be read: counted, named on stderr, left out of the digest\n"
    "  2  no result: wrong usage, DIR is missing, not a directory or cannot be opened, or the system gave no memory or threads\n"
    "  3  the ledger does not balance, or pepper's totals contradict the job's own (--compare: the digests differ)";

struct Options {
  std::string directory = "/usr/include";
  unsigned threads = std::clamp(std::thread::hardware_concurrency(), 1U, demo::kMaxThreads);
  bool is_comparison = false;
  unsigned rounds = 9;
  std::string serve_at;  // empty: nowhere
};

void print(const std::string& text) { std::fwrite(text.data(), 1, text.size(), stdout); }
void complain(const std::string& text) { std::fprintf(stderr, "pepper-demo: %s\n", text.c_str()); }

/// The exit code where there is nothing to run: --help, wrong usage.
std::optional<int> parse(int argc, char** argv, Options& options) {
  CLI::App app{"Hashes every regular file below DIR with XXH3-64 and measures itself with pepper.", "pepper-demo"};
  app.option_defaults()->always_capture_default();
  app.add_option("DIR", options.directory, "Where to begin; links below it are not followed");
  app.add_option("--threads", options.threads, "Threads that hash")->check(CLI::Range(1U, demo::kMaxThreads));
  CLI::Option* const compare =
      app.add_flag("--compare", options.is_comparison, "Do the same work with and without pepper, print the overhead");
  app.add_option("--rounds", options.rounds, "Rounds of --compare")->check(CLI::Range(1U, 10'000U))->needs(compare);
  app.add_option("--serve", options.serve_at, "Show what pepper sees to Prometheus at HOST:PORT, and go on after the job until Ctrl-C")
      ->excludes(compare);
  app.footer(kExitCodes);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? all_read : not_started;
  }
  return std::nullopt;
}

int run_comparison(demo::FileDescriptor root, const Options& options) {
  demo::JobCounts counts;
  demo::ErrorLog errors;
  const demo::Tree tree = demo::walk(std::move(root), counts, errors);
  const bool is_equal = demo::compare(tree, options.threads, options.rounds, errors);
  std::fflush(stdout);
  std::fputs(demo::error_text(errors).c_str(), stderr);
  if (!is_equal) return contradiction;
  return errors.count() == 0 ? all_read : some_unread;
}

int run(demo::FileDescriptor root, const Options& options) {
  pepper::MetricsCollector collector(demo::telemetry_config());
  std::unique_ptr<demo::Server> server;
  if (!options.serve_at.empty()) {
    server = demo::serve(collector, options.serve_at);
    print("serving  " + server->url() + "\n");
    std::fflush(stdout);
  }
  demo::JobCounts counts;
  demo::ErrorLog errors;
  demo::JobResult result;
  std::shared_ptr<const pepper::Snapshot> snapshot;
  const auto begin = std::chrono::steady_clock::now();
  {
    const demo::Display display(counts);
    const demo::Tree tree = demo::walk(std::move(root), counts, errors);
    demo::record_walk_errors(collector, errors);
    demo::PepperProbe probe(collector, tree);
    result = demo::hash_tree(tree, options.threads, probe, counts, errors);
    snapshot = collector.flush();
  }
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - begin;

  const std::string mismatches = demo::contradictions(*snapshot, result, errors.count());
  print(snapshot->to_text() + "\n" + demo::block_times_text(*snapshot) + demo::ledger_text(snapshot->stats()) + "\n");
  print(demo::result_text(result, errors.count(), options.threads, elapsed.count()));
  print(mismatches.empty() ? "checks   the ledger balances, pepper's totals are the job's own counts\n" : mismatches);
  std::fflush(stdout);
  std::fputs(demo::error_text(errors).c_str(), stderr);
  if (server != nullptr) {
    print("serving  " + server->url() + " until Ctrl-C\n");
    std::fflush(stdout);
    demo::wait_for_interrupt();
  }
  if (!mismatches.empty()) return contradiction;
  return errors.count() == 0 ? all_read : some_unread;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  try {
    if (const auto code = parse(argc, argv, options)) return *code;
    demo::FileDescriptor root = demo::open_root(options.directory);
    return options.is_comparison ? run_comparison(std::move(root), options) : run(std::move(root), options);
  } catch (const demo::IoError& error) {
    complain("cannot open '" + demo::printable(options.directory) + "': " + std::system_category().message(error.error_number));
  } catch (const std::exception& error) {
    complain(error.what());
  }
  return not_started;
}
