#include "clock.hpp"

#include "mutex.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <limits>
#include <mutex>
#include <type_traits>
#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace pepper::detail {

bool tsc_is_trusted = false;

namespace {

using Steady = std::chrono::steady_clock;
using System = std::chrono::system_clock;

/// Whether the TSC is fit to time with; tsc_is_trusted is that, but in manual time.
constinit bool has_tsc = false;

/// 0 until the first fit.
constinit std::atomic<double> calibrated{0};

// What the clocks show in manual time. Each is read alone; who reads one as manual time ends may be a moment late.
constinit std::atomic<bool> is_manual{false};
constinit std::atomic<std::uint64_t> manual_ticks{0};
constinit std::atomic<Steady::time_point> manual_steady{};
constinit std::atomic<System::time_point> manual_system{};

bool kernel_and_cpu_trust_tsc() noexcept {
#if defined(__x86_64__)
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (__get_cpuid(0x80000007, &a, &b, &c, &d) == 0 || (d & (1u << 8)) == 0) return false;
  // An invariant rate is not yet synchronised cores: the kernel watches for that, and says what it trusts.
  const int file = open("/sys/devices/system/clocksource/clocksource0/current_clocksource", O_RDONLY | O_CLOEXEC);
  if (file < 0) return false;
  char source[4] = {};
  const bool trusted = read(file, source, sizeof source) == sizeof source && std::memcmp(source, "tsc\n", sizeof source) == 0;
  close(file);
  return trusted;
#else
  return false;
#endif
}

/// The same moment on both clocks.
struct Pair {
  std::uint64_t ticks = 0;
  std::int64_t nanoseconds = 0;
};

std::int64_t steady_nanoseconds() noexcept {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(Steady::now().time_since_epoch()).count();
}

std::uint64_t real_ticks() noexcept {
#if defined(__x86_64__)
  if (has_tsc) return __rdtsc();
#endif
  return static_cast<std::uint64_t>(steady_nanoseconds());
}

void trust_tsc(bool is_trusted) noexcept {
  std::atomic_ref(tsc_is_trusted).store(is_trusted, std::memory_order_relaxed);  // [relaxed: either clock was right a moment ago]
}

/// Of a few tries the one with the shortest span between its tick reads: the others were interrupted.
Pair read_pair() noexcept {
  Pair best;
  std::uint64_t shortest = std::numeric_limits<std::uint64_t>::max();
  for (int i = 0; i < 5; ++i) {
    const std::uint64_t before = real_ticks();
    const std::int64_t nanoseconds = steady_nanoseconds();
    const std::uint64_t span = real_ticks() - before;
    if (span < shortest) {
      shortest = span;
      best = {before + span / 2, nanoseconds};
    }
  }
  return best;
}

/// Before every static constructor of ordinary priority, as those may time scopes.
__attribute__((constructor(101))) void decide_once() noexcept { trust_tsc(has_tsc = kernel_and_cpu_trust_tsc()); }

double fit(const Pair& from, const Pair& to) noexcept {
  return static_cast<double>(to.nanoseconds - from.nanoseconds) * 1e-9 / static_cast<double>(to.ticks - from.ticks);
}

class Calibration {
 public:
  void first_fit() noexcept {
    const std::lock_guard lock(mutex_);
    const double known = calibrated.load(std::memory_order_relaxed);  // [relaxed: written under mutex_]
    if (known != 0) return;
    Pair now = read_pair();
    while (now.nanoseconds - from_.nanoseconds < kFirstFit) now = read_pair();
    latest_ = now;
    calibrated.store(fit(from_, now), std::memory_order_relaxed);  // [relaxed: one number, any recent one will do]
  }

  void keep_in_step() noexcept {
    const std::lock_guard lock(mutex_);
    if (is_time_manual()) return;
    const Pair now = read_pair();
    if (now.nanoseconds - latest_.nanoseconds < kRefit) return;
    const double refit = fit(from_, now);
    const double known = calibrated.load(std::memory_order_relaxed);  // [relaxed: written under mutex_]
    // NTP slews by at most 500 ppm. More is a jump of one of the clocks (suspend, migration): start a new window.
    // If the next one, all of it after the jump, still says so, the rate itself has changed.
    const bool jumped = !has_jumped_ && !(std::abs(refit / known - 1) < 1e-3);
    has_jumped_ = jumped;
    if (jumped || now.nanoseconds - from_.nanoseconds > kWindow) from_ = jumped ? now : latest_;
    if (!jumped) calibrated.store(refit, std::memory_order_relaxed);  // [relaxed: one number, any recent one will do]
    latest_ = now;
  }

  bool begin_manual() noexcept {
    const std::lock_guard lock(mutex_);
    if (is_time_manual()) return false;
    advanced_ = {};
    manual_ticks.store(ticks_at_begin_ = real_ticks(), std::memory_order_relaxed);     // [relaxed: published below]
    manual_steady.store(steady_at_begin_ = Steady::now(), std::memory_order_relaxed);  // [relaxed: published below]
    manual_system.store(system_at_begin_ = System::now(), std::memory_order_relaxed);  // [relaxed: published below]
    is_manual.store(true, std::memory_order_release);  // [manual:release] pairs with [manual:acquire] in is_time_manual()
    trust_tsc(false);
    return true;
  }

  bool advance(std::chrono::nanoseconds by) noexcept {
    const std::lock_guard lock(mutex_);
    if (by.count() < 0 || by > kLongestManual - advanced_) return false;
    advanced_ += by;
    // From the beginning each time: what rounding takes does not add up.
    const auto ticks = std::llround(static_cast<long double>(advanced_.count()) / (1e9L * known_seconds_per_tick()));
    manual_ticks.store(ticks_at_begin_ + static_cast<std::uint64_t>(ticks),
                       std::memory_order_relaxed);                                 // [relaxed: a number, guards no data]
    manual_steady.store(steady_at_begin_ + advanced_, std::memory_order_relaxed);  // [relaxed: a number, guards no data]
    manual_system.store(system_at_begin_ + advanced_, std::memory_order_relaxed);  // [relaxed: a number, guards no data]
    return true;
  }

  void end_manual() noexcept {
    const std::lock_guard lock(mutex_);
    is_manual.store(false, std::memory_order_relaxed);  // [relaxed: the real clocks are always there]
    trust_tsc(has_tsc);
  }

 private:
  static constexpr std::chrono::nanoseconds kLongestManual = std::chrono::hours{24 * 3652};
  static constexpr std::int64_t kRefit = 100'000'000;
  static constexpr std::int64_t kWindow = 10'000'000'000;
  static constexpr std::int64_t kFirstFit = 1'000'000;

  Mutex mutex_;
  Pair from_ = read_pair();
  Pair latest_ = from_;
  bool has_jumped_ = false;

  // Of manual time.
  std::uint64_t ticks_at_begin_ = 0;
  Steady::time_point steady_at_begin_;
  System::time_point system_at_begin_;
  std::chrono::nanoseconds advanced_{};
};

Calibration& calibration() noexcept {
  static_assert(std::is_trivially_destructible_v<Calibration>, "threads time scopes while statics die");
  const Section whole;  // a child would wait for ever for a static that was half made
  static Calibration immortal;
  return immortal;
}

}  // namespace

bool is_time_manual() noexcept {
  return is_manual.load(std::memory_order_acquire);  // [manual:acquire] pairs with [manual:release] in begin_manual()
}

bool begin_manual_time() noexcept {
  (void)seconds_per_tick();
  return calibration().begin_manual();
}

bool advance_manual_time(std::chrono::nanoseconds by) noexcept { return calibration().advance(by); }

void end_manual_time() noexcept { calibration().end_manual(); }

std::uint64_t now_ticks_slow() noexcept {
  return is_time_manual() ? manual_ticks.load(std::memory_order_relaxed) : real_ticks();  // [relaxed: a number, guards no data]
}

Steady::time_point now_steady() noexcept {
  return is_time_manual() ? manual_steady.load(std::memory_order_relaxed) : Steady::now();  // [relaxed: a number, guards no data]
}

System::time_point now_system() noexcept {
  return is_time_manual() ? manual_system.load(std::memory_order_relaxed) : System::now();  // [relaxed: a number, guards no data]
}

double known_seconds_per_tick() noexcept {
  if (!has_tsc) return 1e-9;
  return calibrated.load(std::memory_order_relaxed);  // [relaxed: one number, any recent one will do]
}

double fold_seconds_per_tick() noexcept { return is_time_manual() ? -known_seconds_per_tick() : known_seconds_per_tick(); }

double seconds_per_tick() noexcept {
  if (known_seconds_per_tick() == 0) calibration().first_fit();
  return known_seconds_per_tick();
}

void keep_clock_in_step() noexcept {
  if (has_tsc && known_seconds_per_tick() != 0) calibration().keep_in_step();
}

std::chrono::nanoseconds to_nanoseconds(std::int64_t ticks) noexcept {
  if (ticks <= 0) return {};
  return std::chrono::nanoseconds{std::llround(static_cast<double>(ticks) * seconds_per_tick() * 1e9)};
}

std::chrono::duration<double> since(Steady::time_point time) noexcept {
  const auto now = now_steady();
  if (time >= now) return {};
  // Unsigned, as there is more time between two of them than the signed difference can say.
  const auto ago = static_cast<std::uint64_t>(now.time_since_epoch().count()) - static_cast<std::uint64_t>(time.time_since_epoch().count());
  return std::chrono::duration<double, Steady::period>(static_cast<double>(ago));
}

std::uint64_t to_ticks(Steady::time_point time) noexcept {
  const std::uint64_t now = now_ticks();
  constexpr double kMost = 0x1p62;  // the time that has passed since is to be a positive number of ticks as well
  return now - static_cast<std::uint64_t>(std::llround(std::min(since(time).count() / seconds_per_tick(), kMost)));
}

}  // namespace pepper::detail
