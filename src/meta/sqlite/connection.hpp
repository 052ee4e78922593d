#pragma once

#include <sqlite3.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "meta/sqlite/statements.hpp"

namespace kiseki::meta::sqlite {

/// A statement failed, or a row is not what any client writes. Ends the SQL transaction it happened in; caught at the
/// two doors of the engine (a job of a reader, a batch of the writer) and nowhere else.
struct SqlError {
  int code = 0;  ///< extended SQLite result code
  std::string message;
};

/// What a result code means to a caller: SQLITE_FULL ENOSPC, READONLY EROFS, BUSY ETIMEDOUT, the rest EIO.
std::error_code to_error(int sqlite_code);

inline constexpr int kCorruptRecord = SQLITE_CORRUPT;

class Connection;

/// One execution of a prepared statement: bind in order, step, read columns; resets when it goes. What is bound as
/// bytes must live as long.
class Run {
 public:
  Run(sqlite3* db, sqlite3_stmt* statement) : db_(db), statement_(statement) {}
  Run(const Run&) = delete;
  ~Run() { sqlite3_reset(statement_); }

  Run& integer(std::int64_t value) {
    sqlite3_bind_int64(statement_, ++bound_, value);
    return *this;
  }
  Run& id(std::uint64_t value) { return integer(static_cast<std::int64_t>(value)); }
  Run& blob(std::string_view value) {
    sqlite3_bind_blob64(statement_, ++bound_, value.data() ? value.data() : "", value.size(), SQLITE_STATIC);
    return *this;
  }
  Run& text(std::string_view value) {
    sqlite3_bind_text64(statement_, ++bound_, value.data() ? value.data() : "", value.size(), SQLITE_STATIC,
                        SQLITE_UTF8);
    return *this;
  }

  /// True: there is a row. Throws SqlError.
  bool step();
  /// For statements without rows; how many rows changed.
  std::int64_t done();

  std::int64_t integer_at(int column) const { return sqlite3_column_int64(statement_, column); }
  std::uint64_t id_at(int column) const { return static_cast<std::uint64_t>(integer_at(column)); }
  std::uint32_t u32_at(int column) const { return static_cast<std::uint32_t>(integer_at(column)); }
  /// Bytes as they are, whatever the storage class; valid until the next step.
  std::string_view bytes_at(int column) const {
    auto* data = static_cast<const char*>(sqlite3_column_blob(statement_, column));
    auto size = static_cast<std::size_t>(sqlite3_column_bytes(statement_, column));
    return data ? std::string_view(data, size) : std::string_view();
  }

 private:
  sqlite3* db_;
  sqlite3_stmt* statement_;
  int bound_ = 0;
};

/// One SQLite connection with its prepared statements; used by one thread at a time.
class Connection {
 public:
  /// Throws SqlError. `flags`: SQLITE_OPEN_*; `vfs`: name of an SQLite VFS, null for the default.
  Connection(const std::string& path, int flags, std::string prefix, const char* vfs = nullptr);
  ~Connection();
  Connection(const Connection&) = delete;

  /// A statement of the list, prepared at its first use.
  Run run(Sql which);
  /// Text without parameters; `{P}` stands for the table prefix. Throws SqlError.
  void exec(std::string_view sql);
  /// First column of the first row, empty without a row. Throws SqlError.
  std::string ask(std::string_view sql);
  std::vector<std::string> ask_all(std::string_view sql);  ///< first column of every row

  /// As exec, but answers the code.
  int try_exec(const char* sql) noexcept;
  bool in_transaction() const noexcept { return sqlite3_get_autocommit(db_) == 0; }
  void rollback() noexcept;  ///< harmless outside a transaction

  sqlite3* handle() const noexcept { return db_; }
  const std::string& prefix() const { return prefix_; }

 private:
  struct Finalize {
    void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
  };
  using Prepared = std::unique_ptr<sqlite3_stmt, Finalize>;
  Prepared prepare(std::string_view sql, unsigned flags);
  sqlite3_stmt* prepared(Sql which);

  std::string prefix_;
  sqlite3* db_ = nullptr;
  std::vector<Prepared> statements_;
};

/// A transaction that only reads: one snapshot from its first statement to its end.
class Snapshot {
 public:
  explicit Snapshot(Connection& connection) : connection_(connection) { connection_.exec("BEGIN"); }
  ~Snapshot() { connection_.rollback(); }
  Snapshot(const Snapshot&) = delete;

 private:
  Connection& connection_;
};

}  // namespace kiseki::meta::sqlite
