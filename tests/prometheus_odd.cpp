// Serves what could break a page, until its input ends: for a real Prometheus to read.

#include <pepper/prometheus.hpp>

#include <cstdio>
#include <limits>
#include <string>

int main() {
  pepper::MetricsCollector collector;
  const std::string texts[] = {"quote \" backslash \\ newline \n return \r tab \t",
                               "\"} 1\n# TYPE evil counter\nevil 1\n",
                               "gr\xc3\xb6\xc3\x9f\x65r \xe2\x82\xac",
                               "\xff\xfe\x80",
                               "\xed\xa0\x80",
                               std::string("\0zero\0", 6),
                               std::string(1024, '\\'),
                               ""};
  for (int i = 0; i < 8; ++i) {
    const std::string& text = texts[i];
    const std::string number = std::to_string(i);
    collector.counter("odd.total", {{"text", text}, {"i", number}}, {.help = text}).add(i + 1);
    collector.gauge("help " + number, {}, {.help = text}).set(i);
  }
  collector.gauge("odd_infinity").set(std::numeric_limits<double>::infinity());
  collector.summary("odd_nan").record({std::numeric_limits<double>::infinity(), -std::numeric_limits<double>::infinity()});
  collector.histogram("odd_values", {{"le", "mine"}, {"__name__", "x"}}).record({-1, 0, 1, std::numeric_limits<double>::infinity()});
  const pepper::PrometheusServer server = pepper::serve_prometheus(collector, "127.0.0.1:0");
  std::printf("%s\n", server.url().c_str());
  std::fflush(stdout);
  while (std::getchar() != EOF) {
  }
  return 0;
}
