#pragma once

#include "meta/sqlite/connection.hpp"

namespace kiseki::meta::sqlite {

/// Makes the tables, indexes and columns that are missing, as JuiceFS does at every mount; what is more is left alone.
/// In one transaction. Throws SqlError.
void make_schema(Connection& db);

/// Whether a volume was formatted here. Throws SqlError (SQLITE_NOTADB for a file that is no database).
bool has_volume(Connection& db);

}  // namespace kiseki::meta::sqlite
