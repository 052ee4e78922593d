#pragma once

#include "meta/engine.hpp"
#include "meta/redis/key_names.hpp"
#include "net/redis/client.hpp"

/// The engine's scans: in pages where the server can give them. What cannot be read of a listing is logged and left
/// out, so that one damaged record does not hide the others.
namespace kiseki::meta::redis {

struct Connected {
  net::redis::Client& client;
  const KeyNames& names;
};

Async<EntryPage> scan_entries(Connected to, Ino dir, std::string cursor, std::size_t limit, bool with_attrs);
Async<std::vector<StoredChunk>> scan_chunks(Connected to, Ino ino, std::uint64_t length);
Async<std::vector<ChunkIndex>> find_chunks(Connected to, Ino ino, ChunkIndex first, ChunkIndex end);
Async<std::vector<std::pair<SessionId, Session>>> scan_sessions(Connected to);
Async<SessionLocks> scan_locks(Connected to, SessionId sid);
Async<std::vector<DeletedFile>> scan_deleted_files(Connected to, std::int64_t removed_before, std::size_t limit);
Async<std::vector<std::pair<SliceId, SliceRef>>> scan_dead_slices(Connected to, std::size_t limit);
Async<std::vector<DelayedSlices>> scan_delayed_slices(Connected to, std::int64_t replaced_before, std::size_t limit);
Async<std::vector<std::pair<QuotaKey, Quota>>> scan_quotas(Connected to);
Async<std::vector<std::pair<std::uint32_t, AclRule>>> scan_acls(Connected to);

/// Asks what is harmless to ask again, and makes of an error reply the error it means.
Async<net::redis::Reply> ask(net::redis::Client& client, net::redis::Command command);
Async<net::redis::Replies> ask_all(net::redis::Client& client, net::redis::Commands commands,
                                   net::redis::Resend resend = net::redis::Resend::when_lost);
/// What an error reply means; logs the server's words when nothing better is known than EIO.
std::error_code error_of(const net::redis::Reply& reply);

}  // namespace kiseki::meta::redis
