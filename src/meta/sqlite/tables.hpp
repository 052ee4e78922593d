#pragma once

#include <optional>

#include "meta/engine.hpp"
#include "meta/sqlite/connection.hpp"

/// Records read through a connection, inside whatever transaction it is in. Everything here throws SqlError; a row that
/// no client writes is one, with kCorruptRecord.
namespace kiseki::meta::sqlite {

/// Text of a counter's row.
std::string_view counter_name(Counter which);

Record read(Connection& db, const Key& key);
std::optional<Attr> read_attr(Connection& db, Ino ino);
std::optional<Entry> read_entry(Connection& db, const EntryKey& key);
Slices read_chunk(Connection& db, ChunkKey key);
std::optional<std::int64_t> read_counter(Connection& db, Counter which);
std::optional<DirStat> read_dir_stat(Connection& db, Ino ino);
bool has_attr(Connection& db, Ino ino);

/// Sums over the children of a directory as its entries are now.
DirStat count_children(Connection& db, Ino dir);

/// Whether a check holds.
bool holds(Connection& db, const Check& check);

/// Binds the 18 columns of an attribute, in KISEKI_NODE_COLUMNS' order.
void bind_attr(Run& run, const Attr& attr);

EntryPage scan_entries(Connection& db, Ino dir, const std::string& cursor, std::size_t limit, bool with_attrs);
std::vector<StoredChunk> scan_chunks(Connection& db, Ino ino);
std::vector<ChunkIndex> find_chunks(Connection& db, Ino ino, ChunkIndex first, ChunkIndex end);
std::vector<std::pair<SessionId, Session>> scan_sessions(Connection& db);
SessionLocks scan_locks(Connection& db, SessionId sid);
std::vector<DeletedFile> scan_deleted_files(Connection& db, std::int64_t removed_before, std::size_t limit);
std::vector<std::pair<SliceId, SliceRef>> scan_dead_slices(Connection& db, std::size_t limit);
std::vector<DelayedSlices> scan_delayed_slices(Connection& db, std::int64_t replaced_before, std::size_t limit);
std::vector<std::pair<QuotaKey, Quota>> scan_quotas(Connection& db);
std::vector<std::pair<std::uint32_t, AclRule>> scan_acls(Connection& db);

}  // namespace kiseki::meta::sqlite
