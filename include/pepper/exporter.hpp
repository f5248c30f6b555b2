#pragma once

#include <pepper/snapshot.hpp>

#include <chrono>
#include <functional>
#include <string>

#pragma GCC visibility push(default)
namespace pepper {

/// Takes a snapshot out of the process: writes, sends, shows it. Should be back by the deadline, or throw what keeps it from being; nobody
/// ends it by force. To keep the snapshot, keep `snapshot.shared_from_this()`.
using Exporter = std::function<void(const Snapshot& snapshot, std::chrono::steady_clock::time_point deadline)>;

/// What a collector is told of an exporter. Wrong values: std::invalid_argument naming field and value.
struct ExporterOptions {
  std::string name = "exporter";                                ///< in messages and CollectorStats::exporters; 1 to 255 bytes
  std::chrono::nanoseconds timeout = std::chrono::seconds{10};  ///< from the call to its deadline, 1 ms to 1 day; at shutdown() less
};

}  // namespace pepper
#pragma GCC visibility pop
