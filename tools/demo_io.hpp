#pragma once

#include <cstdint>
#include <string>
#include <utility>

namespace demo {

/// What the kernel answered instead of data. Thrown from the place that met it, caught once per file or directory.
struct IoError {
  int error_number = 0;
};

/// Owns one open file descriptor, or none.
class FileDescriptor {
 public:
  FileDescriptor() noexcept = default;
  explicit FileDescriptor(int descriptor) noexcept : descriptor_(descriptor) {}
  FileDescriptor(FileDescriptor&& other) noexcept : descriptor_(other.release()) {}
  FileDescriptor& operator=(FileDescriptor&& other) noexcept {
    std::swap(descriptor_, other.descriptor_);
    return *this;
  }
  ~FileDescriptor();

  [[nodiscard]] int get() const noexcept { return descriptor_; }
  [[nodiscard]] int release() noexcept { return std::exchange(descriptor_, -1); }

 private:
  int descriptor_ = -1;
};

/// Opens the directory a user named; symbolic links are followed here and nowhere below. Throws IoError.
[[nodiscard]] FileDescriptor open_root(const std::string& path);

/// Opens `path` below `root`, itself not through a symbolic link and never waiting (a fifo that took a file's place must not hold us).
/// Paths longer than the kernel takes at once are gone down in steps, so depth costs no more than two descriptors. Throws IoError.
[[nodiscard]] FileDescriptor open_beneath(const FileDescriptor& root, const std::string& path, int extra_flags = 0);

/// Bytes outside printable ASCII as \xNN: file names may hold newlines and escape sequences, messages must not.
[[nodiscard]] std::string printable(const std::string& path);

/// "1.23 GB", in powers of 1000.
[[nodiscard]] std::string human_bytes(double bytes);

/// `value` with `digits` decimals.
[[nodiscard]] std::string decimal(double value, int digits);

}  // namespace demo
