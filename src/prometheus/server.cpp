#include <pepper/prometheus.hpp>

#include "address.hpp"

#include <prometheus/exposer.h>

#include <unistd.h>

#include <exception>
#include <memory>
#include <string>
#include <system_error>
#include <utility>

namespace pepper {

struct PrometheusServer::Impl {
  Impl() = default;
  /// In a child, where the server's threads are not, its end would wait for them.
  ~Impl() {
    if (::getpid() != process) (void)exposer.release();
  }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  const pid_t process = ::getpid();
  detail::Address address;
  std::shared_ptr<prometheus::Collectable> page;
  std::unique_ptr<prometheus::Exposer> exposer;
};

PrometheusServer::PrometheusServer(std::unique_ptr<Impl> impl) noexcept : impl_(std::move(impl)) {}
PrometheusServer::PrometheusServer(PrometheusServer&&) noexcept = default;
PrometheusServer& PrometheusServer::operator=(PrometheusServer&&) noexcept = default;
PrometheusServer::~PrometheusServer() = default;

std::uint16_t PrometheusServer::port() const noexcept { return impl_->address.port; }
std::string PrometheusServer::url() const { return "http://" + impl_->address.text() + "/metrics"; }

PrometheusServer serve_prometheus(MetricsCollector& collector, std::string_view address, PrometheusOptions options) {
  auto impl = std::make_unique<PrometheusServer::Impl>();
  impl->address = detail::parse_address(address);
  const std::string where = impl->address.text();
  // Two threads: a client that is slow holds up one. It may be, for so long.
  const std::vector<std::string> civetweb{"listening_ports", where, "num_threads", "2", "request_timeout_ms", "10000"};
  impl->page = prometheus_collectable(collector, std::move(options));
  try {
    impl->exposer = std::make_unique<prometheus::Exposer>(civetweb);
  } catch (const std::exception& error) {  // which does not say why
    const int reason = detail::probe(impl->address);
    if (reason != 0) throw std::system_error(reason, std::system_category(), "cannot serve at \"" + where + '"');
    throw std::system_error(std::make_error_code(std::errc::io_error), "cannot serve at \"" + where + "\": " + error.what());
  }
  impl->address.port = static_cast<std::uint16_t>(impl->exposer->GetListeningPorts().at(0));
  impl->exposer->RegisterCollectable(impl->page);
  return PrometheusServer(std::move(impl));
}

}  // namespace pepper
