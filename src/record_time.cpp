#include "record_time.hpp"

#include <ctime>

namespace pepper::detail {

namespace {

constexpr std::uint32_t kIsTime = 0x8000'0000u;

}  // namespace

TimeExtra coarse_time_extra() noexcept {
  timespec now{};
  clock_gettime(CLOCK_REALTIME_COARSE, &now);  // Linux's, and in its vDSO
  return static_cast<TimeExtra>(now.tv_sec * 1000 + now.tv_nsec / 1'000'000) | kIsTime;
}

TimeExtra to_time_extra(std::chrono::system_clock::time_point time) noexcept {
  constexpr std::chrono::hours kReach{24 * 12};
  const auto now = std::chrono::system_clock::now();
  if (time < now - kReach || time > now + kReach) return 0;
  return static_cast<TimeExtra>(std::chrono::floor<std::chrono::milliseconds>(time).time_since_epoch().count()) | kIsTime;
}

std::chrono::system_clock::time_point from_time_extra(std::uint32_t extra, std::chrono::system_clock::time_point near) noexcept {
  using std::chrono::milliseconds;
  if ((extra & kIsTime) == 0) return {};
  const auto near_ms = std::chrono::floor<milliseconds>(near);
  // The 31 bits of the difference, as a signed number.
  const std::uint32_t ahead = (extra - static_cast<std::uint32_t>(near_ms.time_since_epoch().count())) << 1;
  return near_ms + milliseconds{static_cast<std::int32_t>(ahead) / 2};
}

}  // namespace pepper::detail
