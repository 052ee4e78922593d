#include "meta/redis/scans.hpp"

#include <algorithm>
#include <map>
#include <set>

#include "core/log.hpp"
#include "meta/codec.hpp"
#include "meta/redis/decode.hpp"
#include "meta/redis/scripts.hpp"

namespace kiseki::meta::redis {

using net::redis::Command;
using net::redis::Commands;
using net::redis::Replies;
using net::redis::Reply;
using net::redis::Resend;

namespace {

void left_out(std::string_view what, std::string_view key) {
  log::warn("meta.redis.corrupt", {{"record", what}, {"key", key}, {"remedy", "left out of a listing; run fsck"}});
}

/// Shows a hash to `accept(field, value)`, a page of the server's at a time, until it has accepted `limit` fields. Each
/// of them is shown once; the others, of which there may be millions, twice if the hash shrinks meanwhile.
template <class F>
Async<void> scan_hash(net::redis::Client& client, std::string key, std::size_t limit, F accept) {
  std::set<std::string> accepted;
  std::string cursor = "0";
  do {
    CO_TRY(auto page, co_await ask(client, Command("HSCAN", key, cursor, "COUNT", 4096)));
    if (page.elements.size() != 2) co_return posix(EIO);
    cursor = page.elements[0].text;
    for_each_pair(page.elements[1], [&](const std::string& field, const std::string& value) {
      if (accepted.size() < limit && !accepted.contains(field) && accept(field, value)) accepted.insert(field);
    });
  } while (cursor != "0" && accepted.size() < limit);
  co_return Result<void>{};
}

}  // namespace

std::error_code error_of(const Reply& reply) {
  if (auto known = net::redis::meaning_of(reply)) return known;
  if (reply.error_prefix() == "KISEKILATE") return posix(ECANCELED);
  log::error("meta.redis.error", {{"reply", reply.text}});
  return posix(EIO);
}

Async<Reply> ask(net::redis::Client& client, Command command) {
  CO_TRY(auto reply, co_await client.run_one(std::move(command), Resend::when_lost));
  if (reply.is_error()) co_return error_of(reply);
  co_return std::move(reply);
}

Async<Replies> ask_all(net::redis::Client& client, Commands commands, Resend resend) {
  CO_TRY(auto replies, co_await client.run(std::move(commands), resend));
  for (auto& reply : replies)
    if (reply.is_error()) co_return error_of(reply);
  co_return std::move(replies);
}

// ---- directories ------------------------------------------------------------------------------------------------

Async<EntryPage> scan_entries(Connected to, Ino dir, std::string cursor, std::size_t limit, bool with_attrs) {
  EntryPage page;
  auto key = to.names.entries(dir);
  net::redis::Strings keys{key};
  net::redis::Strings args{cursor.empty() ? "0" : cursor, std::to_string(std::clamp<std::size_t>(limit, 1, 4096)),
                           with_attrs ? to.names.attrs() : ""};
  CO_TRY(auto reply, co_await ask(to.client, Command::eval(list_script(), keys, args)));
  auto& values = reply.elements;
  if (values.size() % 3 != 1) co_return posix(EIO);
  if (values[0].text != "0") page.next = values[0].text;
  page.entries.reserve(values.size() / 3);
  for (std::size_t i = 1; i < values.size(); i += 3) {
    auto entry = codec::decode_entry(values[i + 1].text);
    if (!entry) {
      left_out("entry", key + " " + values[i].text);
      continue;
    }
    ListedEntry listed{std::move(values[i].text), *entry, std::nullopt};
    if (values[i + 2].is_text()) {
      listed.attr = codec::decode_attr(values[i + 2].text);
      if (!listed.attr) left_out("attribute", to.names.attr(entry->ino));
    }
    page.entries.push_back(std::move(listed));
  }
  co_return page;
}

// ---- chunks -----------------------------------------------------------------------------------------------------

namespace {

constexpr std::uint64_t kMostProbed = std::uint64_t{1} << 20;  ///< chunks; in larger files we look through all keys
constexpr std::uint64_t kBeyond = 16;                          ///< a file that was cut may have records behind its end
constexpr std::uint64_t kProbesAtOnce = 4096;

Result<std::vector<StoredChunk>> chunks_of(const Replies& replies) {
  std::vector<StoredChunk> all;
  for (auto& reply : replies) {
    for (std::size_t i = 0; i + 1 < reply.elements.size(); i += 2) {
      auto index = codec::decode_number(reply.elements[i].text);
      auto slices = codec::decode_slices(reply.elements[i + 1].text);
      if (!index || !slices) {
        log::error("meta.redis.corrupt", {{"record", "chunk"}, {"index", reply.elements[i].text}});
        return posix(EIO);
      }
      all.push_back({ChunkIndex{static_cast<std::uint32_t>(*index)}, std::move(*slices)});
    }
  }
  std::sort(all.begin(), all.end(), [](auto& a, auto& b) { return a.index < b.index; });
  return all;
}

Command probe(const std::string& base, std::uint64_t first, std::uint64_t end) {
  net::redis::Strings keys{base}, args{std::to_string(first), std::to_string(end)};
  return Command::eval(chunks_script(), keys, args);
}

Async<std::vector<StoredChunk>> probe_chunks(Connected to, Ino ino, std::uint64_t count) {
  auto base = to.names.chunks(ino);
  Commands commands;
  for (std::uint64_t at = 0; at < count; at += kProbesAtOnce)
    commands.push_back(probe(base, at, std::min(count, at + kProbesAtOnce)));
  CO_TRY(auto replies, co_await ask_all(to.client, std::move(commands)));
  co_return chunks_of(replies);
}

/// Indexes of all chunks of a file, by a look at every key of the volume.
Async<std::set<std::uint64_t>> search_indexes(Connected to, Ino ino) {
  auto base = to.names.chunks(ino);
  std::set<std::uint64_t> found;
  std::string cursor = "0";
  do {
    CO_TRY(auto page, co_await ask(to.client, Command("SCAN", cursor, "MATCH", base + "*", "COUNT", 10000)));
    if (page.elements.size() != 2) co_return posix(EIO);
    cursor = page.elements[0].text;
    for (auto& key : page.elements[1].elements)
      if (auto index = codec::decode_number(std::string_view(key.text).substr(base.size())))
        found.insert(static_cast<std::uint64_t>(*index));
  } while (cursor != "0");
  co_return found;
}

Async<std::vector<StoredChunk>> search_chunks(Connected to, Ino ino) {
  CO_TRY(auto found, co_await search_indexes(to, ino));
  if (found.empty()) co_return std::vector<StoredChunk>();
  Commands commands;
  for (auto index : found) commands.push_back(probe(to.names.chunks(ino), index, index + 1));
  CO_TRY(auto replies, co_await ask_all(to.client, std::move(commands)));
  co_return chunks_of(replies);
}

}  // namespace

Async<std::vector<StoredChunk>> scan_chunks(Connected to, Ino ino, std::uint64_t length) {
  auto count = length / kChunkBytes + (length % kChunkBytes != 0);
  if (count > kMostProbed) co_return co_await search_chunks(to, ino);
  co_return co_await probe_chunks(to, ino, count + kBeyond);
}

Async<std::vector<ChunkIndex>> find_chunks(Connected to, Ino ino, ChunkIndex first, ChunkIndex end) {
  std::vector<ChunkIndex> all;
  if (end.value - std::min(first.value, end.value) > kMostProbed) {
    CO_TRY(auto found, co_await search_indexes(to, ino));
    for (auto at = found.lower_bound(first.value); at != found.end() && *at < end.value; ++at)
      all.push_back(ChunkIndex{static_cast<std::uint32_t>(*at)});
    co_return all;
  }
  Commands commands;
  for (std::uint64_t at = first.value; at < end.value; at += kProbesAtOnce) {
    net::redis::Strings keys{to.names.chunks(ino)};
    net::redis::Strings args{std::to_string(at),
                             std::to_string(std::min<std::uint64_t>(end.value, at + kProbesAtOnce))};
    commands.push_back(Command::eval(find_chunks_script(), keys, args));
  }
  if (commands.empty()) co_return all;
  CO_TRY(auto replies, co_await ask_all(to.client, std::move(commands)));
  for (auto& reply : replies)
    for (auto& element : reply.elements)
      if (auto index = codec::decode_number(element.text))
        all.push_back(ChunkIndex{static_cast<std::uint32_t>(*index)});
  co_return all;
}

// ---- sessions ---------------------------------------------------------------------------------------------------

Async<std::vector<std::pair<SessionId, Session>>> scan_sessions(Connected to) {
  Commands commands;
  commands.emplace_back("ZRANGE", to.names.named("allSessions"), 0, -1, "WITHSCORES");
  commands.emplace_back("HGETALL", to.names.named("sessionInfos"));
  CO_TRY(auto replies, co_await ask_all(to.client, std::move(commands)));
  std::map<std::uint64_t, Session> sessions;
  for_each_pair(replies[0], [&](const std::string& member, const std::string& score) {
    auto sid = codec::decode_number(member), expire = decode_score(score);
    if (sid && expire)
      sessions[static_cast<std::uint64_t>(*sid)].expire = *expire;
    else
      left_out("session", member);
  });
  for_each_pair(replies[1], [&](const std::string& field, const std::string& info) {
    auto sid = codec::decode_number(field);
    auto at = sid ? sessions.find(static_cast<std::uint64_t>(*sid)) : sessions.end();
    if (at != sessions.end()) at->second.info = info;
  });
  std::vector<std::pair<SessionId, Session>> all;
  for (auto& [sid, session] : sessions) all.emplace_back(SessionId{sid}, std::move(session));
  co_return all;
}

Async<SessionLocks> scan_locks(Connected to, SessionId sid) {
  SessionLocks all;
  Commands commands;
  commands.emplace_back("SMEMBERS", to.names.sustained(sid));
  commands.emplace_back("SMEMBERS", to.names.locked(sid));
  CO_TRY(auto sets, co_await ask_all(to.client, std::move(commands)));
  for (auto& member : sets[0].elements)
    if (auto ino = codec::decode_number(member.text)) all.sustained.push_back(Ino{static_cast<std::uint64_t>(*ino)});
  std::sort(all.sustained.begin(), all.sustained.end());
  Commands reads;
  for (auto& member : sets[1].elements) reads.emplace_back("HGETALL", member.text);
  if (reads.empty()) co_return all;
  CO_TRY(auto tables, co_await ask_all(to.client, std::move(reads)));
  for (std::size_t i = 0; i < tables.size(); ++i) {
    auto& key = sets[1].elements[i].text;
    if (auto ino = to.names.inode_of_lock(key, "lockf")) {
      for (auto& lock : decode_file_locks(tables[i]).value_or(FileLocks()))
        if (lock.sid == sid) all.file_locks.emplace_back(*ino, lock);
    } else if (auto ranged = to.names.inode_of_lock(key, "lockp")) {
      for (auto& locks : decode_range_locks(tables[i]).value_or(RangeLockTable()))
        if (locks.sid == sid) all.range_locks.emplace_back(*ranged, std::move(locks));
    }
  }
  co_return all;
}

// ---- what is to be deleted --------------------------------------------------------------------------------------

Async<std::vector<DeletedFile>> scan_deleted_files(Connected to, std::int64_t removed_before, std::size_t limit) {
  CO_TRY(auto reply,
         co_await ask(to.client, Command("ZRANGEBYSCORE", to.names.named("delfiles"), "-inf",
                                         "(" + std::to_string(removed_before), "WITHSCORES", "LIMIT", 0, limit)));
  std::vector<DeletedFile> all;
  for_each_pair(reply, [&](const std::string& member, const std::string& score) {
    auto file = codec::decode_deleted_member(member);
    auto removed = decode_score(score);
    if (file && removed)
      all.push_back({file->ino, file->length, *removed});
    else
      left_out("removed file", member);
  });
  co_return all;
}

Async<std::vector<std::pair<SliceId, SliceRef>>> scan_dead_slices(Connected to, std::size_t limit) {
  std::vector<std::pair<SliceId, SliceRef>> all;
  auto accept = [&](const std::string& field, const std::string& value) {
    auto slice = codec::decode_slice_field(field);
    auto stored = codec::decode_number(value);
    if (!slice || !stored || *stored >= 0) return false;
    all.emplace_back(slice->id, SliceRef{slice->size, codec::refs_of_stored(*stored)});
    return true;
  };
  CO_CHECK(co_await scan_hash(to.client, to.names.named("sliceRef"), limit, accept));
  co_return all;
}

Async<std::vector<DelayedSlices>> scan_delayed_slices(Connected to, std::int64_t replaced_before, std::size_t limit) {
  std::vector<DelayedSlices> all;
  auto accept = [&](const std::string& field, const std::string& value) {
    auto delayed = codec::decode_delayed_field(field);
    if (!delayed || delayed->replaced_at >= replaced_before) return false;
    auto slices = codec::decode_delayed(value);
    if (!slices) return left_out("delayed slices", field), false;
    all.push_back({delayed->compacted, delayed->replaced_at, std::move(*slices)});
    return true;
  };
  CO_CHECK(co_await scan_hash(to.client, to.names.named("delSlices"), limit, accept));
  co_return all;
}

// ---- quotas, rules ----------------------------------------------------------------------------------------------

namespace {

void add_quotas(QuotaKind kind, const Reply* hashes, std::vector<std::pair<QuotaKey, Quota>>& out) {
  std::map<std::string, Reply> space, inodes;
  for (auto [from, into] : {std::pair(&hashes[1], &space), std::pair(&hashes[2], &inodes)})
    for (std::size_t i = 0; i + 1 < from->elements.size(); i += 2)
      into->emplace(from->elements[i].text, from->elements[i + 1]);
  std::map<std::uint64_t, Quota> quotas;
  for (std::size_t i = 0; i + 1 < hashes[0].elements.size(); i += 2) {
    auto& field = hashes[0].elements[i].text;
    auto id = codec::decode_number(field);
    auto quota = decode_quota(hashes[0].elements[i + 1], space[field], inodes[field]);
    if (id && quota)
      quotas.emplace(static_cast<std::uint64_t>(*id), *quota);
    else
      left_out("quota", field);
  }
  for (auto& [id, quota] : quotas) out.emplace_back(QuotaKey{kind, id}, quota);
}

}  // namespace

Async<std::vector<std::pair<QuotaKey, Quota>>> scan_quotas(Connected to) {
  constexpr QuotaKind kKinds[] = {QuotaKind::directory, QuotaKind::user, QuotaKind::group};
  Commands commands;
  for (auto kind : kKinds) {
    auto names = to.names.quotas(kind);
    for (auto& key : {names.limits, names.space, names.inodes}) commands.emplace_back("HGETALL", key);
  }
  CO_TRY(auto replies, co_await ask_all(to.client, std::move(commands)));
  std::vector<std::pair<QuotaKey, Quota>> all;
  for (std::size_t i = 0; i < std::size(kKinds); ++i) add_quotas(kKinds[i], &replies[3 * i], all);
  co_return all;
}

Async<std::vector<std::pair<std::uint32_t, AclRule>>> scan_acls(Connected to) {
  CO_TRY(auto reply, co_await ask(to.client, Command("HGETALL", to.names.named("acl"))));
  std::vector<std::pair<std::uint32_t, AclRule>> all;
  for_each_pair(reply, [&](const std::string& field, const std::string& value) {
    auto id = codec::decode_number(field);
    auto rule = codec::decode_acl(value);
    if (id && rule)
      all.emplace_back(static_cast<std::uint32_t>(*id), std::move(*rule));
    else
      left_out("ACL rule", field);
  });
  std::sort(all.begin(), all.end(), [](auto& a, auto& b) { return a.first < b.first; });
  co_return all;
}

}  // namespace kiseki::meta::redis
