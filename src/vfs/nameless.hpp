#pragma once

#include <array>
#include <atomic>
#include <mutex>
#include <optional>
#include <unordered_map>
#include <unordered_set>

#include "core/ids.hpp"
#include "core/result.hpp"
#include "meta/attr.hpp"
#include "meta/ops.hpp"

namespace kiseki::vfs {

/// Attributes of what lost its last name through this mount while the kernel may still point at it: a working
/// directory, an open directory, an O_PATH descriptor. Their records are gone, but fstat(2) must go on; it is answered
/// from here until the kernel forgets the inode. Bounded: past the bound the latest are not remembered. Any thread.
class NamelessAttrs {
 public:
  void add(Ino ino, const meta::Attr& attr);
  std::optional<meta::Attr> find(Ino ino) const;
  /// fchmod and its kin of such a thing. Errors: ENOENT.
  Result<meta::Attr> change(Ino ino, const meta::AttrChange& change, Timestamp now);
  /// Newer attributes of one that is known: it was still open, and written, after its last name had gone.
  void renew(Ino ino, const meta::Attr& attr);
  void forget(Ino ino);

 private:
  static constexpr std::size_t kMostPerShard = 4096;
  struct Shard {
    mutable std::mutex guard;
    std::unordered_map<Ino, meta::Attr> inodes;
  };
  Shard& shard_of(Ino ino) const { return shards_[std::hash<Ino>()(ino) >> 60]; }
  mutable std::array<Shard, 16> shards_;
};

/// Inodes without a name that an earlier process of this mount may have left open: only the kernel knows, and says so
/// when it forgets them. Any thread.
class LeftOpen {
 public:
  void add(Ino ino);
  bool contains(Ino ino);
  bool take(Ino ino);  ///< whether it was there

 private:
  std::atomic<std::size_t> count_{0};  ///< mostly there are none
  std::mutex guard_;
  std::unordered_set<Ino> inodes_;
};

}  // namespace kiseki::vfs
