#include <pepper/pepper.hpp>

#include <algorithm>
#include <array>
#include <bit>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <tuple>
#include <utility>
#include <variant>
#include <vector>

/// Reads its input as what a program does to histograms and timers: records any double, one at a time or many, flushes, keeps snapshots, in
/// a pool of one chunk or a roomy one, with little memory or much. Aborts where a snapshot breaks a promise: see check().

using namespace pepper;

namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr std::size_t kRoomy = std::size_t{1} << 30, kMostKept = 16;
constexpr std::size_t kMostValues = 20'000;  ///< of one input: so that none takes long

[[noreturn]] void fail(const char* what, int line) {
  std::fprintf(stderr, "fold_fuzz.cpp:%d: %s\n", line, what);
  std::abort();
}
#define HOLDS(condition) ((condition) ? void() : fail(#condition, __LINE__))

/// Zeros once it is at its end.
class Input {
 public:
  explicit Input(std::span<const std::uint8_t> bytes) : bytes_(bytes) {}
  [[nodiscard]] bool is_at_end() const { return bytes_.empty(); }
  [[nodiscard]] std::uint8_t byte() { return take<std::uint8_t>(); }
  [[nodiscard]] double any_double() { return take<double>(); }
  template <class T, std::size_t kSize>
  [[nodiscard]] T one_of(const T (&choices)[kSize]) {
    return choices[byte() % kSize];
  }
  template <class T>
  [[nodiscard]] T take() {
    T value{};
    const std::size_t size = std::min(sizeof value, bytes_.size());
    if (size != 0) std::memcpy(&value, bytes_.data(), size);
    bytes_ = bytes_.subspan(size);
    return value;
  }

 private:
  std::span<const std::uint8_t> bytes_;
};

/// A series, and all values that it was given: NaN is none.
struct Series {
  std::string name;
  SeriesOptions options;
  std::variant<Histogram, Timer> handle;
  std::vector<double> values;
  bool is_sorted = false;
};

using Counts = std::vector<std::tuple<double, double, std::uint64_t>>;

Counts counts_of(const Distribution& of) {
  Counts counts;
  for (const Bucket& bucket : of) counts.emplace_back(bucket.lower, bucket.upper, bucket.count);
  return counts;
}

bool is_balanced(const CollectorStats& stats) {
  std::uint64_t by_cause = 0;
  for (const Loss& loss : stats.losses) by_cause += loss.count;
  return stats.recorded == stats.aggregated + stats.pending + stats.dropped && stats.dropped == by_cause &&
         stats.spilled <= stats.aggregated;
}

/// Near the denormals borders are no longer told apart.
bool is_exempt(double value) { return value != 0 && std::abs(value) < 5e-308; }

/// All buckets are there and in order, and those that the values say.
void check_buckets(const Distribution& distribution, const Series& of, bool is_exact) {
  std::uint64_t sum = 0;
  std::size_t buckets = 0;
  double end = -kInfinity;
  for (const Bucket& bucket : distribution) {
    HOLDS(bucket.lower >= end);
    HOLDS(bucket.upper >= bucket.lower);
    HOLDS(bucket.count != 0);
    end = bucket.upper;
    sum += bucket.count;
    ++buckets;
    if (!is_exact || is_exempt(bucket.lower) || is_exempt(bucket.upper) || (bucket.lower == 0) != (bucket.upper == 0)) continue;
    // (lower, upper] where positive, [lower, upper) where negative, both where equal.
    const bool is_special = bucket.lower == bucket.upper, is_negative = bucket.lower < 0;
    const auto begin =
        is_special || is_negative ? std::ranges::lower_bound(of.values, bucket.lower) : std::ranges::upper_bound(of.values, bucket.lower);
    // A border past the largest double is infinite, and infinities are in none of these buckets.
    const auto last = is_special                 ? std::ranges::upper_bound(of.values, bucket.upper)
                      : is_negative              ? std::ranges::lower_bound(of.values, bucket.upper)
                      : std::isinf(bucket.upper) ? std::ranges::lower_bound(of.values, kInfinity)
                                                 : std::ranges::upper_bound(of.values, bucket.upper);
    const auto first = is_negative && !is_special && std::isinf(bucket.lower) ? std::ranges::upper_bound(of.values, -kInfinity) : begin;
    HOLDS(bucket.count == static_cast<std::uint64_t>(last - first));
  }
  HOLDS(sum == distribution.count());
  HOLDS(buckets <= std::size_t{of.options.max_buckets} + 3);
}

void check_quantiles(const SeriesSnapshot& series, const Series& of, bool is_exact) {
  const Distribution& distribution = series.distribution;
  double before = -kInfinity, cdf_before = 0;
  for (const double q : {-1.0, 0.0, 1e-9, 0.001, 0.01, 0.1, 0.25, 0.333, 0.5, 0.75, 0.9, 0.99, 0.999, 0.99999, 1.0, 2.0}) {
    const double value = distribution.quantile(q);
    HOLDS(value >= before);
    before = value;
    if (distribution.backfilled() == 0) HOLDS(value >= series.min);
    HOLDS(value <= series.max);
    const double cdf = distribution.cdf(value);
    HOLDS(cdf >= cdf_before && cdf <= 1);
    cdf_before = cdf;
    HOLDS(distribution.count_above(value) <= distribution.count());
    if (!is_exact) continue;
    const auto n = static_cast<double>(of.values.size());
    const double exact = of.values[static_cast<std::size_t>(std::clamp(std::ceil(q * n), 1.0, n)) - 1];
    if (value == exact || is_exempt(exact)) continue;
    HOLDS(std::abs(value - exact) <= std::abs(exact) * distribution.relative_error() + std::abs(exact) * 1e-12);
  }
}

/// `is_roomy`: there was memory for all that was recorded.
void check(const Snapshot& snapshot, std::vector<Series>& all, std::uint64_t recorded, std::uint64_t rejected, bool is_roomy) {
  const CollectorStats& stats = snapshot.stats();
  HOLDS(is_balanced(stats));
  HOLDS(stats.pending == 0);
  HOLDS(stats.recorded == recorded);
  HOLDS(stats.rejected == rejected);
  if (is_roomy) HOLDS(stats.dropped == 0);
  std::uint64_t counted = 0;
  for (Series& of : all) {
    const auto series = snapshot.find(of.name);
    HOLDS(series != nullptr);
    const Distribution& distribution = series->distribution;
    counted += series->count;
    HOLDS(series->count <= of.values.size());
    if (stats.dropped == 0) HOLDS(series->count == of.values.size());
    HOLDS(distribution.undistributed() <= series->count);
    if (is_roomy) HOLDS(distribution.undistributed() == 0);
    HOLDS(series->count == distribution.count() - distribution.backfilled() + distribution.undistributed());
    if (of.options.expected_interval == 0) HOLDS(distribution.backfilled() == 0);
    if (distribution.count() == 0) {
      HOLDS(distribution.begin() == distribution.end());
      HOLDS(std::isnan(distribution.quantile(0.5)));
      continue;
    }
    const bool is_exact = distribution.undistributed() == 0 && distribution.backfilled() == 0 && series->count == of.values.size();
    if (is_exact && !of.is_sorted) std::ranges::sort(of.values);
    if (is_exact) of.is_sorted = true;
    if (is_exact) HOLDS(series->min == of.values.front() && series->max == of.values.back());
    check_buckets(distribution, of, is_exact);
    check_quantiles(*series, of, is_exact);
    HOLDS(std::isnan(distribution.quantile(std::numeric_limits<double>::quiet_NaN())));
  }
  HOLDS(counted == stats.aggregated);
}

class Program {
 public:
  explicit Program(Input& input) : input_(input) {
    TelemetryConfig config;
    config.flush_mode = FlushMode::manual;
    config.on_error = [](std::string_view) {};
    config.buffer_size = input.one_of<std::size_t>({1, 1, 300, 5000});
    const auto room = input.one_of<std::size_t>({0, 100'000, 1'000'000, kRoomy});
    is_roomy_ = room == kRoomy;
    config.memory_limit_bytes = (std::size_t{1} << 20) + config.buffer_size * 16 + room;
    collector_.emplace(config);
    for (std::size_t i = 0, count = 1 + input.byte() % 4; i < count; ++i) bind();
  }

  void run() {
    while (!input_.is_at_end() && recorded_ < kMostValues) step();
    flush();
    if (input_.byte() % 2 == 0) collector_.reset();  // snapshots outlive it
    for (const auto& [snapshot, all] : kept_) {
      for (std::size_t i = 0; i < all.size(); ++i) HOLDS(counts_of(snapshot->find(series_[i].name)->distribution) == all[i]);
    }
  }

 private:
  void bind() {
    Series made;
    made.name = "series" + std::to_string(series_.size());
    made.options.relative_error = input_.one_of({0.01, 0.5, 0.2, 0.001, 1e-4, 1e-6});
    made.options.max_buckets = input_.one_of<std::uint32_t>({8, 20, 160, 2048, 1u << 16});
    made.options.expected_interval = input_.one_of({0.0, 0.0, 0.0, 1.0, 1e-3, 1e-310});
    if (input_.byte() % 2 == 0) {
      made.handle = collector_->histogram(made.name, {}, made.options);
    } else {
      made.handle = collector_->timer(made.name, {}, made.options);
    }
    series_.push_back(std::move(made));
  }

  void step() {
    const std::uint8_t what = input_.byte();
    Series& to = series_[what / 8 % series_.size()];
    switch (what % 8) {
      case 0:
        return record(to, std::array{input_.any_double()});
      case 1:
        return record(to, std::array{small()});
      case 2: {  // a run, in which values may grow
        std::vector<double> values(std::size_t{input_.byte()} + 1, small());
        const double factor = input_.one_of({1.0, 1.01, 1.5, -1.1, 0.9, 1e3});
        for (std::size_t i = 1; i < values.size(); ++i) values[i] = values[i - 1] * factor;
        return record(to, values);
      }
      case 3: {  // by turns with another series
        Series& other = series_[input_.byte() % series_.size()];
        const double a = small(), b = small();
        for (int i = input_.byte() * 2; i != 0; --i) record(i % 2 == 0 ? to : other, std::array{i % 2 == 0 ? a : b});
        return;
      }
      case 4: {
        const double value = input_.any_double();
        if (collector_->record(to.name, value)) {
          note(to, value);
        } else {
          ++rejected_;
        }
        return;
      }
      case 5:
        return flush();
      case 6:
        return keep();
      default:
        if (!kept_.empty()) kept_.erase(kept_.begin() + input_.byte() % static_cast<int>(kept_.size()));
    }
  }

  /// A value that a program might have.
  double small() {
    const auto bits = input_.take<std::int16_t>();
    return std::ldexp(static_cast<double>(bits), input_.byte() % 64 - 40);
  }

  void record(Series& to, std::span<const double> values) {
    if (const auto* const histogram = std::get_if<Histogram>(&to.handle)) {
      if (values.size() == 1) {
        histogram->record(values[0]);
      } else {
        histogram->record(values);
      }
    } else {
      std::get<Timer>(to.handle).record(values);
    }
    for (const double value : values) note(to, value);
  }

  void note(Series& to, double value) {
    if (std::isnan(value)) {
      ++rejected_;
      return;
    }
    to.values.push_back(value);
    to.is_sorted = false;
    ++recorded_;
  }

  void flush() { check(*collector_->flush(), series_, recorded_, rejected_, is_roomy_); }

  void keep() {
    if (kept_.size() == kMostKept) kept_.erase(kept_.begin());
    std::vector<Counts> all;
    auto snapshot = collector_->flush();
    for (const Series& of : series_) all.push_back(counts_of(snapshot->find(of.name)->distribution));
    kept_.emplace_back(std::move(snapshot), std::move(all));
  }

  Input& input_;
  bool is_roomy_ = false;
  std::optional<MetricsCollector> collector_;
  std::vector<Series> series_;
  std::uint64_t recorded_ = 0, rejected_ = 0;
  std::vector<std::pair<std::shared_ptr<const Snapshot>, std::vector<Counts>>> kept_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input input({data, size});
  Program(input).run();
  return 0;
}
