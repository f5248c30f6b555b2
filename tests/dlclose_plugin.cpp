#include <pepper/pepper.hpp>
#include <pepper/testing.hpp>

/// The plugin of dlclose_host.cpp.

namespace {

struct RecordsAsItIsUnloaded {
  ~RecordsAsItIsUnloaded() { pepper::default_collector().counter("plugin").add(); }
} const of_this_library;

}  // namespace

extern "C" [[gnu::visibility("default")]] void record(int times) {
  const pepper::Counter counter = pepper::default_collector().counter("plugin");
  for (int i = 0; i < times; ++i) counter.add();
  pepper::counter<"plugin_static">().add();
}

/// Unbinds all static handles, of this library and of those that are there no more.
extern "C" [[gnu::visibility("default")]] void replace_default() { const pepper::testing::ScopedDefaultCollector replaced; }

extern "C" [[gnu::visibility("default")]] int recorded() {
  const auto series = pepper::default_collector().flush()->find("plugin");
  return series == nullptr ? 0 : static_cast<int>(series->count);
}
