#include "object/file_listing.hpp"

#include <dirent.h>
#include <sys/stat.h>

#include <algorithm>
#include <memory>

#include "core/log.hpp"
#include "object/file_errors.hpp"

namespace kiseki::object {

namespace {

class Lister {
 public:
  Lister(const std::string& root, const std::string& prefix, const std::string& after, std::size_t limit,
         bool one_level)
      : root_(root), prefix_(prefix), after_(after), limit_(limit), one_level_(one_level) {}

  Result<ObjectPage> run() {
    auto slash = prefix_.rfind('/');
    auto start = slash == std::string::npos ? std::string() : prefix_.substr(0, slash + 1);
    TRY_CHECK(walk(start));
    return std::move(page_);
  }

 private:
  Result<std::vector<ObjectInfo>> children(const std::string& dir) {
    std::vector<ObjectInfo> found;
    std::unique_ptr<DIR, int (*)(DIR*)> handle(::opendir((root_ + dir).c_str()), ::closedir);
    if (!handle) {
      if (errno == ENOENT || errno == ENOTDIR) return found;  // an empty prefix, or gone meanwhile
      return object_error(errno);
    }
    while (const auto* entry = ::readdir(handle.get())) {
      std::string name = entry->d_name;
      if (name != "." && name != "..") add_child(dir + name, found);
    }
    std::sort(found.begin(), found.end(), [](const auto& a, const auto& b) { return a.key < b.key; });
    return found;
  }

  void add_child(std::string key, std::vector<ObjectInfo>& found) {
    struct stat info{};
    if (::stat((root_ + key).c_str(), &info) != 0) return;  // gone meanwhile, or a dangling symlink
    if (S_ISDIR(info.st_mode)) {
      found.push_back({key + "/", 0, info.st_mtime, true});
    } else if (S_ISREG(info.st_mode)) {
      found.push_back({std::move(key), static_cast<std::uint64_t>(info.st_size), info.st_mtime, false});
    } else {
      log::warn("object.list.special_file", {{"path", root_ + key}});
    }
  }

  bool full() const { return page_.more; }
  void emit(ObjectInfo& object) {
    if (page_.objects.size() == limit_) {
      page_.more = true;
    } else {
      page_.objects.push_back(std::move(object));
    }
  }
  /// Whether every key below directory key `dir` is at or before the point to go on after.
  bool passed(const std::string& dir) const { return after_ > dir && !after_.starts_with(dir); }

  Result<void> walk(const std::string& dir) {
    TRY(auto found, children(dir));
    for (auto& child : found) {
      if (full()) break;
      bool inside = child.key.starts_with(prefix_);
      if (child.is_prefix && !one_level_) {
        if ((inside || prefix_.starts_with(child.key)) && !passed(child.key)) TRY_CHECK(walk(child.key));
      } else if (inside && child.key > after_) {
        emit(child);
      }
    }
    return Result<void>{};
  }

  const std::string &root_, &prefix_, &after_;
  std::size_t limit_;
  bool one_level_;
  ObjectPage page_;
};

}  // namespace

Result<ObjectPage> list_files(const std::string& root, const std::string& prefix, const std::string& after,
                              std::size_t limit, const std::string& delimiter) {
  if (!delimiter.empty() && delimiter != "/") return make_error_code(ObjectErrc::bad_request);
  return Lister(root, prefix, after, limit, !delimiter.empty()).run();
}

}  // namespace kiseki::object
