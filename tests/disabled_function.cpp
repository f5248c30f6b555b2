// One function, plain, or with instruments in it that are disabled: see disabled_test.py.

#if defined(INSTRUMENTED)
#include <pepper/pepper.hpp>
#define IF_INSTRUMENTED(...) __VA_ARGS__
#else
#define IF_INSTRUMENTED(...)
#endif

#include <chrono>
#include <cstddef>
#include <stdexcept>

double opaque(double);  // defined nowhere: what it costs nobody can see through
std::size_t queue_length();

IF_INSTRUMENTED(pepper::MetricsCollector& collector();)

// NOLINTNEXTLINE(readability-function-size)
extern "C" double work(const double* values, std::size_t count) {
  IF_INSTRUMENTED(using namespace pepper; const Counter requests; const Gauge depth; const Summary sizes; const Histogram spread;
                  const Timer latency, failed; const SignalCounter signals; const ScopedTimer timed(latency, failed);
                  ScopedTimer other(latency);)
  IF_INSTRUMENTED(sizes.record(std::span(values, count)); latency.record({1.0, 2.0}); spread.record({*values, 3.0, 4.0});)
  IF_INSTRUMENTED(requests.add([&] { return opaque(*values); }); latency.record(std::chrono::milliseconds{count});)
  double sum = 0;
  for (std::size_t i = 0; i < count; ++i) {
    IF_INSTRUMENTED(requests.add(); requests.add(values[i] * values[i]); const ScopedTimer one(latency); signals.add(i);)
    sum += values[i];
    // By value: a reference to `sum` leaves no instruction either, but g++ then builds the loop another way round.
    IF_INSTRUMENTED(depth.set(sum / 7); sizes.record(static_cast<double>(i)); sizes.record([sum] { return opaque(sum); });)
    IF_INSTRUMENTED(spread.record([sum] { return opaque(sum); }); depth.set([] { return static_cast<double>(queue_length()); });)
    IF_INSTRUMENTED(latency.record([sum] { return std::chrono::duration<double>(opaque(sum)); });)
    IF_INSTRUMENTED(pepper::counter<"requests_total", "method", "GET">().add(); pepper::timer<"t">().record(std::chrono::seconds{1});)
    if (sum > 1e9) throw std::runtime_error("too much");
  }
  IF_INSTRUMENTED(other.cancel(); ScopedTimer moved(std::move(other)); (void)moved.stop();)
  return opaque(sum);
}
