#include "demo_walk.hpp"

#include <algorithm>
#include <cerrno>
#include <memory>
#include <numeric>
#include <unordered_map>
#include <utility>

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

namespace demo {

namespace {

struct CloseDirectory {
  void operator()(DIR* directory) const noexcept { ::closedir(directory); }
};
using Directory = std::unique_ptr<DIR, CloseDirectory>;

Directory open_directory(const Tree& tree, const std::string& path) {
  FileDescriptor descriptor = open_beneath(tree.root, path.empty() ? "." : path, O_DIRECTORY);
  Directory directory(::fdopendir(descriptor.get()));
  if (!directory) throw IoError{errno};
  static_cast<void>(descriptor.release());  // closedir() closes it
  return directory;
}

std::string join(const std::string& directory, std::string_view name) {
  return directory.empty() ? std::string(name) : (directory + '/').append(name);
}

/// Extensions as they are met, all of them, until it is known which are frequent.
class Extensions {
 public:
  std::uint32_t id_of(const std::string& extension) {
    const auto [place, is_new] = ids_.try_emplace(extension, static_cast<std::uint32_t>(counts_.size()));
    if (is_new) counts_.push_back(0);
    ++counts_[place->second];
    return place->second;
  }

  /// Leaves the most frequent ones in `tree`, and "other" for the rest.
  void settle(Tree& tree) const {
    std::vector<std::pair<std::string, std::uint32_t>> ranked(ids_.begin(), ids_.end());
    std::sort(ranked.begin(), ranked.end(), [this](const auto& a, const auto& b) {
      return counts_[a.second] != counts_[b.second] ? counts_[a.second] > counts_[b.second] : a.first < b.first;
    });
    std::vector<std::uint32_t> new_ids(ranked.size());
    for (const auto& [extension, id] : ranked) {
      const std::string& name = tree.extensions.size() + 1 < kMaxExtensions ? extension : kOther;
      const auto known = std::find(tree.extensions.begin(), tree.extensions.end(), name);
      new_ids[id] = static_cast<std::uint32_t>(known - tree.extensions.begin());
      if (known == tree.extensions.end()) tree.extensions.push_back(name);
    }
    for (File& file : tree.files) file.extension = new_ids[file.extension];
  }

  inline static const std::string kOther = "other";

 private:
  std::unordered_map<std::string, std::uint32_t> ids_;
  std::vector<std::uint64_t> counts_;
};

struct Walker {
  Tree& tree;
  JobCounts& counts;
  ErrorLog& errors;
  Extensions extensions{};

  void visit_directory(std::uint32_t index) {
    const std::string path = tree.directories[index];  // a copy: visiting entries makes that vector grow
    try {
      const Directory directory = open_directory(tree, path);
      for (;;) {
        errno = 0;
        const dirent* const entry = ::readdir(directory.get());
        if (entry == nullptr && errno != 0) throw IoError{errno};
        if (entry == nullptr) return;
        visit_entry(::dirfd(directory.get()), index, path, *entry);
      }
    } catch (const IoError& error) {
      errors.add(path.empty() ? "." : path, error.error_number);
    }
  }

  void visit_entry(int directory, std::uint32_t index, const std::string& path, const dirent& entry) {
    const std::string_view name = entry.d_name;
    if (name == "." || name == "..") return;
    const bool is_unknown = entry.d_type == DT_UNKNOWN;
    if (!is_unknown && entry.d_type != DT_REG && entry.d_type != DT_DIR) return;
    struct stat status {};
    if (is_unknown || entry.d_type == DT_REG) {
      const bool failed = ::fstatat(directory, entry.d_name, &status, AT_SYMLINK_NOFOLLOW) != 0;
      // A file whose size cannot be told is still a file: reading it will tell why. A thing of unknown type is nothing to go on with.
      if (failed && is_unknown) return errors.add(join(path, name), errno);
    }
    if (entry.d_type == DT_DIR || (is_unknown && S_ISDIR(status.st_mode))) {
      tree.directories.push_back(join(path, name));
    } else if (!is_unknown || S_ISREG(status.st_mode)) {
      add_file(index, name, static_cast<std::uint64_t>(status.st_size));
    }
  }

  void add_file(std::uint32_t directory, std::string_view name, std::uint64_t size) {
    tree.files.push_back({size, tree.names.size(), directory, extensions.id_of(extension_of(name))});
    tree.names.append(name).push_back('\0');
    tree.bytes += size;
    counts.found_files.add(1);
    counts.found_bytes.add(size);
  }
};

}  // namespace

void Tree::path_of(const File& file, std::string& path) const {
  path = directories[file.directory];
  if (!path.empty()) path += '/';
  path += names.c_str() + file.name_at;
}

std::string extension_of(std::string_view name) {
  const std::size_t dot = name.rfind('.');
  if (dot == std::string_view::npos || dot == 0 || dot + 1 == name.size()) return "none";  // ".bashrc" is a name, not an extension
  std::string extension(name.substr(dot + 1));
  const bool is_printable = std::all_of(extension.begin(), extension.end(), [](char c) { return c > 0x20 && c < 0x7f; });
  if (extension.size() > 16 || !is_printable) return Extensions::kOther;
  for (char& c : extension) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return extension;
}

Tree walk(FileDescriptor root, JobCounts& counts, ErrorLog& errors) {
  Tree tree;
  tree.root = std::move(root);
  tree.directories.emplace_back();
  Walker walker{tree, counts, errors};
  for (std::uint32_t next = 0; next < tree.directories.size(); ++next) walker.visit_directory(next);
  walker.extensions.settle(tree);
  counts.begin_hashing();
  return tree;
}

}  // namespace demo
