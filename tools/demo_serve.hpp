#pragma once

#include <pepper/pepper.hpp>

#include <memory>
#include <string>

namespace demo {

/// Shows a collector to Prometheus for as long as it lives.
class Server {
 public:
  virtual ~Server() = default;
  /// Of the page.
  [[nodiscard]] virtual std::string url() const = 0;
};

/// At HOST:PORT. Throws std::exception saying what is wrong with it; always, where this demo is built without pepper-prometheus.
[[nodiscard]] std::unique_ptr<Server> serve(pepper::MetricsCollector& collector, const std::string& address);

/// Returns at Ctrl-C, or SIGTERM: what comes before it ends the program as ever.
void wait_for_interrupt();

}  // namespace demo
