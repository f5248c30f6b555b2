#include "config_check.hpp"

#include <charconv>
#include <cmath>
#include <limits>
#include <stdexcept>
#include <string>
#include <type_traits>

namespace pepper::detail {

namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

[[noreturn]] void refuse(std::string_view field, const std::string& value, std::string_view rule) {
  throw std::invalid_argument("TelemetryConfig::" + std::string(field) + " is " + value + "; it must be " + std::string(rule));
}

template <class Number>
void check_range(std::string_view field, Number value, Number least, Number most) {
  if (value >= least && value <= most) return;
  refuse(field, std::to_string(value), std::to_string(least) + " to " + std::to_string(most));
}

}  // namespace

void check(const TelemetryConfig& config) {
  using namespace std::chrono_literals;
  if (config.name.empty() || config.name.size() > 255) refuse("name", '"' + config.name + '"', "1 to 255 bytes long");
  check_range<std::size_t>("buffer_size", config.buffer_size, 1, std::size_t{1} << 28);
  const std::chrono::nanoseconds least = 1ms, most = 24h;
  if (config.flush_interval < least || config.flush_interval > most) {
    refuse("flush_interval", std::to_string(config.flush_interval.count()) + " ns", "1 ms to 24 h");
  }
  if (config.on_overflow > OverflowPolicy::block)
    refuse("on_overflow", std::to_string(static_cast<int>(config.on_overflow)), "spill, drop or block");
  if (config.flush_mode > FlushMode::manual)
    refuse("flush_mode", std::to_string(static_cast<int>(config.flush_mode)), "background or manual");
  if (config.on_overflow == OverflowPolicy::block && config.flush_mode == FlushMode::manual) {
    refuse("on_overflow", "block", "spill or drop with FlushMode::manual, where nobody would end the wait");
  }
  check_range<std::size_t>("max_series", config.max_series, 1, 16'000'000);
  const std::size_t least_memory = (std::size_t{1} << 20) + config.buffer_size * 16;
  if (config.memory_limit_bytes < least_memory) {
    refuse("memory_limit_bytes", std::to_string(config.memory_limit_bytes),
           "at least 1 MiB and 16 bytes for each record of buffer_size, " + std::to_string(least_memory));
  }
}

void check_change(const TelemetryConfig& from, const TelemetryConfig& to) {
  const auto keep = [](std::string_view field, const auto& is, const auto& wanted) {
    if (is == wanted) return;
    const auto text = [](const auto& value) {
      if constexpr (std::is_enum_v<std::remove_cvref_t<decltype(value)>>) {
        return std::string(value == FlushMode::manual ? "manual" : "background");
      } else if constexpr (std::is_arithmetic_v<std::remove_cvref_t<decltype(value)>>) {
        return std::to_string(value);
      } else {
        return '"' + value + '"';
      }
    };
    throw std::invalid_argument("TelemetryConfig::" + std::string(field) + " is " + text(is) + " and cannot become " + text(wanted) +
                                " while the collector lives");
  };
  keep("name", from.name, to.name);
  keep("buffer_size", from.buffer_size, to.buffer_size);
  keep("flush_mode", from.flush_mode, to.flush_mode);
  keep("max_series", from.max_series, to.max_series);
}

void check(const SeriesOptions& options, Kind kind) {
  if (options.unit.size() > 255)
    throw std::invalid_argument("SeriesOptions::unit is longer than 255 bytes: " + std::string(options.unit.substr(0, 255)));
  if (options.help.size() > 1024)
    throw std::invalid_argument("SeriesOptions::help is longer than 1024 bytes: " + std::string(options.help.substr(0, 255)));
  const auto refuse_number = [](std::string_view field, double value, std::string_view rule) {
    char digits[32];
    const std::string text(digits, std::to_chars(digits, digits + sizeof digits, value).ptr);
    throw std::invalid_argument("SeriesOptions::" + std::string(field) + " is " + text + "; it must be " + std::string(rule));
  };
  if (!(options.relative_error >= 1e-6 && options.relative_error <= 0.5))
    refuse_number("relative_error", options.relative_error, "1e-6 to 0.5");
  if (options.max_buckets < 8 || options.max_buckets > 1u << 20) refuse_number("max_buckets", options.max_buckets, "8 to 1048576");
  if (!(options.expected_interval >= 0 && std::isfinite(options.expected_interval)))
    refuse_number("expected_interval", options.expected_interval, "0 or more, and finite");
  const ValueCheck& check = options.check;
  if (check.most != check.most || check.most == -kInfinity) refuse_number("check.most", check.most, "a number above -inf");
  if (!(check.least <= check.most) || check.least == kInfinity)
    refuse_number("check.least", check.least, "a number up to check.most, below inf");
  if (options.timestamps && kind == Kind::gauge)
    throw std::invalid_argument("SeriesOptions::timestamps is true; it must be false for a gauge, whose records carry their order");
}

}  // namespace pepper::detail
