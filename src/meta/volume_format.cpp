#include "meta/volume_format.hpp"

#include <spdlog/fmt/fmt.h>
#include <sys/random.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <optional>

#include "meta/owner_usage.hpp"
#include "meta/tree_walk.hpp"

namespace kiseki::meta {

namespace {

Failure failure(int code, std::string message) { return {posix(code), std::move(message)}; }

Failure engine_failed(std::error_code error) {
  return {error, fmt::format("the metadata engine failed: {}", error.message())};
}

Attr directory(std::uint16_t mode, Timestamp now) {
  Attr attr;
  attr.type = FileType::directory;
  attr.mode = mode;
  attr.nlink = 2;
  attr.length = 4096;
  attr.parent = kRootIno;
  attr.atime = attr.mtime = attr.ctime = now;
  return attr;
}

Commit new_volume(const std::string& text, bool trash, Timestamp now) {
  Commit commit;
  commit.checks.push_back(Unchanged{SettingKey{}, Record()});
  auto& writes = commit.writes;
  writes.push_back(PutAttr{kRootIno, directory(0777, now)});
  if (trash) writes.push_back(PutAttr{kTrashIno, directory(0555, now)});
  constexpr std::pair<Counter, std::int64_t> kCounters[] = {
      {Counter::next_inode, 2}, {Counter::next_slice, 1},   {Counter::next_session, 0},
      {Counter::used_space, 0}, {Counter::total_inodes, 0}, {Counter::last_cleanup_slices, 0}};
  for (auto [which, value] : kCounters) writes.push_back(PutCounter{which, value});
  writes.push_back(PutSetting{text});
  return commit;
}

std::optional<std::string> forbidden_change(const Format& from, const Format& to) {
  auto differs = [](std::string_view what, auto was, auto is) {
    return std::optional(fmt::format("the {} of a volume cannot change: it is {}, not {}", what, was, is));
  };
  auto plain = [](const std::string& compression) { return compression.empty() ? std::string("none") : compression; };
  if (from.name != to.name) return differs("name", from.name, to.name);
  if (from.block_kib != to.block_kib) return differs("block size (KiB)", from.block_kib, to.block_kib);
  if (plain(from.compression) != plain(to.compression))
    return differs("compression", plain(from.compression), plain(to.compression));
  if (from.shards != to.shards) return differs("number of shards", from.shards, to.shards);
  if (from.hash_prefix != to.hash_prefix) return differs("hash prefix", from.hash_prefix, to.hash_prefix);
  if (from.meta_version != to.meta_version) return differs("metadata version", from.meta_version, to.meta_version);
  return std::nullopt;
}

Async<void> apply(MetaEngine& engine, Commit commit) {
  if (commit.writes.empty()) co_return Result<void>{};
  CO_TRY(auto outcome, co_await engine.commit(std::move(commit)));
  co_return outcome.applied ? Result<void>{} : Result<void>(posix(EBUSY));
}

/// Of every directory below `top`, itself included. They are counted anew when next needed.
Async<void> forget_dir_stats(MetaEngine& engine, Ino top) {
  constexpr std::size_t kAtOnce = 1000;
  TreeWalk walk(top);
  Commit commit;
  while (auto dir = walk.next()) {
    commit.writes.push_back(EraseDirStat{*dir});
    if (commit.writes.size() >= kAtOnce) CO_CHECK(co_await apply(engine, std::exchange(commit, {})));
    std::string cursor;
    do {
      CO_TRY(auto page, co_await engine.scan_entries(*dir, std::move(cursor), 4096, false));
      for (auto& listed : page.entries)
        if (listed.entry.type == FileType::directory) walk.add(listed.entry.ino);
      cursor = std::move(page.next);
    } while (!cursor.empty());
  }
  co_return co_await apply(engine, std::move(commit));
}

/// The part of the commit that begins to keep the usage of owners: what they own now, right only if nobody mounts the
/// volume before that commit. What was kept before the feature was switched off is gone, limits too (as in JuiceFS).
Async<Commit> begin_owner_usage(MetaEngine& engine) {
  CounterKey last{Counter::next_session};
  Keys keys{last};
  CO_TRY(auto seen, co_await engine.fetch(std::move(keys)));
  CO_TRY(auto old, co_await engine.scan_quotas());
  CO_TRY(auto owners, co_await count_owners(engine));
  Commit commit;
  commit.checks.push_back(Unchanged{last, std::move(seen[0])});
  for (auto& [key, quota] : old)
    if (key.kind != QuotaKind::directory) commit.writes.push_back(EraseQuota{key});
  for (auto& [key, quota] : owners) commit.writes.push_back(PutQuota{key, quota});
  co_return commit;
}

Async<std::size_t> living_sessions(MetaEngine& engine, Timestamp now) {
  CO_TRY(auto sessions, co_await engine.scan_sessions());
  co_return static_cast<std::size_t>(
      std::count_if(sessions.begin(), sessions.end(), [&](auto& one) { return one.second.expire >= now.sec; }));
}

/// What must be put right when a feature comes: what was counted before it was switched off is no longer true.
asio::awaitable<Explained<Commit>> begin_features(MetaEngine& engine, const Format& from, const Format& to,
                                                  Timestamp now) {
  if (!from.dir_stats && to.dir_stats) {
    for (Ino top : {kRootIno, kTrashIno})
      if (auto forgotten = co_await forget_dir_stats(engine, top); !forgotten)
        co_return engine_failed(forgotten.error());
  }
  if (from.user_group_quota || !to.user_group_quota) co_return Commit();
  auto living = co_await living_sessions(engine, now);
  if (!living) co_return engine_failed(living.error());
  if (*living > 0)
    co_return failure(EBUSY,
                      fmt::format("the usage of users and groups is counted once, while nobody changes the volume: "
                                  "unmount it everywhere first ({} mounted now; one that died counts for a minute)",
                                  *living));
  auto counted = co_await begin_owner_usage(engine);
  if (!counted) co_return engine_failed(counted.error());
  co_return std::move(*counted);
}

/// `commit`: what goes with it.
Async<void> change_settings(MetaEngine& engine, const std::string& stored, const std::string& text, bool trash,
                            Timestamp now, Commit commit) {
  Keys keys{AttrKey{kTrashIno}};
  CO_TRY(auto records, co_await engine.fetch(std::move(keys)));
  commit.checks.push_back(Unchanged{SettingKey{}, stored});
  if (trash && std::holds_alternative<std::monostate>(records[0])) {
    commit.checks.push_back(AttrAbsent{kTrashIno});
    commit.writes.push_back(PutAttr{kTrashIno, directory(0555, now)});
  }
  commit.writes.push_back(PutSetting{text});
  co_return co_await apply(engine, std::move(commit));
}

/// The setting record; an empty text: none.
Async<std::string> stored_text(MetaEngine& engine) {
  Keys keys{SettingKey{}};
  CO_TRY(auto records, co_await engine.fetch(std::move(keys)));
  auto* text = std::get_if<std::string>(&records[0]);
  co_return text ? std::move(*text) : std::string();
}

}  // namespace

asio::awaitable<Explained<Format>> read_format(MetaEngine& engine, Versions versions) {
  auto text = co_await stored_text(engine);
  if (!text) co_return engine_failed(text.error());
  if (text->empty()) co_return failure(ENOENT, "there is no volume here: format one first");
  auto format = Format::parse(*text);
  if (!format) co_return format.error();
  if (auto ok = format->check_version(); !ok && versions == Versions::checked) co_return ok.error();
  if (auto ok = format->decrypt_secrets(); !ok) co_return ok.error();
  co_return *format;
}

asio::awaitable<Explained<Format>> format_volume(MetaEngine& engine, Format wanted, const Clock& clock) {
  if (auto ok = wanted.check_options(); !ok) co_return ok.error();
  if (auto ok = co_await engine.prepare(); !ok) co_return engine_failed(ok.error());
  auto text = co_await stored_text(engine);
  if (!text) co_return engine_failed(text.error());
  std::optional<Format> existing;
  if (!text->empty()) {
    auto parsed = Format::parse(*text);
    if (!parsed) co_return parsed.error();
    if (parsed->meta_version > kMetaVersion)
      co_return failure(ENOTSUP, fmt::format("the volume has metadata version {}, newer than {}", parsed->meta_version,
                                             kMetaVersion));
    existing = std::move(*parsed);
    if (auto why = forbidden_change(*existing, wanted)) co_return failure(EINVAL, *why);
    wanted.uuid = existing->uuid;
    if (wanted.unknown.empty()) wanted.unknown = existing->unknown;
  }
  if (wanted.uuid.empty()) wanted.uuid = new_uuid();
  Format stored = wanted;
  if (auto ok = stored.encrypt_secrets(); !ok) co_return ok.error();

  if (!existing) {
    auto made = co_await engine.commit(new_volume(stored.to_json(), stored.has_trash(), clock.now()));
    if (!made) co_return engine_failed(made.error());
    if (!made->applied) co_return failure(EEXIST, "another process formatted this volume at the same moment");
  } else {
    // Counts first: were we interrupted between, the feature is still off and nothing relies on them.
    auto begun = co_await begin_features(engine, *existing, stored, clock.now());
    if (!begun) co_return begun.error();
    auto changed =
        co_await change_settings(engine, *text, stored.to_json(), stored.has_trash(), clock.now(), std::move(*begun));
    if (!changed && changed.error() == posix(EBUSY))
      co_return failure(EBUSY, "another process changed the settings, or mounted the volume, at the same moment");
    if (!changed) co_return engine_failed(changed.error());
  }
  wanted.key_encrypted = stored.key_encrypted;
  co_return wanted;
}

std::string new_uuid() {
  std::array<unsigned char, 16> raw{};
  if (::getrandom(raw.data(), raw.size(), 0) != static_cast<ssize_t>(raw.size()))
    raw[0] ^= static_cast<unsigned char>(::getpid());
  raw[6] = static_cast<unsigned char>((raw[6] & 0x0F) | 0x40);
  raw[8] = static_cast<unsigned char>((raw[8] & 0x3F) | 0x80);
  std::string text;
  for (std::size_t i = 0; i < raw.size(); ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) text.push_back('-');
    fmt::format_to(std::back_inserter(text), "{:02x}", raw[i]);
  }
  return text;
}

}  // namespace kiseki::meta
