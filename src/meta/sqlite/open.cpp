#include <fcntl.h>
#include <spdlog/fmt/fmt.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>

#include "core/shell_word.hpp"
#include "meta/sqlite/engine.hpp"
#include "meta/sqlite/readers.hpp"
#include "meta/sqlite/schema.hpp"
#include "meta/sqlite/wal_gather.hpp"
#include "meta/sqlite/writer.hpp"

namespace kiseki::meta::sqlite {
namespace {

constexpr unsigned kReaders = 2;

Failure refuse(int err, std::string why) { return {posix(err), std::move(why)}; }

Failure no_volume(const std::string& path) {
  auto url = shell_word("sqlite3://" + path);
  return refuse(ENOENT, fmt::format("no volume at {}; create one with `kiseki format {} NAME`", path, url));
}

/// What can be said before SQLite looks at the file.
Explained<void> look_at(const std::string& path, bool may_create) {
  struct stat st{};
  if (::stat(path.c_str(), &st) == 0) {
    if (S_ISDIR(st.st_mode)) return refuse(EISDIR, fmt::format("{} is a directory, not a SQLite file", path));
    return {};
  }
  int err = errno;
  if (err != ENOENT) return refuse(err, fmt::format("cannot open {}: {}", path, std::strerror(err)));
  if (!may_create) return no_volume(path);
  auto parent = std::filesystem::path(path).parent_path();
  if (!parent.empty() && !std::filesystem::is_directory(parent))
    return refuse(ENOENT, fmt::format("cannot create {}: there is no directory {}", path, parent.string()));
  return {};
}

/// SQLite makes files 0644; JuiceFS's are 0666 less the umask, so that a group may share a volume. True: made now.
Explained<void> create_file(const std::string& path, bool& created) {
  int fd = ::open(path.c_str(), O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0666);
  if (fd >= 0) {
    ::close(fd);
    created = true;
    return {};
  }
  if (errno == EEXIST) return {};
  return refuse(errno, fmt::format("cannot create {}: {}", path, std::strerror(errno)));
}

Failure explain(const SqlError& error, const std::string& path) {
  switch (error.code & 0xff) {
    case SQLITE_NOTADB:
      return refuse(EINVAL, fmt::format("{} is not a SQLite database", path));
    case SQLITE_CORRUPT:
      return refuse(EIO, fmt::format("{} is damaged ({}); restore it from a backup", path, error.message));
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
    case SQLITE_AUTH:
      return refuse(
          EACCES, fmt::format("cannot open {}: {}; is it readable, and its directory writable?", path, error.message));
    case SQLITE_READONLY:
      return refuse(EROFS, fmt::format("{} cannot be written by this user ({}): give it the file and its directory, or "
                                       "mount with --read-only",
                                       path, error.message));
    case SQLITE_BUSY:
      return refuse(ETIMEDOUT, fmt::format("{} is locked by another process", path));
    default:
      return refuse(to_errno(to_error(error.code)), fmt::format("cannot open {}: {}", path, error.message));
  }
}

void set_journal(Connection& db, const std::string& wanted) {
  std::string lower = wanted;
  for (auto& c : lower) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  if (db.ask("PRAGMA journal_mode") != lower) db.ask("PRAGMA journal_mode=" + wanted);
}

std::unique_ptr<Connection> connect(const Location& location, int flags, int cache_kib, const char* vfs = nullptr) {
  auto db = std::make_unique<Connection>(location.path, flags, location.prefix, vfs);
  sqlite3_busy_timeout(db->handle(), static_cast<int>(location.patience.count()));
  if (db->ask("PRAGMA encoding") != "UTF-8") throw SqlError{SQLITE_MISMATCH, "its text encoding is not UTF-8"};
  db->exec("PRAGMA synchronous=" + location.synchronous);
  db->exec(fmt::format("PRAGMA cache_size=-{}", cache_kib));
  db->exec("PRAGMA secure_delete=OFF");  // Debian's default zeroes what is deleted: pages written for nothing
  db->exec("PRAGMA temp_store=MEMORY");
  db->exec("PRAGMA journal_size_limit=67108864");  // a log that grew is cut back when it begins anew
  return db;
}

/// Counting every allocation costs a lock each, and nobody asks for the sums. Only possible before SQLite is first
/// used.
void configure_once() {
  static const int once = sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
  static_cast<void>(once);
}

}  // namespace

void Engine::start(OpenMode mode) {
  bool writes = mode != OpenMode::read_only;
  auto flags = writes ? SQLITE_OPEN_READWRITE : SQLITE_OPEN_READONLY;
  std::unique_ptr<Connection> writer;
  if (writes) {
    writer = connect(location_, flags, 16 << 10, gathering_vfs());
    writer->exec("PRAGMA cache_spill=OFF");
    writer->ask("SELECT count(*) FROM sqlite_master");  // not a database? say so before anything is changed
    set_journal(*writer, location_.journal);
  }
  std::vector<std::unique_ptr<Connection>> readers;
  for (unsigned i = 0; i < kReaders; ++i) readers.push_back(connect(location_, flags, 4 << 10));
  readers.front()->ask("SELECT count(*) FROM sqlite_master");
  coherence_->attach(writer ? *writer : *readers.front());
  readers_ = std::make_unique<Readers>(pool_, std::move(readers), *coherence_);
  if (writer) writer_ = std::make_unique<Writer>(std::move(writer), *coherence_, location_.patience);
}

Explained<std::shared_ptr<MetaEngine>> Engine::open(const Location& location, OpenMode mode, BlockingPool& pool) {
  configure_once();
  if (auto seen = look_at(location.path, mode == OpenMode::create); !seen) return seen.error();
  bool created = false;
  if (mode == OpenMode::create)
    if (auto made = create_file(location.path, created); !made) return made.error();
  try {
    if (mode != OpenMode::create) {
      Connection db(location.path, SQLITE_OPEN_READONLY, location.prefix);
      sqlite3_busy_timeout(db.handle(), static_cast<int>(location.patience.count()));
      if (!has_volume(db)) return no_volume(location.path);
    }
    std::shared_ptr<Engine> engine(new Engine(location, pool));
    engine->start(mode);
    return std::shared_ptr<MetaEngine>(std::move(engine));
  } catch (const SqlError& error) {
    if (created) ::unlink(location.path.c_str());
    return explain(error, location.path);
  }
}

}  // namespace kiseki::meta::sqlite
