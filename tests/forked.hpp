#pragma once

#include "contract.hpp"
#include "sanitizers.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdio>
#include <thread>
#include <utility>

/// What tests of fork() share.
namespace forked {

using namespace pepper;
using contract::background;
using contract::count;
using contract::is_balanced;
using contract::manual;

/// TSan sees no order between the threads that a child starts and what was before the fork: so with it, children record on the thread that
/// forked alone.
inline constexpr bool kChildrenHaveThreads = !sanitizers::kIsTsan;

inline constexpr std::uint64_t kManyRecords = 5000;

/// TSan's _exit() writes what was buffered at the fork once more.
inline pid_t fork_clean() {
  std::fflush(nullptr);
  return fork();
}

/// A child that ends with `body()`: true is status 0. Half a minute is longer than any of them takes; it ends a child that hangs.
template <class Body>
pid_t fork_into(Body&& body) {
  const pid_t child = fork_clean();
  if (child != 0) return child;
  alarm(30);
  bool is_right = false;
  try {
    is_right = body();
  } catch (...) {
  }
  _exit(is_right ? 0 : 1);
}

/// ASan's allocator (g++ 12's, clang 14's) has no fork handlers: one fork in some thousands, made while another thread allocates, leaves
/// the child with its locks held, whosever program it is. So under ASan a few children that hang prove nothing; the other builds forgive
/// none.
inline bool is_forgiven_hang(int status) {
  static std::atomic<int> hangs{0};
  const bool is_forgiven = sanitizers::kIsAsan && WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM && ++hangs <= 2;
  if (is_forgiven) std::fputs("a child hung, forgiven under ASan\n", stderr);
  return is_forgiven;
}

/// 0: it did what it should.
inline int status_of(pid_t child) {
  int status = -1;
  if (child <= 0 || waitpid(child, &status, 0) != child) return -1;
  return is_forgiven_hang(status) ? 0 : status;
}

template <class Body>
bool holds_in_child(Body&& body) {
  return status_of(fork_into(std::forward<Body>(body))) == 0;
}

struct Forks {
  std::size_t made = 0, wrong = 0;
};

/// Runs `body(fork_now)` on another thread. Each time that calls `fork_now()`, in a handler too, it stays where it is while this thread
/// forks a child that ends with `in_child()`.
template <class Body, class InChild>
Forks fork_meanwhile(Body&& body, InChild&& in_child) {
  std::atomic<bool> is_wanted{false}, is_over{false};
  std::jthread other([&] {
    body([&] {
      is_wanted = true;
      while (is_wanted) std::this_thread::yield();
    });
    is_over = true;
  });
  Forks forks;
  while (!is_over) {
    if (!is_wanted) {
      std::this_thread::yield();
      continue;
    }
    forks.wrong += status_of(fork_into(in_child)) != 0;
    ++forks.made;
    is_wanted = false;
  }
  return forks;
}

inline void add_times(const Counter& counter, std::uint64_t times) {
  for (std::uint64_t i = 0; i < times; ++i) counter.add();
}

/// The series has that many records, and so has the ledger.
inline bool has_exactly(const Snapshot& snapshot, std::string_view name, std::uint64_t times) {
  const CollectorStats& stats = snapshot.stats();
  return count(snapshot, name) == times && stats.recorded == times && stats.aggregated == times && stats.dropped == 0 && is_balanced(stats);
}

}  // namespace forked
