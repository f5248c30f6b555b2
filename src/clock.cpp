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

/// 0 until the first fit.
constinit std::atomic<double> calibrated{0};

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
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

/// Of a few tries the one with the shortest span between its tick reads: the others were interrupted.
Pair read_pair() noexcept {
  Pair best;
  std::uint64_t shortest = std::numeric_limits<std::uint64_t>::max();
  for (int i = 0; i < 5; ++i) {
    const std::uint64_t before = now_ticks();
    const std::int64_t nanoseconds = steady_nanoseconds();
    const std::uint64_t span = now_ticks() - before;
    if (span < shortest) {
      shortest = span;
      best = {before + span / 2, nanoseconds};
    }
  }
  return best;
}

/// Before every static constructor of ordinary priority, as those may time scopes.
__attribute__((constructor(101))) void decide_once() noexcept { tsc_is_trusted = kernel_and_cpu_trust_tsc(); }

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

 private:
  static constexpr std::int64_t kRefit = 100'000'000;
  static constexpr std::int64_t kWindow = 10'000'000'000;
  static constexpr std::int64_t kFirstFit = 1'000'000;

  Mutex mutex_;
  Pair from_ = read_pair();
  Pair latest_ = from_;
  bool has_jumped_ = false;
};

Calibration& calibration() noexcept {
  static_assert(std::is_trivially_destructible_v<Calibration>, "threads time scopes while statics die");
  const Section whole;  // a child would wait for ever for a static that was half made
  static Calibration immortal;
  return immortal;
}

}  // namespace

double known_seconds_per_tick() noexcept {
  if (!tsc_is_trusted) return 1e-9;
  return calibrated.load(std::memory_order_relaxed);  // [relaxed: one number, any recent one will do]
}

double seconds_per_tick() noexcept {
  if (known_seconds_per_tick() == 0) calibration().first_fit();
  return known_seconds_per_tick();
}

void keep_clock_in_step() noexcept {
  if (tsc_is_trusted && known_seconds_per_tick() != 0) calibration().keep_in_step();
}

std::chrono::nanoseconds to_nanoseconds(std::int64_t ticks) noexcept {
  if (ticks <= 0) return {};
  return std::chrono::nanoseconds{std::llround(static_cast<double>(ticks) * seconds_per_tick() * 1e9)};
}

std::uint64_t to_ticks(std::chrono::steady_clock::time_point time) noexcept {
  if (!tsc_is_trusted) return static_cast<std::uint64_t>(std::min(time, std::chrono::steady_clock::now()).time_since_epoch().count());
  const std::uint64_t now = now_ticks();
  const std::chrono::duration<double> ago = std::chrono::steady_clock::now() - time;
  return ago.count() <= 0 ? now : now - static_cast<std::uint64_t>(std::llround(ago.count() / seconds_per_tick()));
}

}  // namespace pepper::detail
