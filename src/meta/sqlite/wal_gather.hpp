#pragma once

#include "meta/sqlite/connection.hpp"

namespace kiseki::meta::sqlite {

/// Name of an SQLite VFS that is the default one, but for how a connection writes its log: the frames of a commit leave
/// in one write(2), where SQLite makes two for each page. What stands in the files, the locks and the order of writes
/// and syncs stay the same. Null when it could not be registered: then the default VFS serves.
///
/// Whoever opens a connection with it keeps `PRAGMA cache_spill=OFF`, so that frames are written by COMMIT only, and
/// calls `discard_gathered` after a transaction that failed.
const char* gathering_vfs();

/// Frames that a failed COMMIT left ungiven must never reach the log: others may have written there since.
void discard_gathered(Connection& db) noexcept;

}  // namespace kiseki::meta::sqlite
