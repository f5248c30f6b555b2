#include "demo_report.hpp"

#include "demo_io.hpp"
#include "demo_probe.hpp"

#include <algorithm>
#include <array>
#include <cinttypes>
#include <cstdint>
#include <cstdio>
#include <ctime>
#include <string_view>
#include <system_error>

namespace demo {

namespace {

std::string time_text(std::chrono::system_clock::time_point time) {
  const std::time_t seconds = std::chrono::system_clock::to_time_t(time);
  std::tm parts{};
  std::array<char, 32> text{};
  ::localtime_r(&seconds, &parts);
  std::strftime(text.data(), text.size(), "%H:%M:%S", &parts);
  return text.data();
}

/// Over all tags. Exact: whole numbers below 2^53.
std::uint64_t sum_of(const pepper::Snapshot& snapshot, std::string_view name) {
  double sum = 0;
  for (const pepper::SeriesSnapshot& series : snapshot) sum += series.name == name ? series.sum : 0;
  return static_cast<std::uint64_t>(sum);
}

std::uint64_t count_of(const pepper::Snapshot& snapshot, std::string_view name) {
  std::uint64_t count = 0;
  for (const pepper::SeriesSnapshot& series : snapshot) count += series.name == name ? series.count : 0;
  return count;
}

}  // namespace

std::string error_text(const ErrorLog& errors) {
  std::string text;
  const auto examples = errors.examples();
  for (const ErrorLog::Example& example : examples) {
    text += "pepper-demo: cannot read '" + printable(example.path) + "': " + std::system_category().message(example.error_number) + "\n";
  }
  const std::uint64_t count = errors.count();
  if (count > examples.size()) text += "pepper-demo: and " + std::to_string(count - examples.size()) + " more\n";
  return text;
}

std::string block_times_text(const pepper::Snapshot& snapshot) {
  const auto series = snapshot.find(kBlockTime);
  if (series == nullptr || series->count == 0) return "";
  return std::string(kBlockTime) + ", " + std::string(series->unit) + "\n" + series->histogram_text() + "\n";
}

std::string ledger_text(const pepper::CollectorStats& ledger) {
  std::string text = "ledger   recorded " + std::to_string(ledger.recorded) + " = aggregated " + std::to_string(ledger.aggregated) +
                     " + pending " + std::to_string(ledger.pending) + " + dropped " + std::to_string(ledger.dropped) + "; rejected " +
                     std::to_string(ledger.rejected) + "\n";
  if (ledger.losses.empty()) text += "losses   none\n";
  for (const pepper::Loss& loss : ledger.losses) {
    text += "losses   " + std::string(to_string(loss.cause)) + " " + std::to_string(loss.count) + ", first " + time_text(loss.first) +
            ", last " + time_text(loss.last) + "\n";
  }
  return text;
}

std::string result_text(const JobResult& result, std::uint64_t errors, unsigned threads, double seconds) {
  const double rate_seconds = std::max(seconds, 1e-9);
  return "files    " + std::to_string(result.files) + "\n" +  //
         "bytes    " + std::to_string(result.bytes) + "\n" +  //
         "errors   " + std::to_string(errors) + "\n" +        //
         "digest   " + digest_text(result.digest) + "\n" +    //
         "elapsed  " + decimal(seconds, 3) + " s on " + std::to_string(threads) + " threads\n" + "rate     " +
         decimal(static_cast<double>(result.bytes) / 1e6 / rate_seconds, 1) + " MB/s, " +
         decimal(static_cast<double>(result.files) / rate_seconds, 0) + " files/s\n";
}

std::string contradictions(const pepper::Snapshot& snapshot, const JobResult& result, std::uint64_t errors) {
  struct Pair {
    const char* what;
    std::uint64_t pepper, own;
  };
  const pepper::CollectorStats& ledger = snapshot.stats();
  const Pair pairs[] = {
      {"the ledger", ledger.aggregated + ledger.pending + ledger.dropped, ledger.recorded},
      {kFiles, sum_of(snapshot, kFiles), result.files},
      {kBytes, sum_of(snapshot, kBytes), result.bytes},
      {kErrors, sum_of(snapshot, kErrors), errors},
      {kFileTime, count_of(snapshot, kFileTime), result.files},
      {kBlockTime, count_of(snapshot, kBlockTime), result.blocks},
  };
  std::string text;
  for (const Pair& pair : pairs) {
    if (pair.pepper == pair.own) continue;
    text += std::string("MISMATCH ") + pair.what + ": pepper says " + std::to_string(pair.pepper) + ", the count is " +
            std::to_string(pair.own) + "\n";
  }
  return text;
}

std::string digest_text(std::uint64_t digest) {
  std::array<char, 17> text{};
  std::snprintf(text.data(), text.size(), "%016" PRIx64, digest);
  return text.data();
}

}  // namespace demo
