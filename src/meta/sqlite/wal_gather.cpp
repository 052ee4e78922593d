#include "meta/sqlite/wal_gather.hpp"

#include <algorithm>
#include <cstring>
#include <new>
#include <vector>

namespace kiseki::meta::sqlite {
namespace {

constexpr char kName[] = "kiseki-gather";
constexpr int kFrameHeaderBytes = 24;            // https://sqlite.org/fileformat2.html#the_write_ahead_log
constexpr std::size_t kMostGathered = 1u << 20;  // then frames leave before their commit is complete
constexpr std::size_t kMostWritten = 96 << 10;   // SQLite's own VFS masks the size of a write with 0x1ffff
constexpr int kKeepsGoing = SQLITE_OK;

sqlite3_vfs* g_base = nullptr;

/// A log being written. Lives in memory SQLite gave; the file of the default VFS lies behind it.
struct GatherFile {
  sqlite3_file file;  // first: SQLite knows us by this
  std::vector<char> gathered;
  sqlite3_int64 begins = 0;  ///< offset of the first gathered byte
  bool last_page_follows = false;

  sqlite3_file* real() { return reinterpret_cast<sqlite3_file*>(this + 1); }
  sqlite3_int64 ends() const { return begins + static_cast<sqlite3_int64>(gathered.size()); }

  void discard() {
    gathered.clear();
    last_page_follows = false;
  }

  int flush() {
    if (gathered.empty()) return SQLITE_OK;
    int code = SQLITE_OK;
    for (std::size_t done = 0; done < gathered.size() && code == SQLITE_OK;) {
      auto step = std::min(gathered.size() - done, kMostWritten);
      code = real()->pMethods->xWrite(real(), gathered.data() + done, static_cast<int>(step),
                                      begins + static_cast<sqlite3_int64>(done));
      done += step;
    }
    discard();  // written, or the transaction fails
    return code;
  }

  int pass_on(const void* data, int bytes, sqlite3_int64 at) {
    if (int code = flush(); code != SQLITE_OK) return code;
    return real()->pMethods->xWrite(real(), data, bytes, at);
  }

  /// The header of a frame, then its page, frame after frame; the header of the last says how large the database is.
  int write(const void* data, int bytes, sqlite3_int64 at) {
    bool is_header = bytes == kFrameHeaderBytes;
    if (gathered.empty() ? !is_header : at != ends()) return pass_on(data, bytes, at);
    if (gathered.empty()) begins = at;
    auto* from = static_cast<const char*>(data);
    try {
      gathered.insert(gathered.end(), from, from + bytes);
    } catch (const std::bad_alloc&) {
      discard();
      return SQLITE_NOMEM;
    }
    if (is_header) {
      std::uint32_t pages = 0;
      std::memcpy(&pages, from + 4, sizeof pages);
      last_page_follows = pages != 0;
      return kKeepsGoing;
    }
    return last_page_follows || gathered.size() >= kMostGathered ? flush() : kKeepsGoing;
  }
};

GatherFile& of(sqlite3_file* file) { return *reinterpret_cast<GatherFile*>(file); }

/// Every other call first gives what was gathered.
template <class F>
int after_flush(sqlite3_file* file, F call) {
  auto& self = of(file);
  if (int code = self.flush(); code != SQLITE_OK) return code;
  return call(self.real());
}

int close(sqlite3_file* file) {
  auto& self = of(file);
  auto* real = self.real();
  int code = real->pMethods->xClose(real);
  self.~GatherFile();
  return code;
}
int read(sqlite3_file* file, void* into, int bytes, sqlite3_int64 at) {
  return after_flush(file, [&](sqlite3_file* real) { return real->pMethods->xRead(real, into, bytes, at); });
}
int write(sqlite3_file* file, const void* data, int bytes, sqlite3_int64 at) { return of(file).write(data, bytes, at); }
int truncate(sqlite3_file* file, sqlite3_int64 bytes) {
  return after_flush(file, [&](sqlite3_file* real) { return real->pMethods->xTruncate(real, bytes); });
}
int sync(sqlite3_file* file, int flags) {
  return after_flush(file, [&](sqlite3_file* real) { return real->pMethods->xSync(real, flags); });
}
int file_size(sqlite3_file* file, sqlite3_int64* bytes) {
  return after_flush(file, [&](sqlite3_file* real) { return real->pMethods->xFileSize(real, bytes); });
}
int lock(sqlite3_file* file, int level) { return of(file).real()->pMethods->xLock(of(file).real(), level); }
int unlock(sqlite3_file* file, int level) { return of(file).real()->pMethods->xUnlock(of(file).real(), level); }
int reserved(sqlite3_file* file, int* out) {
  return of(file).real()->pMethods->xCheckReservedLock(of(file).real(), out);
}
int control(sqlite3_file* file, int what, void* argument) {
  return of(file).real()->pMethods->xFileControl(of(file).real(), what, argument);
}
int sector_size(sqlite3_file* file) { return of(file).real()->pMethods->xSectorSize(of(file).real()); }
int characteristics(sqlite3_file* file) { return of(file).real()->pMethods->xDeviceCharacteristics(of(file).real()); }

const sqlite3_io_methods kMethods = {
    .iVersion = 1,  // a log is neither mapped nor shared memory
    .xClose = close,
    .xRead = read,
    .xWrite = write,
    .xTruncate = truncate,
    .xSync = sync,
    .xFileSize = file_size,
    .xLock = lock,
    .xUnlock = unlock,
    .xCheckReservedLock = reserved,
    .xFileControl = control,
    .xSectorSize = sector_size,
    .xDeviceCharacteristics = characteristics,
    .xShmMap = nullptr,
    .xShmLock = nullptr,
    .xShmBarrier = nullptr,
    .xShmUnmap = nullptr,
    .xFetch = nullptr,
    .xUnfetch = nullptr,
};

int open(sqlite3_vfs*, const char* path, sqlite3_file* file, int flags, int* out_flags) {
  if (!(flags & SQLITE_OPEN_WAL)) return g_base->xOpen(g_base, path, file, flags, out_flags);
  auto* self = new (file) GatherFile{};
  int code = g_base->xOpen(g_base, path, self->real(), flags, out_flags);
  if (self->real()->pMethods) {
    self->file.pMethods = &kMethods;
  } else {  // SQLite will not close it
    self->~GatherFile();
    file->pMethods = nullptr;
  }
  return code;
}

}  // namespace

const char* gathering_vfs() {
  static sqlite3_vfs vfs{};
  static const bool registered = [] {
    g_base = sqlite3_vfs_find(nullptr);
    if (!g_base) return false;
    vfs = *g_base;  // all but opening is the default's own
    vfs.zName = kName;
    vfs.szOsFile = g_base->szOsFile + static_cast<int>(sizeof(GatherFile));
    vfs.pNext = nullptr;
    vfs.xOpen = open;
    return sqlite3_vfs_register(&vfs, 0) == SQLITE_OK;
  }();
  return registered ? kName : nullptr;
}

void discard_gathered(Connection& db) noexcept {
  sqlite3_file* log = nullptr;
  auto asked = sqlite3_file_control(db.handle(), "main", SQLITE_FCNTL_JOURNAL_POINTER, static_cast<void*>(&log));
  if (asked != SQLITE_OK || !log) return;
  if (log->pMethods == &kMethods) of(log).discard();
}

}  // namespace kiseki::meta::sqlite
