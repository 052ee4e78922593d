#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "meta/commit.hpp"
#include "meta/redis/attr_bytes.hpp"
#include "meta/redis/key_names.hpp"
#include "net/redis/command.hpp"

namespace kiseki::meta::redis {

/// A commit as steps of the commit script: checks, a mark, writes. What depends on the order of the writes alone (a
/// patch behind an erasure, sums of a directory that is erased) is decided here, so that the script checks everything
/// before it writes anything.
class CommitSteps {
 public:
  CommitSteps(const KeyNames& names, const Commit& commit);

  /// KEYS: those that the record cache holds once this is done and, on a Cluster, all others too: a server whose slots
  /// are on the move looks at them before the script runs.
  net::redis::Strings keys() const { return {declared_.begin(), declared_.end()}; }
  net::redis::Strings attributes, counters;  ///< keys of what the steps look at: read together
  net::redis::Strings args;                  ///< the steps
  /// What the script answered of an applied commit, as the commit promises it: in the order of its writes.
  std::optional<std::vector<std::int64_t>> returned(std::string_view values) const;

 private:
  template <class... Args>
  void step(std::string_view op, std::vector<std::string> step_keys, Args... step_args);
  void check(const Check& check, const std::string& index);
  void unchanged(const Unchanged& check, const std::string& index);
  void attr_unchanged(const AttrUnchanged& check, const std::string& index);
  void field(const std::string& index, std::string key, std::string field, const std::optional<std::string>& seen);
  void hash(const std::string& index, std::string key, const std::string& kind,
            const std::vector<std::pair<std::string, std::string>>& seen);
  void quota_unchanged(const QuotaKey& key, const Quota* seen, const std::string& index);
  void dir_stat_unchanged(Ino ino, const DirStat* seen, const std::string& index);
  void session_unchanged(SessionId sid, const Session* seen, const std::string& index);

  void need_patched(const Commit& commit);
  void need_replaced(const Commit& commit);
  enum class Part { counters, attributes, rest };  ///< in this order
  static Part part_of(const Write& write);
  void write_all(const Commit& commit, Part part);

  void write(const PutAttr& w);
  void write(const PatchAttr& w);
  void write(const EraseAttr& w);
  void write(const PutEntry& w);
  void write(const EraseEntry& w);
  void write(const PutSymlink& w);
  void write(const EraseSymlink& w);
  void write(const PutXattr& w);
  void write(const EraseXattr& w);
  void write(const EraseXattrs& w);
  void write(const AddParent& w);
  void write(const AppendSlices& w);
  void write(const ReplaceSlices& w);
  void write(const EraseChunk& w);
  void write(const AddSliceRef& w);
  void write(const EraseSliceRef& w);
  void write(const AddCounter& w);
  void write(const PutCounter& w);
  void write(const AddDirStat& w);
  void write(const PutDirStat& w);
  void write(const EraseDirStat& w);
  void write(const PutQuota& w);
  void write(const AddQuotaUsage& w);
  void write(const EraseQuota& w);
  void write(const PutSession& w);
  void write(const EraseSession& w);
  void write(const PutSustained& w);
  void write(const EraseSustained& w);
  void write(const PutDeletedFile& w);
  void write(const EraseDeletedFile& w);
  void write(const PutDelayedSlices& w);
  void write(const EraseDelayedSlices& w);
  void write(const PutFileLock& w);
  void write(const EraseFileLock& w);
  void write(const PutRangeLocks& w);
  void write(const EraseLocksOf& w);
  void write(const InsertAcl& w);
  void write(const PutSetting& w);
  void finish();
  static void read(net::redis::Strings& list, std::string key);
  void cached(std::string key) { declared_.insert(std::move(key)); }
  void erase(std::string key);
  void ranges_step(std::string_view op, const std::string& key, const std::vector<ByteField>& ranges,
                   const std::string* index);

  struct SumChange {
    std::optional<DirStat> put;  ///< what it becomes first
    bool erased = false;         ///< or it goes first
    std::optional<DirStat> add;
  };
  void flush_sum(Ino ino, const SumChange& change);

  const KeyNames& names_;
  std::map<Ino, SumChange> sums_;
  std::vector<std::size_t> places_;  ///< of the values as the script returns them
  std::map<Ino, Attr> put_;          ///< as the writes so far put and patched them
  std::set<std::string> declared_;
  std::vector<std::string> erased_;  ///< keys that the script will erase, with others, at the end
};

}  // namespace kiseki::meta::redis
