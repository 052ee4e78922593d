#include <fmt/format.h>

#include <boost/json.hpp>
#include <cstdio>
#include <ctime>

#include "cli/json_text.hpp"
#include "cli/locations.hpp"
#include "cli/meta_access.hpp"
#include "cli/settings.hpp"
#include "cli/usage_count.hpp"
#include "meta/ops.hpp"

namespace kiseki::cli {
namespace {

namespace json = boost::json;

json::value parsed(const std::string& text) {
  boost::system::error_code ec;
  auto value = json::parse(text, ec);
  return ec ? json::value(nullptr) : value;
}

std::string rfc3339(std::int64_t seconds) {
  auto when = static_cast<std::time_t>(seconds);
  std::tm tm{};
  ::gmtime_r(&when, &tm);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &tm);
  return text;
}

/// Sid, Expire, and what the client said about itself.
json::object session_json(SessionId sid, const meta::Session& session) {
  json::object out{{"Sid", sid.value}, {"Expire", rfc3339(session.expire)}};
  if (auto info = parsed(session.info); info.is_object()) {
    for (const auto& member : info.get_object())
      if (member.key() != "Process") out[member.key()] = member.value();  // JuiceFS has none
  }
  return out;
}

void add_locks(json::object& out, const meta::SessionLocks& locks) {
  json::array sustained, flocks, plocks;
  for (auto ino : locks.sustained) sustained.push_back(ino.value);
  for (const auto& [ino, lock] : locks.file_locks) {
    flocks.push_back({{"Inode", ino.value}, {"Owner", lock.owner}, {"Ltype", lock.exclusive ? "W" : "R"}});
  }
  for (const auto& [ino, table] : locks.range_locks) {
    json::array records;
    for (const auto& range : table.ranges) {
      records.push_back({{"Type", range.type}, {"Pid", range.pid}, {"Start", range.start}, {"End", range.end}});
    }
    plocks.push_back({{"Inode", ino.value}, {"Owner", table.owner}, {"Records", std::move(records)}});
  }
  if (!sustained.empty()) out["Sustained"] = std::move(sustained);
  if (!flocks.empty()) out["Flocks"] = std::move(flocks);
  if (!plocks.empty()) out["Plocks"] = std::move(plocks);
}

Failure engine_failure(std::error_code why) { return failure("cannot read the volume's metadata", why); }

asio::awaitable<Try<json::value>> one_session(meta::MetaEngine& engine, SessionId wanted) {
  auto sessions = co_await engine.scan_sessions();
  if (!sessions) co_return engine_failure(sessions.error());
  for (const auto& [sid, session] : *sessions) {
    if (sid != wanted) continue;
    auto locks = co_await engine.scan_locks(sid);
    if (!locks) co_return engine_failure(locks.error());
    auto out = session_json(sid, session);
    add_locks(out, *locks);
    co_return json::value(std::move(out));
  }
  co_return Failure{Exit::failed, fmt::format("there is no session {}", wanted.value)};
}

void add_count(json::object& out, const char* name, CountedBytes counted) {
  if (counted.count) out[fmt::format("{}Count", name)] = counted.count;
  if (counted.bytes) out[fmt::format("{}Size", name)] = counted.bytes;
}

asio::awaitable<Try<json::value>> volume_stat(meta::Client& client, bool more) {
  auto usage = co_await meta::usage(client);
  if (!usage) co_return engine_failure(usage.error());
  json::object out{{"UsedSpace", usage->used_bytes},
                   {"AvailableSpace", usage->available_bytes},
                   {"UsedInodes", usage->used_inodes},
                   {"AvailableInodes", usage->available_inodes}};
  if (!more) co_return json::value(std::move(out));
  auto leftovers = co_await count_leftovers(client.engine());
  if (!leftovers) co_return engine_failure(leftovers.error());
  add_count(out, "TrashFile", leftovers->trash_files);
  add_count(out, "PendingDeletedFile", leftovers->deleted_files);
  add_count(out, "TrashSlice", leftovers->delayed_slices);
  add_count(out, "PendingDeletedSlice", leftovers->dead_slices);
  co_return json::value(std::move(out));
}

asio::awaitable<Try<json::value>> whole_status(meta::Client& client, const meta::Format& format, bool more) {
  auto sessions = co_await client.engine().scan_sessions();
  if (!sessions) co_return engine_failure(sessions.error());
  json::array listed;
  for (const auto& [sid, session] : *sessions) listed.push_back(session_json(sid, session));
  CO_TRY(auto stat, co_await volume_stat(client, more));
  co_return json::value{
      {"Setting", parsed(format.redacted().to_json())}, {"Sessions", std::move(listed)}, {"Stat", std::move(stat)}};
}

}  // namespace

Try<int> run_status(const Settings& settings) {
  TRY(auto url, absolute_meta_url(settings.arguments()[0]));
  TRY(auto meta, MetaAccess::open(url, meta::OpenMode::read_only));
  TRY(auto format, meta->read_format());
  auto sid = settings.count("session");
  auto answer = meta->runtime().wait(sid ? one_session(meta->engine(), SessionId{sid})
                                         : whole_status(meta->client(format), format, settings.on("more")));
  if (!answer) return answer.error();
  std::fputs(pretty_json(*answer).c_str(), stdout);
  return 0;
}

}  // namespace kiseki::cli
