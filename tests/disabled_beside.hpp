#pragma once

#include <pepper/pepper.hpp>

namespace beside {

/// One record through each kind of handle, less than 100, by a file that has them.
void record_all(pepper::MetricsCollector& collector);

}  // namespace beside
