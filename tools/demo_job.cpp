#include "demo_job.hpp"

#include "demo_probe.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <future>
#include <memory>
#include <new>
#include <string>
#include <system_error>
#include <vector>

#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

namespace demo {

namespace {

constexpr std::uint64_t kBlockBytes = 64 * 1024;

/// Files that claim no size may have content (those of /proc do) or have no end. This much of them is read.
constexpr std::uint64_t kMaxUnsizedBytes = std::uint64_t{64} << 20;

struct FreeState {
  void operator()(XXH3_state_t* state) const noexcept { XXH3_freeState(state); }
};

/// Hashes one file after another with the same memory. Owner thread only.
class FileHasher {
 public:
  explicit FileHasher(const Tree& tree) : tree_(tree) {
    if (!state_) throw std::bad_alloc();
  }

  /// The file's share of the digest. Never reads past the size that the file had when it was opened, so one that grows as fast as it is
  /// read has an end too. Throws IoError, std::bad_alloc; bytes() is right even then.
  template <class Lane>
  std::uint64_t hash(const File& file, const Lane& lane, JobCounts::Worker& counts) {
    bytes_ = blocks_ = 0;
    tree_.path_of(file, path_);
    const FileDescriptor opened = open_beneath(tree_.root, path_);
    const std::uint64_t size = size_of(opened);
    const std::uint64_t end = size != 0 ? size : kMaxUnsizedBytes;
    XXH3_64bits_reset(state_.get());
    while (bytes_ < end) {
      auto timer = lane.time_block();
      const std::size_t got = read_block(opened, std::min(kBlockBytes, end - bytes_), timer);
      if (got == 0) break;
      XXH3_64bits_update(state_.get(), block_->data(), got);
      bytes_ += got;
      ++blocks_;
      counts.bytes.add(got);
    }
    if (size == 0 && bytes_ == end) throw IoError{EFBIG};
    return with_path(XXH3_64bits_digest(state_.get()));
  }

  [[nodiscard]] std::uint64_t bytes() const noexcept { return bytes_; }
  [[nodiscard]] std::uint64_t blocks() const noexcept { return blocks_; }
  [[nodiscard]] const std::string& path() const noexcept { return path_; }

 private:
  static std::uint64_t size_of(const FileDescriptor& opened) {
    struct stat status {};
    if (::fstat(opened.get(), &status) != 0) throw IoError{errno};
    if (!S_ISREG(status.st_mode)) throw IoError{ESTALE};  // something else has taken its place since the walk
    return static_cast<std::uint64_t>(status.st_size);
  }

  /// Only what was read counts as a block.
  template <class Scope>
  std::size_t read_block(const FileDescriptor& opened, std::uint64_t most, Scope& timer) {
    for (;;) {
      const ssize_t got = ::read(opened.get(), block_->data(), most);
      if (got > 0) return static_cast<std::size_t>(got);
      if (got < 0 && errno == EINTR) continue;
      timer.cancel();
      if (got < 0) throw IoError{errno};
      return 0;
    }
  }

  [[nodiscard]] std::uint64_t with_path(XXH64_hash_t content) const {
    XXH64_canonical_t bytes;  // so that the digest is the same on every machine
    XXH64_canonicalFromHash(&bytes, content);
    return XXH3_64bits_withSeed(&bytes, sizeof(bytes), XXH3_64bits(path_.data(), path_.size()));
  }

  using Block = std::array<char, kBlockBytes>;

  const Tree& tree_;
  std::unique_ptr<XXH3_state_t, FreeState> state_{XXH3_createState()};
  std::unique_ptr<Block> block_ = std::make_unique<Block>();
  std::string path_;
  std::uint64_t bytes_ = 0, blocks_ = 0;
};

/// One file, start to end, whatever happens on the way.
template <class Lane>
void process(const File& file, FileHasher& hasher, const Lane& lane, JobCounts::Worker& counts, JobResult& result, ErrorLog& errors) {
  const auto fail = [&](int error_number) {
    ++result.failed;
    lane.failed(file, hasher.bytes(), error_number);
    errors.add(hasher.path(), error_number);
  };
  lane.file_begins();
  try {
    [[maybe_unused]] const auto timer = lane.time_file();
    result.digest += hasher.hash(file, lane, counts);
    lane.hashed(file, hasher.bytes());
  } catch (const IoError& error) {
    fail(error.error_number);
  } catch (const std::bad_alloc&) {
    fail(ENOMEM);
  }
  lane.file_ends();
  ++result.files;
  result.bytes += hasher.bytes();
  result.blocks += hasher.blocks();
  counts.files.add(1);
}

template <class Probe>
JobResult work(const Tree& tree, unsigned worker, std::atomic<std::size_t>& next, Probe& probe, JobCounts& counts, ErrorLog& errors) {
  JobResult result;
  FileHasher hasher(tree);
  const auto lane = probe.lane(worker);
  for (;;) {
    const std::size_t mine =
        next.fetch_add(1, std::memory_order_relaxed);  // [relaxed: gives each index to one; the tree was there before the threads]
    if (mine >= tree.files.size()) return result;
    process(tree.files[mine], hasher, lane, counts.workers[worker], result, errors);
  }
}

}  // namespace

JobResult& JobResult::operator+=(const JobResult& other) noexcept {
  files += other.files;
  failed += other.failed;
  bytes += other.bytes;
  blocks += other.blocks;
  digest += other.digest;
  return *this;
}

template <class Probe>
JobResult hash_tree(const Tree& tree, unsigned threads, Probe& probe, JobCounts& counts, ErrorLog& errors) {
  std::atomic<std::size_t> next = 0;
  std::vector<std::future<JobResult>> workers;
  workers.reserve(threads);
  try {
    for (unsigned i = 0; i < threads; ++i) {
      workers.push_back(std::async(std::launch::async, [&, i] { return work(tree, i, next, probe, counts, errors); }));
    }
  } catch (const std::system_error&) {
    if (workers.empty()) throw;
  }
  JobResult total;
  for (std::future<JobResult>& worker : workers) total += worker.get();
  return total;
}

template JobResult hash_tree(const Tree&, unsigned, PepperProbe&, JobCounts&, ErrorLog&);
template JobResult hash_tree(const Tree&, unsigned, NoProbe&, JobCounts&, ErrorLog&);

}  // namespace demo
