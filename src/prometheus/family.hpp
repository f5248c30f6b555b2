#pragma once

#include <pepper/prometheus.hpp>
#include <pepper/snapshot.hpp>

#include <prometheus/metric_family.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace pepper::detail {

// What the series of one name become.

/// Series of the same name must be of the same sort to stand in one family.
enum class Sort : std::uint8_t { counter, gauge, values };
inline constexpr std::size_t kSorts = 3;
[[nodiscard]] Sort sort_of(Kind kind) noexcept;
[[nodiscard]] inline bool is_distributed(Kind kind) noexcept { return kind == Kind::histogram || kind == Kind::timer; }

[[nodiscard]] const PrometheusShape& shape_of(const PrometheusOptions& options, std::string_view name);
/// `has_distributed`: one of them is. (One that is not, among them, is a histogram of one bucket.)
[[nodiscard]] prometheus::MetricType type_of(Sort sort, bool has_distributed, const PrometheusShape& shape) noexcept;
/// Legal, with the suffixes that are asked for.
[[nodiscard]] std::string family_name(std::string_view name, prometheus::MetricType type, std::string_view unit, bool has_suffixes);
/// Which no other family may have; the family's own comes first.
[[nodiscard]] std::vector<std::string> sample_names(const std::string& family, prometheus::MetricType type);

using Labels = std::vector<prometheus::ClientMetric::Label>;
/// Tags as labels, whose names are legal and differ. True: to Prometheus they are not what the tags were. `on_moved` hears of each tag that
/// had to go by another name because its own, made legal, is that of another.
bool make_labels(std::span<const Tag> tags, Labels& labels, const std::function<void(const Tag&, const std::string&)>& on_moved = {});
/// The same for labels that are the same to Prometheus, in whatever order they are: one without a value is none.
[[nodiscard]] std::string key_of(const Labels& labels);

}  // namespace pepper::detail
