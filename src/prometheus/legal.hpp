#pragma once

#include <string>
#include <string_view>

namespace pepper::detail {

// What Prometheus' text format lets stand where. https://prometheus.io/docs/concepts/data_model/

/// [a-zA-Z_:][a-zA-Z0-9_:]*
[[nodiscard]] std::string legal_metric_name(std::string_view name);
/// [a-zA-Z_][a-zA-Z0-9_]*, with one _ in front at most: two are Prometheus' own.
[[nodiscard]] std::string legal_label_name(std::string_view name);
/// UTF-8 without zero bytes: any other byte as \xNN, so that two texts seldom become the same.
[[nodiscard]] std::string legal_text(std::string_view text);
/// The same as it may stand in a HELP line, which prometheus-cpp writes as it is: backslashes and newlines escaped.
[[nodiscard]] std::string legal_help(std::string_view text);

}  // namespace pepper::detail
