#include <pepper/config.hpp>
#include <pepper/stats.hpp>

namespace pepper {

std::string_view to_string(Kind kind) noexcept {
  switch (kind) {
    case Kind::counter:
      return "counter";
    case Kind::gauge:
      return "gauge";
    case Kind::summary:
      return "summary";
    case Kind::histogram:
      return "histogram";
    case Kind::timer:
      return "timer";
  }
  return "unknown";
}

std::string_view to_string(Cause cause) noexcept {
  switch (cause) {
    case Cause::overflow:
      return "overflow";
    case Cause::threads:
      return "threads";
    case Cause::negative:
      return "negative";
    case Cause::after_shutdown:
      return "after_shutdown";
    case Cause::memory:
      return "memory";
    case Cause::rate_limited:
      return "rate_limited";
    case Cause::invalid:
      return "invalid";
  }
  return "unknown";
}

}  // namespace pepper
