#include "object/file_store.hpp"

#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <random>

#include "core/async.hpp"
#include "object/file_errors.hpp"
#include "object/file_listing.hpp"

namespace kiseki::object {

FileDescriptor::~FileDescriptor() { close(); }

int FileDescriptor::close() {
  if (fd_ < 0) return 0;
  int failed = ::close(fd_);
  fd_ = -1;
  return failed && errno != EINTR ? errno : 0;
}

Result<std::size_t> read_fully(int fd, std::uint64_t offset, std::span<std::byte> into) {
  std::size_t done = 0;
  while (done < into.size()) {
    auto got = ::pread(fd, into.data() + done, into.size() - done, static_cast<off_t>(offset + done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return object_error(errno);
    if (got == 0) break;
    done += static_cast<std::size_t>(got);
  }
  return done;
}

namespace {

/// Makes every missing directory of `path` up to its last slash.
int make_parents(const std::string& path) {
  for (auto slash = path.find('/', 1); slash != std::string::npos; slash = path.find('/', slash + 1)) {
    if (::mkdir(path.substr(0, slash).c_str(), 0777) != 0 && errno != EEXIST) return errno;
  }
  return 0;
}

/// `.jfs.<name>.tmp.<number>` beside the target, as JuiceFS names them (its gc knows leftovers by this form).
std::string temporary_path(const std::string& target) {
  thread_local std::mt19937_64 random{std::random_device{}()};
  auto name_at = target.rfind('/') + 1;
  return target.substr(0, name_at) + ".jfs." + target.substr(name_at, 200) + ".tmp." + std::to_string(random() >> 1);
}

int write_fully(int fd, const Body& body) {
  std::vector<iovec> left;
  left.reserve(body.pieces.size());
  for (auto piece : body.pieces)
    if (!piece.empty()) left.push_back({const_cast<std::byte*>(piece.data()), piece.size()});
  for (std::size_t at = 0; at < left.size();) {
    auto count = std::min<std::size_t>(left.size() - at, IOV_MAX);
    auto wrote = ::writev(fd, left.data() + at, static_cast<int>(count));
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote < 0) return errno;
    for (auto n = static_cast<std::size_t>(wrote); n > 0;) {
      auto step = std::min(n, left[at].iov_len);
      left[at].iov_base = static_cast<std::byte*>(left[at].iov_base) + step;
      left[at].iov_len -= step;
      n -= step;
      if (left[at].iov_len == 0) ++at;
    }
  }
  return 0;
}

int open_new(const std::string& path) {
  constexpr int flags = O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC;
  int fd = ::open(path.c_str(), flags, 0666);
  if (fd >= 0 || errno != ENOENT) return fd;
  if (int err = make_parents(path)) return errno = err, -1;
  return ::open(path.c_str(), flags, 0666);
}

Result<void> put_file(const std::string& target, const Body& body) {
  if (target.ends_with('/')) {
    if (int err = make_parents(target)) return object_error(err);
    return Result<void>{};
  }
  auto temporary = temporary_path(target);
  FileDescriptor file(open_new(temporary));
  // A missing parent that cannot be made is the store's trouble, not an absent object.
  if (!file) return errno == ENOENT ? make_error_code(ObjectErrc::unavailable) : object_error(errno);
  int err = write_fully(file.get(), body);
  if (int late = file.close(); !err) err = late;
  if (!err && ::rename(temporary.c_str(), target.c_str()) != 0) err = errno;
  if (!err) return Result<void>{};
  ::unlink(temporary.c_str());
  return object_error(err);
}

Result<std::size_t> get_file(const std::string& path, std::uint64_t offset, std::span<std::byte> into) {
  FileDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file) return object_error(errno);
  return read_fully(file.get(), offset, into);
}

Result<void> remove_file(const std::string& path) {
  int failed = path.ends_with('/') ? ::rmdir(path.c_str()) : ::unlink(path.c_str());
  if (!failed || errno == ENOENT || errno == ENOTDIR) return Result<void>{};
  return object_error(errno);
}

Result<ObjectInfo> head_file(const std::string& root, const ObjectKey& key) {
  struct stat info{};
  if (::stat((root + key).c_str(), &info) != 0) return object_error(errno);
  bool is_dir = S_ISDIR(info.st_mode);
  return ObjectInfo{key, is_dir ? 0 : static_cast<std::uint64_t>(info.st_size), info.st_mtime, is_dir};
}

}  // namespace

Async<std::size_t> FileStore::get(ObjectKey key, std::uint64_t offset, std::span<std::byte> into) {
  auto job = [path = root_ + key, offset, into] { return get_file(path, offset, into); };
  co_return co_await run_blocking(pool_, std::move(job));
}

Async<void> FileStore::put(ObjectKey key, Body body) {
  auto job = [path = root_ + key, body = std::move(body)] { return put_file(path, body); };
  co_return co_await run_blocking(pool_, std::move(job));
}

Async<void> FileStore::remove(ObjectKey key) {
  auto job = [path = root_ + key] { return remove_file(path); };
  co_return co_await run_blocking(pool_, std::move(job));
}

Async<ObjectInfo> FileStore::head(ObjectKey key) {
  auto job = [root = root_, key = std::move(key)] { return head_file(root, key); };
  co_return co_await run_blocking(pool_, std::move(job));
}

Async<ObjectPage> FileStore::list(std::string prefix, std::string after, std::size_t limit, std::string delimiter) {
  auto job = [root = root_, prefix = std::move(prefix), after = std::move(after), limit,
              delimiter = std::move(delimiter)] { return list_files(root, prefix, after, limit, delimiter); };
  co_return co_await run_blocking(pool_, std::move(job));
}

Async<void> FileStore::create() {
  auto job = [root = root_]() -> Result<void> {
    if (int err = make_parents(root)) return object_error(err);
    return Result<void>{};
  };
  co_return co_await run_blocking(pool_, std::move(job));
}

}  // namespace kiseki::object
