#include "child_process.hpp"
#include "forked.hpp"

#include <cxxabi.h>

using namespace forked;

// After the library's own end, as after that of any library that ends before another one: there, and in threads that nobody has joined, a
// program may still fork.

namespace {

/// Immortal; null: this process is no test of what happens after the end.
MetricsCollector* after_the_end = nullptr;
Counter hits;

void fork_after_the_end(void*) {
  if (after_the_end == nullptr) return;
  hits.add();
  const pid_t child = fork_into([] {
    add_times(hits, kManyRecords);
    return has_exactly(*after_the_end->flush(), "hits", kManyRecords);
  });
  const bool is_right = status_of(child) == 0;
  std::printf("child: %s, parent: %s\n", is_right ? "right" : "WRONG", has_exactly(*after_the_end->flush(), "hits", 8) ? "right" : "WRONG");
  std::fflush(stdout);
}

#if defined(__GLIBC__)
/// Handlers run in reverse: what is registered before the dynamic loader's own, which ends all libraries, and belongs to none of them, is
/// called after that.
__attribute__((no_sanitize("address", "thread", "undefined"))) void register_before_all() {
  abi::__cxa_atexit(fork_after_the_end, nullptr, nullptr);
}
[[gnu::used, gnu::section(".preinit_array")]] void (*const before_all)() = register_before_all;
#endif

}  // namespace

TEST_CASE("child: fork after the end" * doctest::skip()) {
  after_the_end = new MetricsCollector(manual());
  hits = after_the_end->counter("hits");
  add_times(hits, 7);
}

#if defined(__GLIBC__)
TEST_CASE("a fork after the library's own end, at exit, gives a child that counts its own alone") {
  const child_process::Ended child = child_process::run("child: fork after the end");
  INFO(child.output);
  CHECK(child.printed("child: right, parent: right"));
  CHECK(child.status == 0);
}
#endif
