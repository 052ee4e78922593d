// Directories: opendir, readdir, and where a listing stands.
#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "vfs/internal_files.hpp"
#include "vfs/volume.hpp"

namespace kiseki::vfs {

namespace {

constexpr std::size_t kFirstPage = 128, kMostPage = 4096;  // entries fetched at once: more the further a reader comes
constexpr std::size_t kMostHeld = 64u << 20;  // bytes that open directories may keep; beyond, each keeps little
constexpr std::size_t kAttrsAtOnce = 256;
// Cookies: 1 and 2 are "." and "..", entry i is kFirstEntry + i, internal files of the root lie far behind. A cookie
// names the entry it follows.
constexpr std::uint64_t kFirstEntry = 3;
constexpr std::uint64_t kFirstInternal = std::uint64_t{1} << 62;

struct InternalName {
  std::string_view name;
  Ino ino;
  meta::FileType type;
};
constexpr InternalName kListed[] = {{".accesslog", kAccessLogIno, meta::FileType::file},
                                    {".config", kConfigIno, meta::FileType::file},
                                    {".stats", kStatsIno, meta::FileType::file},
                                    {".trash", kTrashIno, meta::FileType::directory}};

}  // namespace

Answer<OpenReply> Volume::opendir(Caller caller, Ino kernel, std::uint32_t flags) {
  return after_access<OpenReply>(who(caller), inside(kernel), meta::kMayRead,
                                 [this, kernel, flags] { return open_listing(kernel, flags); });
}

Result<OpenReply> Volume::open_listing(Ino kernel, std::uint32_t flags) {
  auto dir = std::make_shared<DirHandle>(inside(kernel), listing_bytes_);
  dir->flags = flags;
  open_listings_.add(dir->ino, dir);
  return Result<OpenReply>(
      OpenReply{.handle = dirs_.add(std::move(dir)), .keep_cache = false, .cache_dir = options_.cache_dirs});
}

Answer<void> Volume::releasedir(Caller, Ino, HandleId id) {
  if (auto dir = dirs_.remove(id)) open_listings_.remove(dir->ino, dir);
  return Result<void>{};
}

Answer<void> Volume::fsyncdir(Caller, Ino, HandleId) { return Result<void>{}; }  // entries are committed when made

std::shared_ptr<DirHandle> Volume::dir_of(Ino ino, HandleId id) {
  auto dir = dirs_.find(id);
  if (!dir && dirs_.inherited(id)) {
    auto anew = std::make_shared<DirHandle>(ino, listing_bytes_);
    dir = dirs_.adopt(id, anew);
    if (dir == anew) open_listings_.add(ino, anew);
  }
  return dir && dir->ino == ino ? dir : nullptr;
}

Answer<void> Volume::readdir(Caller caller, Ino kernel, HandleId id, std::uint64_t cookie, bool plus, DirSink sink) {
  auto dir = dir_of(inside(kernel), id);
  if (!dir) return posix(EBADF);
  plus = plus && !meta::is_checked(who(caller));  // names may be read without leave to look them up
  if (cookie == 0 && tracks_access() && !(dir->flags & O_NOATIME))
    return readdir_touching(std::move(dir), plus, std::move(sink));
  return read_dir(std::move(dir), cookie, plus, std::move(sink));
}

Async<void> Volume::readdir_touching(std::shared_ptr<DirHandle> dir, bool plus, DirSink sink) {
  (void)co_await meta::touch_atime(client_, dir->ino);
  co_return co_await read_dir(std::move(dir), 0, plus, std::move(sink)).get();
}

Answer<void> Volume::read_dir(std::shared_ptr<DirHandle> dir, std::uint64_t cookie, bool plus, DirSink sink) {
  auto all = listing_for(*dir, cookie);
  if (!all.names && cookie == 0 && client_.is_in_doubt())
    return readdir_in_doubt(std::move(dir), plus, std::move(sink));
  if (!all.names) return readdir_slow(std::move(dir), cookie, plus, std::move(sink));
  if (auto fed = readdir_now(*dir, all, cookie, plus, sink)) return *fed;
  return readdir_listed(std::move(dir), std::move(all), cookie, plus, std::move(sink));
}

// ---- from memory ------------------------------------------------------------------------------------------------

/// The listing a handle reads from; at the start, or after rewinddir, the one of now. Null: it must be fetched.
WholeListing Volume::listing_for(DirHandle& dir, std::uint64_t cookie) {
  std::lock_guard hold(dir.guard);
  if (cookie == 0) {
    auto view = client_.answering();  // asked first: then the cache below has heard of every change
    auto now = client_.cache().ticket(view.value_or(meta::RecordCache::View::now));
    bool right = view && !listings_are_tight();
    dir.whole = {.names = right ? listings_.find(dir.ino, now) : nullptr, .ticket = now};
    dir.held.now(dir.whole.names ? dir.whole.names->bytes() : 0);
  }
  return dir.whole;
}

/// Once it is known that the engine is away, memory may answer: asking it for names would wait for its return.
Async<void> Volume::readdir_in_doubt(std::shared_ptr<DirHandle> dir, bool plus, DirSink sink) {
  CO_CHECK(co_await meta::getattr(client_, dir->ino));
  auto all = listing_for(*dir, 0);
  if (!all.names) co_return co_await readdir_slow(std::move(dir), 0, plus, std::move(sink));
  co_return co_await readdir_listed(std::move(dir), std::move(all), 0, plus, std::move(sink));
}

/// Nothing when a record is missing for the first entry that is to be told.
std::optional<Result<void>> Volume::readdir_now(const DirHandle& dir, const WholeListing& all, std::uint64_t cookie,
                                                bool plus, const DirSink& sink) {
  if (cookie < 2) {
    auto above = dir.ino;
    if (dir.ino != options_.root) {
      auto self = client_.cached_attr(dir.ino);
      if (!self) return std::nullopt;
      above = self->parent;
    }
    if (feed_dots(dir.ino, above, cookie, sink) == Feed::full) return Result<void>{};
  }
  auto first = cookie < kFirstEntry ? 0 : cookie - kFirstEntry + 1;
  for (auto index = first; cookie < kFirstInternal && index < all.names->size(); ++index) {
    std::optional<EntryReply> full;
    auto ino = all.names->ino(index);
    if (plus && still_named(dir.ino, all.names->name(index), ino, all.ticket)) {
      auto before = buffered(ino);
      auto attr = client_.cached_attr(ino);
      if (!attr && index == first && cookie >= 2) return std::nullopt;
      if (!attr) return Result<void>{};  // a short answer: the next request begins here
      full = named(dir.ino, all.names->name(index), entry_reply(ino, *attr, before));
    }
    if (feed_listed(*all.names, index, full, sink) == Feed::full) return Result<void>{};
  }
  if (shows_internal(dir.ino)) feed_internal(cookie, sink);
  return Result<void>{};
}

/// The same, with attributes fetched for as many entries as one answer may hold.
Async<void> Volume::readdir_listed(std::shared_ptr<DirHandle> dir, WholeListing all, std::uint64_t cookie, bool plus,
                                   DirSink sink) {
  if (cookie < 2) {
    CO_TRY(auto above, co_await parent_of(dir->ino));
    if (feed_dots(dir->ino, above, cookie, sink) == Feed::full) co_return Result<void>{};
  }
  auto first = cookie < kFirstEntry ? 0 : cookie - kFirstEntry + 1;
  if (cookie < kFirstInternal && first < all.names->size()) {
    auto& names = *all.names;
    auto ticket = client_.cache().ticket();
    meta::Keys keys;
    for (auto index = first; plus && index < names.size() && keys.size() < kAttrsAtOnce; ++index)
      keys.push_back(meta::AttrKey{names.ino(index)});
    CO_TRY(auto attrs, co_await client_.read(std::move(keys)));
    for (auto index = first; index < names.size(); ++index) {
      auto* attr = index - first < attrs.size() ? std::get_if<meta::Attr>(&attrs[index - first]) : nullptr;
      if (plus && index - first == attrs.size()) co_return Result<void>{};
      bool told = attr && still_named(dir->ino, names.name(index), names.ino(index), all.ticket);
      auto full = told ? entry_since(names.ino(index), *attr, ticket) : std::nullopt;
      if (feed_listed(names, index, full, sink) == Feed::full) co_return Result<void>{};
    }
  }
  if (shows_internal(dir->ino)) feed_internal(cookie, sink);
  co_return Result<void>{};
}

Volume::Feed Volume::feed_listed(const Listing& all, std::uint64_t index, const std::optional<EntryReply>& full,
                                 const DirSink& sink) const {
  DirEntry out{.ino = outside(all.ino(index)),
               .name = all.name(index),
               .type = all.type(index),
               .cookie = kFirstEntry + index,
               .full = full ? &*full : nullptr};
  return sink(out) ? Feed::more : Feed::full;
}

// ---- page by page -----------------------------------------------------------------------------------------------

Async<void> Volume::readdir_slow(std::shared_ptr<DirHandle> dir, std::uint64_t cookie, bool plus, DirSink sink) {
  auto turn = co_await dir->lock.lock();
  if (cookie == 0) rewind(*dir);
  if (cookie < 2) {
    CO_TRY(auto above, co_await parent_of(dir->ino));
    if (feed_dots(dir->ino, above, cookie, sink) == Feed::full) co_return Result<void>{};
  }
  if (cookie < kFirstInternal) {
    std::uint64_t index = cookie < kFirstEntry ? 0 : cookie - kFirstEntry + 1;
    if (index == dir->shown_to) index = dir->skipped_to;
    Feed fed = Feed::more;
    while (fed == Feed::more) {
      CO_TRY(fed, co_await turn_to(*dir, index, plus));
      if (fed == Feed::more) fed = feed_page(*dir, index, plus, sink);
    }
    dir->skipped_to = index;
    if (fed == Feed::end) put_down(*dir);
    dir->held.now(dir->bytes());
    if (fed == Feed::full) co_return Result<void>{};
  }
  if (shows_internal(dir->ino)) feed_internal(cookie, sink);
  co_return Result<void>{};
}

bool Volume::shows_internal(Ino dir) const { return dir == kRootIno && !options_.hide_internal && !options_.subdir; }

Async<Ino> Volume::parent_of(Ino dir) {
  if (dir == options_.root) co_return dir;
  CO_TRY(auto attr, co_await meta::getattr(client_, dir));
  if (!attr.is_dir()) co_return posix(ENOTDIR);
  co_return attr.parent;
}

Volume::Feed Volume::feed_dots(Ino dir, Ino above, std::uint64_t cookie, const DirSink& sink) const {
  DirEntry self{.ino = outside(dir), .name = ".", .type = meta::FileType::directory, .cookie = 1};
  if (cookie < 1 && !sink(self)) return Feed::full;
  DirEntry parent{.ino = outside(above), .name = "..", .type = meta::FileType::directory, .cookie = 2};
  return sink(parent) ? Feed::more : Feed::full;
}

/// From the start, or rewinddir: everything is listed anew.
void Volume::rewind(DirHandle& dir) {
  dir.started = dir.ended = false;
  dir.page = dir.previous = {};
  dir.pages.clear();
  dir.shown.clear();
  dir.shown_to = dir.skipped_to = 0;
}

bool Volume::listings_are_tight() const { return listing_bytes_ > kMostHeld; }

void Volume::put_down(DirHandle& dir) {
  dir.page = {.first = dir.page.end(), .entries = {}, .ticket = {}, .at = {}};
  dir.previous = {};
  dir.growing.reset();
  dir.shown.clear();
}

// Fetches pages until one holds entry `index`, going back to a page's cursor when the reader sought far backwards.
Async<Volume::Feed> Volume::turn_to(DirHandle& dir, std::uint64_t index, bool with_attrs) {
  if (dir.holding(index)) co_return Feed::more;
  if (dir.started && index < dir.page.first) {
    while (dir.pages.size() > 1 && dir.pages.back().first > index) dir.pages.pop_back();
    dir.page = {.first = dir.pages.back().first, .entries = {}, .ticket = {}, .at = {}};
    dir.previous = {};
    dir.next = dir.pages.back().second;
    dir.pages.pop_back();
    dir.shown.clear();
    dir.ended = false;
  }
  while (!dir.started || index >= dir.page.end()) {
    if (dir.ended) co_return Feed::end;
    auto begins = dir.started ? dir.page.end() : 0;
    auto cursor = dir.started ? dir.next : std::string();
    bool tight = listings_are_tight();
    auto most = std::clamp<std::size_t>(begins * 3, kFirstPage, tight ? kFirstPage : kMostPage);
    if (tight) dir.shown.stay_small();
    if (!dir.started) {
      dir.growing = std::make_shared<Listing>();
      dir.listed_at = client_.cache().ticket();
    }
    if (!dir.growing) dir.shown.add(dir.page.entries);
    ListingPage asked{
        .first = begins, .entries = {}, .ticket = client_.cache().ticket(), .at = ListingPage::Clock::now()};
    CO_TRY(auto page, co_await meta::list(client_, dir.ino, cursor, most, with_attrs));
    dir.pages.emplace_back(begins, std::move(cursor));
    asked.entries = std::move(page.entries);
    dir.previous = std::exchange(dir.page, std::move(asked));
    dir.next = std::move(page.next);
    dir.ended = dir.next.empty();
    dir.started = true;
    keep_page(dir);
  }
  co_return Feed::more;
}

/// Once every page was seen in order the whole is kept for those who list next: with the moment it began, so that it is
/// found only if nothing changed since.
void Volume::keep_page(DirHandle& dir) {
  if (!dir.growing) return;
  bool in_order = dir.growing->size() == dir.page.first;  // else the reader went back
  if (in_order) dir.growing->add(dir.page.entries);
  if (!in_order || dir.growing->bytes() > Listing::kMostBytes || listings_are_tight()) {
    dir.shown.add(*dir.growing);
    return dir.growing.reset();
  }
  if (dir.ended) listings_.put(dir.ino, dir.listed_at, dir.growing);
}

/// An entry as the kernel may keep it: nothing if it has changed since its page was fetched. What others change is not
/// always heard of, so it is told no longer than if it had been told at once.
std::optional<EntryReply> Volume::in_full(Ino dir, const ListingPage& page, const meta::ListedEntry& entry) const {
  if (!entry.attr || !still_named(dir, entry.name, entry.entry.ino, page.ticket)) return std::nullopt;
  auto full = entry_since(entry.entry.ino, *entry.attr, page.ticket);
  if (!full) return std::nullopt;
  auto age = ListingPage::Clock::now() - page.at;
  full->entry_valid = std::max(full->entry_valid - age, std::chrono::nanoseconds(0));
  full->attr_valid = std::max(full->attr_valid - age, std::chrono::nanoseconds(0));
  return named(dir, entry.name, *full);
}

Volume::Feed Volume::feed_page(DirHandle& dir, std::uint64_t& index, bool plus, const DirSink& sink) const {
  auto* page = dir.holding(index);
  if (dir.growing) dir.shown.catch_up(*dir.growing, page->first);
  for (; page->holds(index); ++index) {
    auto& entry = page->entries[index - page->first];
    if (dir.shown.twice(entry.name)) continue;
    auto full = plus ? in_full(dir.ino, *page, entry) : std::nullopt;
    DirEntry out{.ino = outside(entry.entry.ino),
                 .name = entry.name,
                 .type = entry.entry.type,
                 .cookie = kFirstEntry + index,
                 .full = full ? &*full : nullptr};
    if (!sink(out)) return Feed::full;
    dir.shown_to = index + 1;
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
