// A program that knows nothing of pepper loads a plugin that brings it along, has it record on threads of its own, and unloads it while
// these live: they end after it. Argument: the plugin. Exits with 0 if nothing was lost and nothing crashed.

#include <dlfcn.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <semaphore>
#include <thread>

namespace {

[[noreturn]] void fail(const char* what) {
  std::fprintf(stderr, "%s\n", what);
  std::exit(1);
}

template <class Function>
Function* symbol(void* library, const char* name) {
  void* const found = dlsym(library, name);
  if (found == nullptr) fail(dlerror());
  return reinterpret_cast<Function*>(found);
}

}  // namespace

int main(int, char** arguments) {
  alarm(120);
  constexpr int kTimes = 1000;
  int expected = 0;
  for (int round = 0; round < 5; ++round) {
    void* const plugin = dlopen(arguments[1], RTLD_NOW | RTLD_LOCAL);
    if (plugin == nullptr) fail(dlerror());
    auto* const record = symbol<void(int)>(plugin, "record");
    auto* const recorded = symbol<int()>(plugin, "recorded");
    auto* const replace_default = symbol<void()>(plugin, "replace_default");
    replace_default();
    if (recorded() != expected) fail("what was recorded before the plugin was unloaded, and as it was, is not there");
    record(kTimes);
    std::binary_semaphore has_recorded{0}, may_end{0};
    std::thread thread([&] {
      record(kTimes);
      has_recorded.release();
      may_end.acquire();
    });
    has_recorded.acquire();
    expected += 2 * kTimes;
    replace_default();
    if (recorded() != expected) fail("not all records are there");
    dlclose(plugin);
    ++expected;  // the plugin's own, as it is unloaded
    if (dlopen(arguments[1], RTLD_NOW | RTLD_NOLOAD) != nullptr) fail("the plugin is still loaded: nothing was tested");
    may_end.release();
    thread.join();
  }
}
