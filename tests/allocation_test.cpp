/// A program of its own: it counts what a recording thread asks of the allocator and of the kernel, which in a test program's main thread
/// is a lot.
#include <pepper/pepper.hpp>

#include <doctest/doctest.h>

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <cmath>
#include <csignal>
#include <cstddef>
#include <cstdlib>
#include <future>
#include <string>
#include <string_view>
#include <thread>

namespace {

constinit thread_local long allocations = 0;  // of this thread
constinit pepper::Counter in_allocator;       // unbound, but in the test of that
constinit std::atomic<long> recorded_in_allocator{0};
constinit thread_local int depth_of_allocator = 0;
constinit std::atomic<int> deepest_allocator{0};
constinit thread_local std::size_t allocated_bytes = 0;  // by it
volatile char untouched[4 * 65536];
constinit volatile std::sig_atomic_t syscalls = 0, last_syscall = 0;

/// An instrumented allocator: what it is asked for, it records.
void record_in_allocator() {
  if (!deepest_allocator) return;
  if (++depth_of_allocator > 100) std::abort();
  if (depth_of_allocator > deepest_allocator) deepest_allocator = depth_of_allocator;
  in_allocator.add();
  ++recorded_in_allocator;
  --depth_of_allocator;
}

/// So many keys that pepper's is not among the first 32, whose values need no memory. Before any library's constructors.
void make_keys(int, char**, char**) {
  for (int i = 0; i < 40; ++i) {
    pthread_key_t key;
    if (pthread_key_create(&key, nullptr) != 0) std::abort();
  }
}
__attribute__((section(".preinit_array"), used)) void (*const first_of_all)(int, char**, char**) = make_keys;

}  // namespace

// glibc's allocator under its other names; ours come first in every module of the process.
extern "C" {
void* __libc_malloc(std::size_t);
void* __libc_calloc(std::size_t, std::size_t);
void* __libc_realloc(void*, std::size_t);
void* __libc_memalign(std::size_t, std::size_t);
void __libc_free(void*);

void* malloc(std::size_t size) {
  ++allocations;
  allocated_bytes += size;
  record_in_allocator();
  return __libc_malloc(size);
}
void* calloc(std::size_t count, std::size_t size) {
  ++allocations;
  allocated_bytes += count * size;
  record_in_allocator();
  return __libc_calloc(count, size);
}
void* realloc(void* at, std::size_t size) {
  ++allocations;
  allocated_bytes += size;
  return __libc_realloc(at, size);
}
void* memalign(std::size_t alignment, std::size_t size) {
  ++allocations;
  allocated_bytes += size;
  return __libc_memalign(alignment, size);
}
void* aligned_alloc(std::size_t alignment, std::size_t size) { return memalign(alignment, size); }
int posix_memalign(void** at, std::size_t alignment, std::size_t size) {
  *at = memalign(alignment, size);
  return *at == nullptr ? ENOMEM : 0;
}
void free(void* at) {
  if (at != nullptr) ++allocations;
  __libc_free(at);
}
}

namespace {

constexpr int kRecords = 1'000'000, kTimers = 1000;

/// Every syscall of this thread but the few that end the count is turned into SIGSYS: counted, and not made. For good, so in a child alone.
bool trap_syscalls() {
  const auto allow = [](unsigned number) { return sock_filter BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1); };
  const sock_filter allowed = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
  sock_filter filter[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      allow(SYS_rt_sigreturn),
      allowed,
      allow(SYS_getrusage),
      allowed,
      allow(SYS_write),
      allowed,
      allow(SYS_exit_group),
      allowed,
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
  };
  const sock_fprog program{sizeof filter / sizeof *filter, filter};
  struct sigaction action {};
  action.sa_sigaction = [](int, siginfo_t* info, void*) {
    syscalls = syscalls + 1;
    last_syscall = info->si_syscall;
  };
  action.sa_flags = SA_SIGINFO;
  return sigaction(SIGSYS, &action, nullptr) == 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

long page_faults() {
  rusage usage{};
  getrusage(RUSAGE_THREAD, &usage);
  return usage.ru_minflt + usage.ru_majflt;
}

/// What a thread asked for while it recorded; the control asks for one of each on purpose.
struct Asked {
  long allocations = 0, page_faults = 0, syscalls = 0, last_syscall = 0;
  bool is_counted = false;
  std::uint64_t records = 0;
};

struct Scene {
  pepper::FlushMode mode = pepper::FlushMode::manual;
  std::size_t buffer_size = 2'000'000;
  pepper::OverflowPolicy on_overflow = pepper::OverflowPolicy::spill;
  bool asks_on_purpose = false;
};

/// Enough of the stack for what follows.
[[gnu::noinline]] void touch_stack() {
  volatile char stack[64 * 1024];
  for (std::size_t i = 0; i < sizeof stack; i += 1024) stack[i] = 0;
}

struct Handles {
  explicit Handles(pepper::MetricsCollector& collector)
      : counter(collector.counter("c")), gauge(collector.gauge("g")), timer(collector.timer("t")), other(collector.timer("u")) {}
  pepper::Counter counter;
  pepper::Gauge gauge;
  pepper::Timer timer, other;
};

/// Returns how many.
std::uint64_t record_all(const Handles& handles) {
  std::uint64_t records = kTimers;
  for (int i = 0; i < kRecords; ++i, ++records) {
    handles.counter.add(1);
    if (i % 100 == 0) handles.gauge.set(i), ++records;
    if (i % 10'000 != 0) continue;
    // What scopes take in which the thread is preempted, from nanoseconds to seconds: ever longer, and to and fro.
    const int turn = i / 10'000;
    handles.timer.record(std::chrono::duration<double>(std::exp2(turn % 32 - 28)));
    handles.other.record(std::chrono::duration<double>(std::exp2(turn * 11 % 32 - 28)));
    records += 2;
  }
  for (int i = 0; i < kTimers; ++i) const pepper::ScopedTimer scope(handles.timer);
  return records;
}

void play(const Scene& scene, int result_pipe) {
  std::signal(SIGSEGV, SIG_DFL);  // not the test program's report
  alarm(60);
  Asked asked;
  pepper::TelemetryConfig config;
  config.flush_mode = scene.mode;
  config.buffer_size = scene.buffer_size;
  config.flush_interval = std::chrono::hours{1};
  config.on_overflow = scene.on_overflow;
  config.on_error = [](std::string_view) {};
  // The code's own pages come in as it is run first: by another thread, for another collector. Both stay, or this thread would take over
  // what that one has touched.
  std::promise<void> is_warm;
  std::thread([&is_warm, config] {
    pepper::MetricsCollector& warm = *new pepper::MetricsCollector(config);
    record_all(Handles(warm));
    warm.flush();
    is_warm.set_value();
    for (;;) pause();
  }).detach();
  is_warm.get_future().wait();
  pepper::MetricsCollector& collector = *new pepper::MetricsCollector(config);
  const Handles handles(collector);
  collector.attach_thread();
  touch_stack();
  asked.is_counted = trap_syscalls();
  (void)page_faults();

  const long faults_before = page_faults(), allocations_before = allocations;
  asked.records = record_all(handles);
  if (scene.asks_on_purpose) {
    (void)getppid();
    void* block = malloc(100);
    asm volatile("" : "+r"(block));  // or clang leaves out the pair
    free(block);
    untouched[sizeof untouched / 2] = 1;
  }
  asked.allocations = allocations - allocations_before;
  asked.page_faults = page_faults() - faults_before;
  asked.syscalls = syscalls;
  asked.last_syscall = last_syscall;
  (void)!write(result_pipe, &asked, sizeof asked);
  _exit(0);
}

Asked run_in_child(const Scene& scene) {
  int ends[2];
  REQUIRE(pipe(ends) == 0);
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) play(scene, ends[1]);
  close(ends[1]);
  Asked asked;
  const bool has_answered = read(ends[0], &asked, sizeof asked) == sizeof asked;
  close(ends[0]);
  int status = 0;
  waitpid(child, &status, 0);
  CAPTURE(status);
  REQUIRE(has_answered);
  REQUIRE(asked.is_counted);  // no seccomp filter here: nothing would be shown
  return asked;
}

void check_asks_for_nothing(const Scene& scene) {
  const Asked asked = run_in_child(scene);
  CHECK(asked.records > 1'000'000);
  CHECK(asked.allocations == 0);
  CHECK(asked.page_faults == 0);
  CAPTURE(asked.last_syscall);
  CHECK(asked.syscalls == 0);
}

}  // namespace

TEST_CASE("the counts count: an allocation, its end, a page fault and a syscall made on purpose are seen") {
  const Asked asked = run_in_child({.asks_on_purpose = true});
  CHECK(asked.allocations == 2);
  CHECK(asked.page_faults >= 1);
  CHECK(asked.syscalls == 1);
}

TEST_CASE("an attached thread records a million values and a thousand scopes without allocation, page fault or syscall: manual") {
  check_asks_for_nothing({});
}

TEST_CASE("the same with a flusher that sleeps") { check_asks_for_nothing({.mode = pepper::FlushMode::background}); }

TEST_CASE("the same where the pool is full and the thread folds its own records") {
  for (const std::size_t buffer_size : {255u, 65'536u}) {
    check_asks_for_nothing({.buffer_size = buffer_size});
    check_asks_for_nothing({.mode = pepper::FlushMode::background, .buffer_size = buffer_size});
  }
}

TEST_CASE("the same where the pool is full and its records are dropped") {
  check_asks_for_nothing({.buffer_size = 65'536, .on_overflow = pepper::OverflowPolicy::drop});
}

namespace {

/// What the flush of a collector with so many series allocates after a record in one of them.
std::size_t bytes_of_a_flush(int series) {
  pepper::MetricsCollector collector({.flush_mode = pepper::FlushMode::manual});
  const pepper::Counter one = collector.counter("one");
  for (int i = 1; i < series; ++i) collector.counter("other", {{"i", std::to_string(i)}}).add();
  auto snapshot = collector.flush();
  one.add();
  snapshot = collector.flush();
  one.add();
  const std::size_t before = allocated_bytes;
  snapshot = collector.flush();
  REQUIRE(snapshot->find("one")->count == 2);
  return allocated_bytes - before;
}

}  // namespace

TEST_CASE("publishing costs as the series that changed, not as all that exist") {
  const std::size_t few = bytes_of_a_flush(2'000), many = bytes_of_a_flush(50'000);
  CAPTURE(few);
  CAPTURE(many);
  CHECK(many < few + 512);  // a reference for every 2,048 series
}

TEST_CASE("an allocator may record what is allocated for a thread's first record") {
  pepper::MetricsCollector collector({.flush_mode = pepper::FlushMode::manual});
  const pepper::Counter hits = collector.counter("hits");
  in_allocator = collector.counter("allocations");
  recorded_in_allocator = 0;
  deepest_allocator = 1;
  std::thread([&] { hits.add(); }).join();
  const int deepest = deepest_allocator.exchange(0);
  const long recorded = recorded_in_allocator;
  CHECK(deepest >= 2);  // pepper did allocate
  CHECK(recorded > 2);
  const auto snapshot = collector.flush();
  CHECK(snapshot->find("hits")->count == 1);
  CHECK(snapshot->stats().recorded == static_cast<std::uint64_t>(recorded) + 1);
  CHECK(snapshot->stats().recorded == snapshot->stats().aggregated + snapshot->stats().pending + snapshot->stats().dropped);
  in_allocator = {};
}
