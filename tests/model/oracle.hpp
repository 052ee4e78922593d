#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "content.hpp"

/// POSIX on a plain tree in memory, written from the manual pages: shares no code with the implementation.
namespace kiseki::model {

enum class Kind { file = 1, directory = 2, symlink = 3, fifo = 4, char_device = 6 };

struct Time {
  std::int64_t sec = 0;
  std::uint32_t nsec = 0;
  friend auto operator<=>(const Time&, const Time&) = default;
};

struct Node {
  Kind kind = Kind::file;
  unsigned mode = 0, uid = 0, gid = 0, flags = 0;  ///< flags: 1 immutable, 2 append
  unsigned links = 0;
  std::uint64_t length = 0;
  Time atime, mtime, ctime;
  std::string target;
  std::map<std::string, std::string> xattrs;
  Content content;
  std::map<std::string, int> names;  ///< of a directory
  int above = -1;                    ///< of a directory
  bool alive = true;
  bool in_trash = false;    ///< its only name lies in the trash
  bool many_names = false;  ///< ever had a second name
  int kept_by = -1;         ///< client that holds it open after its last name went
};

/// Nodes are named by the order of their making; 0 is the root. Every operation answers an errno; 0 is success.
class Oracle {
 public:
  Oracle(bool trash, Time now);
  void set_now(Time now) { now_ = now; }
  const Node& node(int n) const { return nodes_[static_cast<std::size_t>(n)]; }
  int size() const { return static_cast<int>(nodes_.size()); }
  std::optional<int> child(int dir, const std::string& name) const;
  void open(int client, int n) { open_.insert({client, n}); }
  bool is_open(int client, int n) const { return open_.contains({client, n}); }
  /// True: the client kept it, and must let it go now.
  bool close(int client, int n);

  int make(int client, int parent, const std::string& name, Kind kind, unsigned mode, unsigned uid, unsigned gid,
           const std::string& target);
  int make_nameless(int client, int parent, unsigned mode);
  int link(int client, int n, int parent, const std::string& name);
  int unlink(int client, int parent, const std::string& name);
  int rmdir(int parent, const std::string& name);
  int rename(int client, int from, const std::string& name, int to, const std::string& to_name, unsigned flags);

  int chmod(int n, unsigned mode);
  int chown(int n, unsigned uid, unsigned gid);
  int utimes(int n, Time atime, Time mtime);
  int chattr(int n, unsigned flags);
  int truncate(int n, std::uint64_t length);
  int fallocate(int n, unsigned mode, std::uint64_t offset, std::uint64_t length);
  int write(int n, std::uint64_t offset, std::uint64_t length, std::uint64_t slice);
  int copy(int in, std::uint64_t in_offset, int out, std::uint64_t out_offset, std::uint64_t length);
  int set_xattr(int n, const std::string& name, const std::string& value, unsigned flags);
  int get_xattr(int n, const std::string& name, std::string& value) const;
  int remove_xattr(int n, const std::string& name);
  int readlink(int n, std::string& target) const;

 private:
  Node& at(int n) { return nodes_[static_cast<std::size_t>(n)]; }
  int add(Node node);
  int may_add_to(int parent) const;
  int may_take_from(int parent) const;
  int new_name(const std::string& name) const;
  void touch(int dir);
  bool below(int n, int top) const;
  /// One name of a node goes (the entry itself is the caller's).
  void lose_name(int client, int parent, const std::string& name, int n);
  int may_set(int n, bool explicit_change) const;

  const bool trash_;
  Time now_;
  std::vector<Node> nodes_;
  std::set<std::pair<int, int>> open_;
  std::set<std::string> trash_names_;
};

}  // namespace kiseki::model
