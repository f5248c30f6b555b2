// In place of demo_serve.cpp where there is no prometheus-cpp.

#include "demo_serve.hpp"

#include <stdexcept>

namespace demo {

std::unique_ptr<Server> serve(pepper::MetricsCollector&, const std::string&) {
  throw std::runtime_error("--serve: built without pepper-prometheus (install prometheus-cpp-dev, meson configure -Dprometheus=enabled)");
}

}  // namespace demo
