#include "demo_serve.hpp"

#include <pepper/prometheus.hpp>

#include <utility>

namespace demo {

namespace {

class PrometheusPage final : public Server {
 public:
  explicit PrometheusPage(pepper::PrometheusServer server) noexcept : server_(std::move(server)) {}
  [[nodiscard]] std::string url() const override { return server_.url(); }

 private:
  pepper::PrometheusServer server_;
};

}  // namespace

std::unique_ptr<Server> serve(pepper::MetricsCollector& collector, const std::string& address) {
  pepper::PrometheusOptions options;
  options.suffixes = true;  // demo.files is demo_files_total there
  return std::make_unique<PrometheusPage>(pepper::serve_prometheus(collector, address, std::move(options)));
}

}  // namespace demo
