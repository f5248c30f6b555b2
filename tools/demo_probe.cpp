#include "demo_probe.hpp"

namespace demo {

PepperProbe::PepperProbe(pepper::MetricsCollector& collector, const Tree& tree)
    : collector_(collector),
      tree_(tree),
      block_(collector.timer(kBlockTime, {}, {.unit = "seconds", .help = "Reading and hashing one block"})),
      file_ok_(collector.timer(kFileTime, {{"outcome", "ok"}}, {.unit = "seconds", .help = "Opening, reading and hashing one file"})),
      file_error_(collector.timer(kFileTime, {{"outcome", "error"}}, {.unit = "seconds"})) {
  for (const std::string& extension : tree.extensions) {
    const pepper::Tags tags{{"extension", extension}, {"outcome", "ok"}};
    hashed_.push_back({collector.counter(kFiles, tags, {.help = "Files tried"}), collector.counter(kBytes, tags, {.unit = "bytes"})});
  }
  in_flight_ = collector.observe(kInFlight, {}, [this] {
    unsigned busy = 0;
    for (const Busy& worker : busy_) busy += worker.files.load(std::memory_order_relaxed);  // [relaxed: a number to show]
    return static_cast<double>(busy);
  });
}

PepperProbe::Lane PepperProbe::lane(unsigned worker) {
  collector_.attach_thread();
  return {*this, busy_[worker].files};
}

void PepperProbe::Lane::failed(const File& file, std::uint64_t bytes, int error_number) const {
  const pepper::Tags tags{{"extension", probe_.tree_.extensions[file.extension]}, {"outcome", "error"}};
  probe_.collector_.counter(kFiles, tags).add();
  probe_.collector_.counter(kBytes, tags).add(static_cast<double>(bytes));
  probe_.collector_.counter(kErrors, {{"errno", error_name(error_number)}, {"what", "file"}}).add();
}

void record_walk_errors(pepper::MetricsCollector& collector, const ErrorLog& errors) {
  for (const auto& [number, count] : errors.by_number()) {
    collector.counter(kErrors, {{"errno", error_name(number)}, {"what", "directory"}}).add(static_cast<double>(count));
  }
}

}  // namespace demo
