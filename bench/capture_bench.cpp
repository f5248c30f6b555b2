// What a record costs the thread that makes it: bursts below the pool's size, so that no record overflows, drained un-timed.

#include "benches.hpp"
#include "bursts.hpp"

#include <pepper/pepper.hpp>

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace pepper::bench {
namespace {

/// A collector with the default pool that is drained between the bursts.
class ManualSubject {
 public:
  explicit ManualSubject(int) {}
  void drain() { collector_.flush(); }
  const char* fault(std::uint64_t records) {
    const CollectorStats stats = collector_.flush()->stats();
    if (stats.recorded != records || stats.aggregated != records) return "records are missing";
    return stats.spilled == 0 ? nullptr : "the pool was too small for a burst: this measured overload";
  }

 protected:
  MetricsCollector collector_{{.flush_mode = FlushMode::manual}};
};

struct RecordHandle : ManualSubject {
  using ManualSubject::ManualSubject;
  auto op(int) {
    return [summary = collector_.summary("request.size")](std::size_t, double value) { summary.record(value); };
  }
};

/// Handles in memory, as where a metric has a few tag values and the program picks one.
template <std::size_t kSeries>
class RecordRoundRobin : public ManualSubject {
 public:
  explicit RecordRoundRobin(int threads) : ManualSubject(threads) {
    for (std::size_t i = 0; i < kSeries; ++i) summaries_[i] = collector_.summary("request.size", {{"route", std::to_string(i)}});
    benchmark::DoNotOptimize(summaries_.data());
  }
  auto op(int) {
    return [this](std::size_t i, double value) { summaries_[i % kSeries].record(value); };
  }

 private:
  std::array<Summary, kSeries> summaries_;
};

struct RecordSpan : ManualSubject {
  using ManualSubject::ManualSubject;
  auto op(int) {
    return [summary = collector_.summary("request.size")](std::size_t, double) { summary.record(std::span(kSomeValues)); };
  }
};
static_assert(kBurst % kValues == 0);

struct SetGauge : ManualSubject {
  using ManualSubject::ManualSubject;
  auto op(int) {
    return [gauge = collector_.gauge("requests.in_flight")](std::size_t, double value) { gauge.set(value); };
  }
};

/// Nothing is to be recorded, at the price of a load and a branch.
class RecordDisabled {
 public:
  explicit RecordDisabled(int) {}
  auto op(int) {
    return [summary = collector_.summary("request.size")](std::size_t, double value) { summary.record(value); };
  }
  void drain() {}
  const char* fault(std::uint64_t) { return collector_.flush()->stats().recorded == 0 ? nullptr : "a disabled collector recorded"; }

 private:
  MetricsCollector collector_{{.enabled = false, .flush_mode = FlushMode::manual}};
};

/// Calls of which one in a thousand million, or in a hundred, is kept.
template <int kPercent>
struct RecordSampled : ManualSubject {
  using ManualSubject::ManualSubject;
  auto op(int) {
    return [summary = sampled_.summary("request.size")](std::size_t, double value) { summary.record(value); };
  }
  const char* fault(std::uint64_t records) {
    const std::uint64_t recorded = collector_.flush()->stats().recorded;
    return recorded <= records / 20 && (kPercent == 0 || recorded != 0) ? nullptr : "more or fewer records than were to be kept";
  }

 private:
  SamplingCollector<MetricsCollector&> sampled_{collector_, kPercent == 0 ? 1e-9 : kPercent * 0.01};
};

/// Calls that all pass, or are all refused.
template <bool kPasses>
struct RecordRateLimited : ManualSubject {
  explicit RecordRateLimited(int threads) : ManualSubject(threads), background_({.on_error = [](std::string_view) {}}) {}
  auto op(int) {
    return [summary = limited_.summary("request.size")](std::size_t, double value) { summary.record(value); };
  }
  const char* fault(std::uint64_t records) {
    const auto found = (kPasses ? collector_ : background_).flush()->find("request.size");
    return (kPasses ? found->count : found->count + found->refused) == records ? nullptr : "calls are missing";
  }

 private:
  MetricsCollector background_;  // a flusher that looks, as a refused call relies on
  RateLimitedCollector<MetricsCollector&> limited_{kPasses ? collector_ : background_, kPasses ? 1e12 : 1e-6};
};

/// Two tags, 16 keys in rotation. With `kCopies` above 1 each key's strings lie at that many addresses, taken in turn: a cache that went
/// by the address alone would never hit, as in a program that builds its tag values anew for each request.
template <std::size_t kCopies>
class RecordDynamic : public ManualSubject {
 public:
  explicit RecordDynamic(int threads) : ManualSubject(threads) {
    for (std::size_t i = 0; i < kKeys * kCopies; ++i)
      keys_.push_back({"http.requests", "/api/v1/items/" + std::to_string(i % kKeys), "200"});
  }
  auto op(int) {
    return [this](std::size_t i, double value) {
      const Key& key = keys_[i % (kKeys * kCopies)];
      collector_.record(key.name, value, {{"route", key.route}, {"status", key.status}});
    };
  }

 private:
  static constexpr std::size_t kKeys = 16;
  struct Key {
    std::string name, route, status;
  };
  std::vector<Key> keys_;
};

struct TimeScope : ManualSubject {
  using ManualSubject::ManualSubject;
  auto op(int) {
    return [timer = collector_.timer("request.seconds")](std::size_t, double) {
      const ScopedTimer scope(timer);
      barrier();
    };
  }
};

/// What a scoped timer cannot do without.
struct ReadClockTwice {
  explicit ReadClockTwice(int) {}
  auto op(int) {
    return [](std::size_t, double) {
      const std::uint64_t start = detail::now_ticks();
      barrier();
      benchmark::DoNotOptimize(detail::now_ticks() - start);
    };
  }
  void drain() {}
  const char* fault(std::uint64_t) { return nullptr; }
};

}  // namespace

template <>
inline constexpr std::size_t kValuesPerCall<RecordSpan> = kValues;

void add_capture_benches() {
  add_alone<RecordHandle>("record_handle/series:1");
  add_teams<RecordHandle>("record_handle/series:1");
  add_alone<RecordRoundRobin<16>>("record_handle/series:16");
  add_teams<RecordRoundRobin<16>>("record_handle/series:16");
  add_alone<RecordSpan>("record_span/values:1024");
  add_alone<SetGauge>("set_gauge");
  add_teams<SetGauge>("set_gauge");
  add_alone<RecordDisabled>("record_disabled");
  add_alone<RecordSampled<0>>("record_sampled/percent:0");
  add_alone<RecordSampled<1>>("record_sampled/percent:1");
  add_alone<RecordRateLimited<true>>("record_rate_limited/passes:1");
  add_alone<RecordRateLimited<false>>("record_rate_limited/passes:0");
  add_alone<RecordDynamic<1>>("record_dynamic/keys:16/copies:1");
  add_teams<RecordDynamic<1>>("record_dynamic/keys:16/copies:1");
  add_alone<RecordDynamic<8>>("record_dynamic/keys:16/copies:8");
  add_alone<ReadClockTwice>("read_clock_twice");
  add_alone<TimeScope>("time_scope");
}

}  // namespace pepper::bench
