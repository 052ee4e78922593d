#include "meta/sqlite/connection.hpp"

#include "core/result.hpp"

namespace kiseki::meta::sqlite {
namespace {

std::string with_prefix(std::string_view sql, const std::string& prefix) {
  std::string out;
  for (std::size_t at = 0;;) {
    auto hole = sql.find("{P}", at);
    out += sql.substr(at, hole - at);
    if (hole == std::string_view::npos) return out;
    out += prefix;
    at = hole + 3;
  }
}

[[noreturn]] void fail(sqlite3* db, int code) {
  throw SqlError{db ? sqlite3_extended_errcode(db) : code, db ? sqlite3_errmsg(db) : sqlite3_errstr(code)};
}

}  // namespace

std::error_code to_error(int sqlite_code) {
  switch (sqlite_code & 0xff) {
    case SQLITE_FULL:
      return posix(ENOSPC);
    case SQLITE_READONLY:
      return posix(EROFS);
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return posix(ETIMEDOUT);
    case SQLITE_NOMEM:
      return posix(ENOMEM);
    default:
      return posix(EIO);
  }
}

bool Run::step() {
  auto code = sqlite3_step(statement_);
  if (code == SQLITE_ROW) return true;
  if (code != SQLITE_DONE) fail(db_, code);
  return false;
}

std::int64_t Run::done() {
  step();
  return sqlite3_changes64(db_);
}

Connection::Connection(const std::string& path, int flags, std::string prefix, const char* vfs)
    : prefix_(std::move(prefix)), statements_(std::size(kSqlTexts)) {
  auto code = sqlite3_open_v2(path.c_str(), &db_, flags | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, vfs);
  if (code == SQLITE_OK) return;
  SqlError error{code, db_ ? sqlite3_errmsg(db_) : sqlite3_errstr(code)};
  sqlite3_close_v2(db_);
  throw error;
}

Connection::~Connection() {
  statements_.clear();
  sqlite3_close_v2(db_);
}

Connection::Prepared Connection::prepare(std::string_view sql, unsigned flags) {
  auto text = with_prefix(sql, prefix_);
  sqlite3_stmt* statement = nullptr;
  auto code = sqlite3_prepare_v3(db_, text.c_str(), static_cast<int>(text.size() + 1), flags, &statement, nullptr);
  if (code != SQLITE_OK) fail(db_, code);
  return Prepared(statement);
}

sqlite3_stmt* Connection::prepared(Sql which) {
  auto& statement = statements_[static_cast<std::size_t>(which)];
  if (!statement) statement = prepare(kSqlTexts[static_cast<std::size_t>(which)], SQLITE_PREPARE_PERSISTENT);
  return statement.get();
}

Run Connection::run(Sql which) { return Run(db_, prepared(which)); }

void Connection::exec(std::string_view sql) {
  auto code = sqlite3_exec(db_, with_prefix(sql, prefix_).c_str(), nullptr, nullptr, nullptr);
  if (code != SQLITE_OK) fail(db_, code);
}

std::vector<std::string> Connection::ask_all(std::string_view sql) {
  auto statement = prepare(sql, 0);
  Run run(db_, statement.get());
  std::vector<std::string> rows;
  while (run.step()) rows.emplace_back(run.bytes_at(0));
  return rows;
}

std::string Connection::ask(std::string_view sql) {
  auto rows = ask_all(sql);
  return rows.empty() ? std::string() : std::move(rows.front());
}

int Connection::try_exec(const char* sql) noexcept { return sqlite3_exec(db_, sql, nullptr, nullptr, nullptr); }

void Connection::rollback() noexcept {
  if (!in_transaction()) return;
  try {
    run(Sql::rollback).done();
  } catch (const SqlError&) {
    try_exec("ROLLBACK");
  }
}

}  // namespace kiseki::meta::sqlite
