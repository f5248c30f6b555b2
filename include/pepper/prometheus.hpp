#pragma once

#include <pepper/collector.hpp>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace prometheus {
class Collectable;
}

#pragma GCC visibility push(default)
namespace pepper {

/// What a histogram or timer is to Prometheus.
enum class PrometheusType : std::uint8_t { histogram, summary };

/// How histograms and timers are shown.
struct PrometheusShape {
  PrometheusType type = PrometheusType::histogram;
  /// A histogram's upper borders, ascending and finite. Each moves up to the end of the bucket that it lies in, in the series of its name
  /// with the coarsest buckets, and is printed there: so counts are exact, and all series of a name have the same `le`. (Below 0 a bucket
  /// begins with its border: there it is the count of what is less.) Empty: 24 powers of two at most, or of four, 16, ..., as far as
  /// values reach, and 0 if some are not above it. `+Inf` is always there, and takes what undistributed() says is missing.
  std::vector<double> buckets{};
  std::vector<double> quantiles{0.5, 0.9, 0.99, 0.999};  ///< of a summary, each in [0, 1]; of all records since the beginning
};

/// How a collector is shown to Prometheus. Wrong values: std::invalid_argument naming field and value.
///
/// Counters are counters (of their sum), gauges gauges (absent until set), summaries summaries without quantiles, histograms and timers
/// what their shape says. Help is help and unit; pepper's name where there is none. Names are left as they are but for what is illegal: a
/// character that may not stand in a name becomes `_`, and a digit in front gets one; of labels, of several `_` in front one stays, and
/// `le` and `quantile`, which are Prometheus' own, get one behind. In texts, bytes that are no UTF-8, and zero bytes, become `\xNN`.
///
/// Of a series that a SamplingCollector samples, sums, counts and buckets are estimates for all records that were made, each at the rate it
/// was kept at, so that none goes down; quantiles are of those that were kept, whatever their rates.
struct PrometheusOptions {
  PrometheusShape shape{};
  std::map<std::string, PrometheusShape, std::less<>> shapes{};  ///< of series with these names, as pepper has them, instead
  bool suffixes = false;  ///< names end as is the custom: in the unit, and counters in `_total`, where they do not yet
  bool ledger = true;     ///< also pepper_recorded_total and other figures of CollectorStats. For one collector on a page
  /// Called with each collision once: names, or labels of one name, that become the same, or kinds of one name that contradict each other,
  /// of which the page shows one. Called when the second series is registered: with those that are there, here and now; then in the bind,
  /// or the first record(name, ...), that made it, before that returns, by its thread. Also with what goes wrong in a scrape, by a thread
  /// of the server. Under no lock; may bind. Empty: a line on stderr.
  std::function<void(std::string_view)> on_error{};
};

/// For programs that have a prometheus::Exposer already: `exposer.RegisterCollectable(collectable)`; keep the pointer, the exposer does
/// not. Several on one page must share no name, and only one may have the ledger: nobody looks. Each scrape flushes (FlushMode::manual:
/// shows the latest snapshot), so it has what was recorded before it. Thread-safe; may outlive the collector, and has no families then.
[[nodiscard]] std::shared_ptr<prometheus::Collectable> prometheus_collectable(MetricsCollector& collector, PrometheusOptions options = {});

/// Serves one collector over HTTP, until it is destroyed, on threads of its own. Move-only, thread-compatible. May outlive the collector.
/// Its end takes up to two seconds, as CivetWeb looks no more often. A child made by fork() has no server, and may let
/// go of this.
class [[nodiscard]] PrometheusServer {
 public:
  PrometheusServer(PrometheusServer&&) noexcept;
  PrometheusServer& operator=(PrometheusServer&&) noexcept;
  ~PrometheusServer();

  [[nodiscard]] std::uint16_t port() const noexcept;
  /// Of the page: "http://127.0.0.1:9464/metrics".
  [[nodiscard]] std::string url() const;

 private:
  friend PrometheusServer serve_prometheus(MetricsCollector&, std::string_view, PrometheusOptions);
  struct Impl;
  explicit PrometheusServer(std::unique_ptr<Impl> impl) noexcept;
  std::unique_ptr<Impl> impl_;
};

/// Serves /metrics at HOST:PORT, with HOST an IPv4 address or localhost (127.0.0.1); port 0: a free one.
/// Without encryption or authentication: 0.0.0.0 shows it to whoever reaches the machine. Throws std::invalid_argument naming an address
/// that cannot be read, std::system_error naming one that cannot be served at, and why. Ignores SIGPIPE from then on, as its HTTP server
/// (CivetWeb) does.
PrometheusServer serve_prometheus(MetricsCollector& collector, std::string_view address = "127.0.0.1:9464", PrometheusOptions options = {});

}  // namespace pepper
#pragma GCC visibility pop
