#include <pepper/detail/pending_records.hpp>

#include "clock.hpp"

#include <chrono>
#include <exception>
#include <stdexcept>
#include <string>

namespace pepper::detail {

std::size_t checked_batch_size(std::size_t size) {
  if (size >= 1 && size <= std::size_t{1} << 20) return size;
  throw std::invalid_argument("BatchCollector: batch_size is " + std::to_string(size) + "; it must be 1 to 1048576");
}

bool PendingMetrics::try_push(const DynamicRecord& record) noexcept {
  try {
    const Tags tags(record.tags.data(), record.tags.size()), metadata(record.metadata.data(), record.metadata.size());
    const auto time = record.time == std::chrono::system_clock::time_point{} ? now_system() : record.time;
    all_.push_back({{std::string(record.name), record.value, time, tags, metadata}, record.weight});
    return true;
  } catch (const std::exception&) {
    return false;
  }
}

}  // namespace pepper::detail
