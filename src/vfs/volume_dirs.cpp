// Directories: opendir, readdir, and where a listing stands.
#include <cerrno>

#include "vfs/internal_files.hpp"
#include "vfs/volume.hpp"

namespace kiseki::vfs {

namespace {

constexpr std::size_t kPageEntries = 4096;
// Cookies: 1 and 2 are "." and "..", entry i is kFirstEntry + i, internal files of the root lie far behind. A cookie
// names the entry it follows.
constexpr std::uint64_t kFirstEntry = 3;
constexpr std::uint64_t kFirstInternal = std::uint64_t{1} << 62;

struct InternalName {
  std::string_view name;
  Ino ino;
  meta::FileType type;
};
constexpr InternalName kListed[] = {{".config", kConfigIno, meta::FileType::file},
                                    {".stats", kStatsIno, meta::FileType::file},
                                    {".trash", kTrashIno, meta::FileType::directory}};

}  // namespace

Answer<OpenReply> Volume::opendir(Caller, Ino kernel, std::uint32_t) {
  auto dir = std::make_shared<DirHandle>();
  dir->ino = inside(kernel);
  return Result<OpenReply>(
      OpenReply{.handle = dirs_.add(std::move(dir)), .keep_cache = false, .cache_dir = options_.cache_dirs});
}

Answer<void> Volume::releasedir(Caller, Ino, HandleId id) {
  dirs_.remove(id);
  return Result<void>{};
}

Answer<void> Volume::fsyncdir(Caller, Ino, HandleId) { return Result<void>{}; }  // entries are committed when made

Answer<void> Volume::readdir(Caller, Ino, HandleId id, std::uint64_t cookie, bool plus, DirSink sink) {
  auto dir = dirs_.find(id);
  if (!dir) return posix(EBADF);
  return readdir_slow(std::move(dir), cookie, plus, std::move(sink));
}

Async<void> Volume::readdir_slow(std::shared_ptr<DirHandle> dir, std::uint64_t cookie, bool plus, DirSink sink) {
  auto turn = co_await dir->lock.lock();
  if (cookie == 0) {  // from the start, or rewinddir: list anew
    dir->started = dir->ended = false;
    dir->page.clear();
    dir->pages.clear();
  }
  if (cookie < 2) {
    CO_TRY(auto fed, co_await feed_dots(dir->ino, cookie, plus, sink));
    if (fed == Feed::full) co_return Result<void>{};
  }
  if (cookie < kFirstInternal) {
    std::uint64_t index = cookie < kFirstEntry ? 0 : cookie - kFirstEntry + 1;
    for (Feed fed = Feed::more; fed != Feed::end;) {
      CO_TRY(fed, co_await turn_to(*dir, index, plus));
      if (fed == Feed::more) fed = feed_page(*dir, index, plus, sink);
      if (fed == Feed::full) co_return Result<void>{};
    }
  }
  if (dir->ino == kRootIno && !options_.hide_internal && !options_.subdir) feed_internal(cookie, sink);
  co_return Result<void>{};
}

Async<Volume::Feed> Volume::feed_dots(Ino dir, std::uint64_t cookie, bool, const DirSink& sink) {
  DirEntry self{.ino = outside(dir), .name = ".", .type = meta::FileType::directory, .cookie = 1};
  if (cookie < 1 && !sink(self)) co_return Feed::full;
  Ino above = dir;
  if (dir != options_.root) {
    CO_TRY(auto attr, co_await meta::getattr(client_, dir));
    if (!attr.is_dir()) co_return posix(ENOTDIR);
    above = attr.parent;
  }
  DirEntry parent{.ino = outside(above), .name = "..", .type = meta::FileType::directory, .cookie = 2};
  co_return sink(parent) ? Feed::more : Feed::full;
}

// Makes `dir.page` the page that holds entry `index`, going back to a page's cursor when the reader sought backwards.
Async<Volume::Feed> Volume::turn_to(DirHandle& dir, std::uint64_t index, bool with_attrs) {
  if (dir.started && index < dir.first) {
    while (dir.pages.size() > 1 && dir.pages.back().first > index) dir.pages.pop_back();
    dir.first = dir.pages.back().first;
    dir.next = dir.pages.back().second;
    dir.pages.pop_back();
    dir.page.clear();
    dir.ended = false;
  }
  while (!dir.started || index >= dir.first + dir.page.size()) {
    if (dir.ended) co_return Feed::end;
    auto begins = dir.started ? dir.first + dir.page.size() : 0;
    auto cursor = dir.started ? dir.next : std::string();
    CO_TRY(auto page, co_await meta::list(client_, dir.ino, cursor, kPageEntries, with_attrs));
    dir.pages.emplace_back(begins, std::move(cursor));
    dir.page = std::move(page.entries);
    dir.first = begins;
    dir.next = std::move(page.next);
    dir.ended = dir.next.empty();
    dir.with_attrs = with_attrs;
    dir.started = true;
  }
  co_return Feed::more;
}

Volume::Feed Volume::feed_page(const DirHandle& dir, std::uint64_t& index, bool plus, const DirSink& sink) const {
  for (; index < dir.first + dir.page.size(); ++index) {
    auto& entry = dir.page[index - dir.first];
    EntryReply full;
    DirEntry out{
        .ino = outside(entry.entry.ino), .name = entry.name, .type = entry.entry.type, .cookie = kFirstEntry + index};
    if (plus && entry.attr) {
      full = entry_reply(entry.entry.ino, *entry.attr);
      out.full = &full;
    }
    if (!sink(out)) return Feed::full;
  }
  return Feed::more;
}

Volume::Feed Volume::feed_internal(std::uint64_t cookie, const DirSink& sink) const {
  for (std::size_t i = 0; i < std::size(kListed); ++i) {
    if (cookie >= kFirstInternal + i) continue;
    auto& [name, ino, type] = kListed[i];
    if (ino == kTrashIno && !client_.format()->has_trash()) continue;
    std::string shown_name = options_.prefix_internal ? ".jfs" + std::string(name) : std::string(name);
    if (!sink({.ino = ino, .name = shown_name, .type = type, .cookie = kFirstInternal + i})) return Feed::full;
  }
  return Feed::end;
}

}  // namespace kiseki::vfs
