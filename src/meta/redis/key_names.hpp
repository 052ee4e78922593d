#pragma once

#include <string>
#include <string_view>

#include "meta/engine.hpp"
#include "meta/record.hpp"

namespace kiseki::meta::redis {

/// What the keys of a volume are called. Source: JuiceFS 1.4, pkg/meta/redis.go; FORMAT.md has the table.
class KeyNames {
 public:
  /// `prefix`: "{N}" on a Cluster, else empty.
  explicit KeyNames(std::string prefix) : prefix_(std::move(prefix)) {}

  const std::string& prefix() const { return prefix_; }
  bool clustered() const { return !prefix_.empty(); }

  std::string attr(Ino ino) const { return numbered("i", ino.value); }
  std::string entries(Ino dir) const { return numbered("d", dir.value); }
  std::string chunk(ChunkKey key) const { return numbered(chunks(key.ino), key.index.value, false); }
  std::string symlink(Ino ino) const { return numbered("s", ino.value); }
  std::string xattrs(Ino ino) const { return numbered("x", ino.value); }
  std::string parents(Ino ino) const { return numbered("p", ino.value); }
  std::string file_locks(Ino ino) const { return numbered("lockf", ino.value); }
  std::string range_locks(Ino ino) const { return numbered("lockp", ino.value); }
  std::string sustained(SessionId sid) const { return numbered("session", sid.value); }
  std::string locked(SessionId sid) const { return numbered("locked", sid.value); }
  std::string counter(Counter which) const;
  /// Any key with a name of its own: setting, acl, sliceRef ...
  std::string named(std::string_view name) const { return prefix_ + std::string(name); }

  /// What the keys of a file's chunks, of all attributes begin with.
  std::string chunks(Ino ino) const { return numbered("c", ino.value) + "_"; }
  std::string attrs() const { return prefix_ + "i"; }

  struct QuotaNames {
    std::string limits, space, inodes;
  };
  QuotaNames quotas(QuotaKind kind) const;
  struct DirStatNames {
    std::string lengths, space, inodes;
  };
  DirStatNames dir_stats() const { return {named("dirDataLength"), named("dirUsedSpace"), named("dirUsedInodes")}; }

  /// Tells the observer which records a changed key stands for; what no cache holds is passed over.
  void tell(std::string_view key, ChangeObserver& observer) const;
  /// The inode of a lock's key.
  std::optional<Ino> inode_of_lock(std::string_view key, std::string_view kind) const;

 private:
  std::string numbered(std::string_view kind, std::uint64_t number, bool prefixed = true) const;

  const std::string prefix_;
};

/// Next-id counters hold the last id handed out, one less than everywhere else.
constexpr std::int64_t stored_offset(Counter which) { return first_value(which); }

}  // namespace kiseki::meta::redis
