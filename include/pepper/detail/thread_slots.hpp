#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#pragma GCC visibility push(default)
namespace pepper::detail {

/// How many collectors can live at once. Place 0 is never given out: an unbound handle points there and finds a parked cursor.
inline constexpr std::size_t kMaxPlaces = 1024;

/// A cursor says where a thread's next record goes in one collector: the address of a record, or, at a multiple of kChunkBytes, that the
/// next record takes the slow path. Written by its thread alone, except that a parked one is freed by whoever re-enables the collector.
using Cursor = std::atomic<std::uintptr_t>;

/// The cursor of a thread whose collector is disabled or gone: a boundary that is no chunk's, so that the inlined code can tell it apart.
inline constexpr std::uintptr_t kParked = kMaxPlaces * 4;
static_assert(kParked % 4096 == 0);

/// How many calls a thread still skips for one sampler: see SampleGate. Written by its thread alone.
using Gap = std::atomic<std::uint64_t>;
inline constexpr std::size_t kMaxSamplers = 1024;  ///< gap 0 is never given out

/// What a thread knows of one rate limit: see RateGate. Written by its thread alone, but that whoever ends the limit takes its number away,
/// and that a child begins anew.
struct RateSlot {
  std::atomic<std::uint64_t> number;   ///< of the limit that the rest is about
  std::atomic<std::uint64_t> credit;   ///< calls that may pass
  std::atomic<std::uint64_t> refused;  ///< calls that did not
  std::atomic<std::uint64_t> tick;     ///< when credit was last asked for in vain
};
struct RatePage {
  static constexpr std::size_t kSlots = 128;
  RateSlot slots[kSlots];
};
inline constexpr std::size_t kMaxRatePages = 1024;

/// All that the hot path knows of a thread: one cursor per place, one gap per sampler, a slot per rate limit it has met. Never freed;
/// adopted by a later thread when its thread ends.
struct ThreadSlots {
  Cursor cursors[kMaxPlaces];
  Cursor never;  ///< always null
  Gap gaps[kMaxSamplers];
  std::atomic<RatePage*> rates[kMaxRatePages];
};

/// The place of handles whose records carry their time: no cursor there is ever moved, so that all of them take the slow path, which finds
/// the collector's place where other records have their extra bytes. So it costs the hot path of the others nothing.
inline constexpr std::uint64_t kTimedPlace = kMaxPlaces * sizeof(Cursor);

/// Exported: the inlined hot path of every module reads it. At first it points to slots that are never written.
/// Initial-exec: no call, 8 bytes of static TLS. Reached through this_thread_slots() alone.
extern "C" __attribute__((tls_model("initial-exec"))) constinit thread_local ThreadSlots* pepper_tls_slots;

/// Where pepper_tls_slots lies from the thread pointer: the same in every thread, so it may be kept and hoisted.
[[nodiscard]] inline std::uintptr_t thread_slots_offset() noexcept {
  std::uintptr_t offset;
#if defined(__x86_64__)
  asm("movq pepper_tls_slots@gottpoff(%%rip), %0" : "=r"(offset));
#elif defined(__aarch64__)
  asm("adrp %0, :gottprel:pepper_tls_slots\n\tldr %0, [%0, #:gottprel_lo12:pepper_tls_slots]" : "=r"(offset));
#else
#error "pepper knows the thread pointer of x86-64 and aarch64; add yours here"
#endif
  return offset;
}

/// The calling thread's slots, read afresh at each call. A compiler may take the address of a thread_local out of a loop over an opaque
/// yield(), and a fiber that moved would then write to another thread's cursor: so the load is an asm volatile.
[[nodiscard]] inline ThreadSlots* this_thread_slots(std::uintptr_t offset = thread_slots_offset()) noexcept {
#if defined(__x86_64__)
  ThreadSlots* slots;
  asm volatile("movq %%fs:(%1), %0" : "=r"(slots) : "r"(offset));
  return slots;
#else
  std::uintptr_t thread_pointer;
  asm volatile("mrs %0, tpidr_el0" : "=r"(thread_pointer));
  return *reinterpret_cast<ThreadSlots**>(thread_pointer + offset);
#endif
}

}  // namespace pepper::detail
#pragma GCC visibility pop
