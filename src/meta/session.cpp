#include "meta/session.hpp"

#include <algorithm>
#include <random>

#include "core/log.hpp"
#include "meta/ops/release.hpp"
#include "meta/this_process.hpp"
#include "meta/txn.hpp"

namespace kiseki::meta {

namespace {

constexpr std::int64_t kYear = 365 * 24 * 3600;

std::chrono::nanoseconds jittered(std::chrono::nanoseconds time) {
  thread_local std::minstd_rand random(std::random_device{}());
  auto percent = std::uniform_int_distribution<int>(95, 105)(random);
  return time / 100 * percent;
}

}  // namespace

ClientSession::ClientSession(Client& client, asio::any_io_executor home, SessionInfo info, Options options)
    : client_(client), info_(std::move(info)), options_(std::move(options)), tasks_(std::move(home)) {}

ClientSession::~ClientSession() = default;

std::int64_t ClientSession::expiry() const {
  auto now = client_.clock().now().sec;
  if (options_.heartbeat.count() == 0) return now + kYear;
  return now +
         std::max<std::int64_t>(1, std::chrono::duration_cast<std::chrono::seconds>(5 * options_.heartbeat).count());
}

Async<void> ClientSession::start() {
  if (!client_.options().read_only) CO_CHECK(co_await register_session());
  CO_CHECK(co_await client_.load_quotas(true));
  if (options_.heartbeat.count() > 0) tasks_.spawn(run());
  co_return done();
}

Async<void> ClientSession::register_session() {
  if (options_.reuse.value != 0) {
    client_.set_session(options_.reuse);
    Commit commit;
    commit.writes.push_back(PutSession{options_.reuse, {expiry(), info_.to_json()}});
    CO_TRY(auto outcome, co_await client_.commit(std::move(commit)));
    co_return outcome.applied ? done() : Result<void>(posix(EIO));
  }
  for (int tries = 0; tries < 100; ++tries) {
    Commit number;
    number.writes.push_back(AddCounter{Counter::next_session, 1});
    CO_TRY(auto counted, co_await client_.commit(std::move(number)));
    if (!counted.applied || counted.returned.size() != 1) co_return posix(EIO);
    SessionId sid{static_cast<std::uint64_t>(counted.returned[0])};
    Commit commit;
    commit.checks.push_back(Unchanged{SessionKey{sid}, Record()});
    commit.writes.push_back(PutSession{sid, {expiry(), info_.to_json()}});
    CO_TRY(auto outcome, co_await client_.commit(std::move(commit)));
    if (!outcome.applied) continue;  // the number is taken: the next one
    client_.set_session(sid);
    log::info("meta.session.started", {{"sid", sid.value}});
    co_return done();
  }
  co_return posix(EBUSY);
}

asio::awaitable<void> ClientSession::run() {
  for (;;) {
    co_await sleep_for(jittered(options_.heartbeat));
    auto beaten = co_await beat();
    if (!beaten) log::warn("meta.session.heartbeat_failed", {{"error", beaten.error()}});
  }
}

Async<void> ClientSession::beat() {
  if (!client_.options().read_only) CO_CHECK(co_await refresh_record());
  if (returning_) CO_CHECK(co_await hold_nameless());
  CO_CHECK(co_await reload_format());
  CO_CHECK(co_await client_.load_quotas(true));
  if (client_.options().read_only || !options_.background_jobs) co_return done();
  auto interval = std::chrono::duration_cast<std::chrono::seconds>(options_.heartbeat);
  CO_TRY(auto elected, co_await elect(client_, Counter::last_cleanup_sessions, interval));
  if (elected == Elected::no) co_return done();
  CO_TRY(auto reaped, co_await reap_stale_sessions(client_));
  if (reaped > 0) log::info("meta.session.reaped", {{"sessions", reaped}});
  co_return done();
}

Async<void> ClientSession::refresh_record() {
  auto sid = client_.session();
  Keys keys{SessionKey{sid}};
  CO_TRY(auto records, co_await client_.fetch(std::move(keys)));
  auto* there = std::get_if<Session>(&records[0]);
  if (!there || there->expire < client_.clock().now().sec) {
    if (!returning_) log::warn("meta.session.came_back", {{"sid", sid.value}, {"lost", "its locks"}});
    returning_ = true;
  }
  Commit commit;
  commit.writes.push_back(PutSession{sid, {expiry(), there ? std::string() : info_.to_json()}});
  CO_TRY(auto outcome, co_await client_.commit(std::move(commit)));
  co_return outcome.applied ? done() : Result<void>(posix(EIO));
}

/// The session is in force again: from now on nobody takes anything from it.
Async<void> ClientSession::hold_nameless() {
  std::size_t gone = 0;
  for (Ino ino : client_.open_nameless()) {
    CO_TRY(auto held, co_await sustain_again(client_, ino));
    gone += held == Held::gone;
  }
  returning_ = false;
  if (gone > 0)
    log::error("meta.session.open_files_lost",
               {{"files", gone}, {"reason", "deleted by others, who took this client for dead"}});
  co_return done();
}

void ClientSession::lost(std::string why) {
  if (lost_.exchange(true)) return;
  log::error("meta.volume.lost", {{"why", why}});
  if (options_.on_volume_lost) options_.on_volume_lost(std::move(why));
}

Async<void> ClientSession::reload_format() {
  Keys keys{SettingKey{}};
  CO_TRY(auto records, co_await client_.fetch(std::move(keys)));
  auto* text = std::get_if<std::string>(&records[0]);
  if (!text) co_return lost("the volume's settings are gone: it was destroyed"), done();
  auto format = Format::parse(*text);
  if (!format) {
    log::error("meta.format.unreadable", {{"why", format.error().message}});
    co_return done();  // what we know goes on to hold
  }
  auto current = client_.format();
  if (format->uuid != current->uuid) co_return lost("another volume took the place of this one"), done();
  if (format->meta_version > kMetaVersion)
    co_return lost("the volume's metadata became too new for this client"), done();
  if (format->key_encrypted) {
    if (auto opened = format->decrypt_secrets(); !opened) {
      log::error("meta.format.secrets", {{"why", opened.error().message}});
      co_return done();
    }
  }
  Format changed = std::move(*format);
  changed.key_encrypted = current->key_encrypted;  // in memory the secrets are plain, as at start
  if (changed == *current) co_return done();
  client_.set_format(changed);
  if (options_.on_format_changed) co_return co_await options_.on_format_changed(std::move(changed));
  co_return done();
}

Async<void> ClientSession::close(bool keep_record) {
  co_await tasks_.close();
  auto sid = client_.session();
  if (sid.value == 0 || client_.options().read_only || keep_record || lost_) co_return done();
  auto ended = co_await end_session(client_, sid);
  client_.set_session(SessionId{0});
  co_return ended;
}

// ---- the dead -----------------------------------------------------------------------------------------------------

Async<Elected> elect(Client& client, Counter job, std::chrono::seconds interval) {
  CounterKey key{job};
  Keys keys{key};
  CO_TRY(auto records, co_await client.fetch(std::move(keys)));
  auto* last = std::get_if<std::int64_t>(&records[0]);
  auto now = client.clock().now().sec;
  auto pause = std::max<std::int64_t>(1, interval.count() * 9 / 10);  // not 0: one a second, however often they beat
  if (last && *last > now - pause) co_return Elected::no;
  Commit commit;
  commit.checks.push_back(Unchanged{key, records[0]});
  commit.writes.push_back(PutCounter{job, now});
  CO_TRY(auto outcome, co_await client.commit(std::move(commit)));
  co_return outcome.applied ? Elected::yes : Elected::no;  // else someone was faster
}

Async<void> end_session(Client& client, SessionId sid) {
  Commit locks;
  locks.writes.push_back(EraseLocksOf{sid});
  CO_TRY(auto dropped, co_await client.commit(std::move(locks)));
  if (!dropped.applied) co_return posix(EIO);
  CO_TRY(auto held, co_await client.engine().scan_locks(sid));
  for (Ino ino : held.sustained) CO_CHECK(co_await release_sustained_of(client, sid, ino));
  Commit commit;
  commit.writes.push_back(EraseSession{sid});
  CO_TRY(auto outcome, co_await client.commit(std::move(commit)));
  co_return outcome.applied ? done() : Result<void>(posix(EIO));
}

namespace {

/// A change that others make to a dead session: ECANCELED when it came back.
Async<void> commit_if_dead(Client& client, SessionId sid, const Session& dead, Write write) {
  Commit commit;
  commit.checks.push_back(Unchanged{SessionKey{sid}, dead});
  commit.writes.push_back(std::move(write));
  CO_TRY(auto outcome, co_await client.commit(std::move(commit)));
  co_return outcome.applied ? done() : Result<void>(posix(ECANCELED));
}

enum class Buried { yes, not_yet };

Async<Buried> bury(Client& client, SessionId sid, Session dead) {
  CO_TRY(auto held, co_await client.engine().scan_locks(sid));
  auto info = SessionInfo::parse(dead.info);
  auto in_grace = dead.expire >= client.clock().now().sec - kNamelessGrace.count() &&
                  !(info && has_ended(info->process, info->process_id));
  auto keep = in_grace && !held.sustained.empty();
  if (!keep || !held.file_locks.empty() || !held.range_locks.empty())
    CO_CHECK(co_await commit_if_dead(client, sid, dead, EraseLocksOf{sid}));
  if (keep) co_return Buried::not_yet;
  for (Ino ino : held.sustained) CO_CHECK(co_await release_sustained_of(client, sid, ino, dead));
  CO_CHECK(co_await commit_if_dead(client, sid, dead, EraseSession{sid}));
  co_return Buried::yes;
}

}  // namespace

Async<std::size_t> reap_stale_sessions(Client& client) {
  CO_TRY(auto sessions, co_await client.engine().scan_sessions());
  auto now = client.clock().now().sec;
  std::size_t reaped = 0;
  for (auto& [sid, session] : sessions) {
    if (session.expire >= now || sid == client.session() || reaped >= 1000) continue;
    auto buried = co_await bury(client, sid, session);
    if (!buried) {
      log::warn("meta.session.reap_failed", {{"sid", sid.value}, {"error", buried.error()}});
      continue;
    }
    if (*buried == Buried::not_yet) continue;
    log::info("meta.session.reap", {{"sid", sid.value}});
    ++reaped;
  }
  co_return reaped;
}

}  // namespace kiseki::meta
