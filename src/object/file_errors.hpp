#pragma once

#include <cerrno>

#include "object/store.hpp"

namespace kiseki::object {

/// What an errno of the host's file system means for an object.
inline std::error_code object_error(int err) {
  switch (err) {
    case ENOENT:
    case ENOTDIR:
      return ObjectErrc::not_found;
    case EACCES:
    case EPERM:
    case EROFS:
      return ObjectErrc::access_denied;
    case ENOSPC:
    case EDQUOT:
      return ObjectErrc::no_space;
    case EISDIR:
    case EINVAL:
    case ENAMETOOLONG:
    case ELOOP:
      return ObjectErrc::bad_request;
    default:
      return ObjectErrc::unavailable;
  }
}

/// A descriptor that closes itself.
class FileDescriptor {
 public:
  explicit FileDescriptor(int fd) : fd_(fd) {}
  ~FileDescriptor();
  FileDescriptor(const FileDescriptor&) = delete;
  explicit operator bool() const { return fd_ >= 0; }
  int get() const { return fd_; }
  /// Closes now; what the kernel kept back until close (a full remote disk) shows here. Returns an errno or 0.
  int close();

 private:
  int fd_;
};

/// Reads until `into` is full or the file ends. Returns bytes or an object error.
Result<std::size_t> read_fully(int fd, std::uint64_t offset, std::span<std::byte> into);

}  // namespace kiseki::object
