#pragma once

#include "demo_counts.hpp"
#include "demo_errors.hpp"
#include "demo_io.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace demo {

/// A regular file as the walk found it. Its name stands in Tree::names: a tree of ten million files should cost bytes, not strings.
struct File {
  std::uint64_t size = 0;  ///< when it was found
  std::uint64_t name_at = 0;
  std::uint32_t directory = 0;
  std::uint32_t extension = 0;
};

/// All regular files below a directory. Immutable once walked, so any number of threads may read it.
struct Tree {
  FileDescriptor root;
  std::vector<std::string> directories;  ///< paths relative to the root; the root itself is ""
  std::string names;                     ///< NUL-terminated, one after another
  std::vector<File> files;
  std::vector<std::string> extensions;  ///< fit for tags: at most kMaxExtensions of at most 16 printable bytes
  std::uint64_t bytes = 0;

  /// The path of `file` relative to the root, into `path`, which keeps its memory from call to call.
  void path_of(const File& file, std::string& path) const;
};

/// The tag values that one tree may add; rarer extensions share "other".
inline constexpr std::uint32_t kMaxExtensions = 32;

/// What stands for the name's extension in a tag: lower case, "none" without one, "other" if over 16 bytes or not printable ASCII.
[[nodiscard]] std::string extension_of(std::string_view name);

/// Finds what `find -type f` finds. Symbolic links are not followed, so there are no loops; sockets, fifos and devices are not opened. One
/// directory is open at a time. What cannot be read goes to `errors`, and the walk goes on. Throws std::bad_alloc alone.
[[nodiscard]] Tree walk(FileDescriptor root, JobCounts& counts, ErrorLog& errors);

}  // namespace demo
