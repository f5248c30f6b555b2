#pragma once

#include <pepper/handles.hpp>

#include <array>
#include <cstddef>

namespace pepper::bench {

// Loops whose instructions are counted (tests/instructions_test.py): one record and one barrier a turn. A file of their own, so that
// they can be built into an executable and, as -fPIC, into a shared library: both must come out cheap.

/// 64 KiB that nobody reads.
struct Ring {
  struct PlainRecord {
    std::uint64_t head;
    double value;
  };
  std::uint64_t tail = 0;
  std::array<PlainRecord, 4'096> records{};
};

void empty_loop(std::size_t turns);
void ring_loop(std::size_t turns, Ring& ring);
/// The handle in registers, as that of a hot loop is.
void handle_loop(std::size_t turns, Summary summary);
/// The handle read from memory each time, as a member or one picked from 16 is.
void member_loop(std::size_t turns, const std::array<Summary, 16>& summaries);
/// The handle in a variable of the program.
extern Summary global_summary;
void global_loop(std::size_t turns);
/// pepper::summary<"static">(), a handle of the default collector; bound before.
void bind_static();
void static_loop(std::size_t turns);

}  // namespace pepper::bench
