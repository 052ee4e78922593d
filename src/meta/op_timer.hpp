#pragma once

#include <chrono>
#include <cstddef>

namespace kiseki::meta {

/// Operations by the names JuiceFS counts them under.
enum class OpName : std::size_t {
  lookup,
  getattr,
  setattr,
  truncate,
  fallocate,
  mknod,
  link,
  unlink,
  rmdir,
  rename,
  readlink,
  read,
  write,
  copy_range,
  readdir,
  set_xattr,
  get_xattr,
  list_xattr,
  remove_xattr,
  get_acl,
  set_acl,
  statfs,
  count_  ///< how many there are
};

/// One operation under way: counted, with its time, when it goes out of scope.
class OpTimer {
 public:
  explicit OpTimer(OpName name) : name_(name), began_(std::chrono::steady_clock::now()) {}
  OpTimer(const OpTimer&) = delete;
  ~OpTimer();

 private:
  OpName name_;
  std::chrono::steady_clock::time_point began_;
};

}  // namespace kiseki::meta
