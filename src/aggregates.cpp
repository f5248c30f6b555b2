#include <pepper/aggregating_collector.hpp>

#include <exception>
#include <string>

namespace pepper::detail {

bool try_add(Aggregates& to, const DynamicRecord& record) noexcept {
  try {
    to[{std::string(record.name), Tags(record.tags.data(), record.tags.size())}].add(record.value);
    return true;
  } catch (const std::exception&) {
    return false;
  }
}

}  // namespace pepper::detail
