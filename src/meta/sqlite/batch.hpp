#pragma once

#include <array>
#include <unordered_map>

#include "meta/sqlite/tables.hpp"

namespace kiseki::meta::sqlite {

/// A write met a record that is not as it must be, after others were written: the SQL transaction has to go.
struct LateConflict {};

/// Commits that share one SQL transaction, in order; each sees those before it. What many commits touch (counters,
/// directory statistics, the times of a parent) is read once, summed up here and written once, by `finish`. Every
/// member throws SqlError; after any exception the transaction must be rolled back.
///
/// What was read and written is remembered for the next transaction; `forget` it after an exception, and unless that
/// one begins where the last of ours ended.
class Batch {
 public:
  explicit Batch(Connection& db) : db_(db) {}

  void begin() { wrote_ = false; }
  void forget();

  /// Verifies every check before it writes anything, so that a conflict costs the others nothing.
  Outcome apply(const Commit& commit);  ///< throws LateConflict too
  void finish();
  bool wrote() const { return wrote_; }

 private:
  struct CounterNow {
    bool known = false, present = false, dirty = false;
    std::int64_t value = 0;
  };

  struct AttrNow {
    std::optional<Attr> attr;   ///< as it is now; nothing: there is no such inode
    std::uint32_t changed = 0;  ///< AttrField bits that are not in the table yet
  };

  bool holds(const Check& check);
  bool patches_hold(const Commit& commit);
  CounterNow& counter(Counter which);
  AttrNow& attr(Ino ino);
  void flush_attrs();
  void flush_attr(Ino ino, const AttrNow& now);
  void flush_dir_stat(Ino ino, DirStat delta);

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
  void write(const AddParent&) {}  // parents are found by the entries
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

  Connection& db_;
  bool wrote_ = false;
  Outcome* outcome_ = nullptr;  ///< of the commit that is being applied
  std::array<CounterNow, kCounters> counters_{};
  std::unordered_map<Ino, AttrNow> attrs_;      ///< what was looked at and written lately
  std::vector<Ino> patched_;                    ///< those of `attrs_` that are to be written
  std::unordered_map<Ino, DirStat> dir_stats_;  ///< sums not written yet
};

}  // namespace kiseki::meta::sqlite
