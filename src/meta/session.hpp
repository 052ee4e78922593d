#pragma once

#include <atomic>
#include <boost/asio/any_io_executor.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/async.hpp"
#include "meta/client.hpp"

namespace kiseki::meta {

/// What `status` shows of a client; stored as JSON in the session record (sql.md section 10).
struct SessionInfo {
  std::string version, host, mount_point;
  std::vector<std::string> addresses;
  Timestamp mounted_at;
  std::int64_t process_id = 0;
  std::string process = {};  ///< process_mark(), our own addition; empty: JuiceFS's

  static SessionInfo of_this_process(std::string version, std::string mount_point, Timestamp now);
  std::string to_json() const;
  static Result<SessionInfo> parse(std::string_view json);  ///< EINVAL
};

/// This client among the others of its volume: registered, heard of every heartbeat, cleaned up after at the end. It
/// also buries the dead (elected among all clients) and rereads the volume's format and quotas. After a time in which
/// it could not be heard of and others took it for dead, it registers anew, with all it holds open without a name.
/// `start` once, `close` before destruction; both on the home executor.
class ClientSession {
 public:
  struct Options {
    std::chrono::milliseconds heartbeat{std::chrono::seconds(12)};  ///< 0: one year's expiry and no refresh
    bool background_jobs = true;                                    ///< false: never reaps (--no-bgjob)
    SessionId reuse;  ///< a session of ours to go on with (restart of the process), or 0
    /// The volume is gone, was replaced, or became too new: the mount must end. Called at most once.
    std::function<void(std::string why)> on_volume_lost;
    /// Awaited by the heartbeat that read the new settings, which the client has by then.
    std::function<Async<void>(Format)> on_format_changed;
  };
  ClientSession(Client& client, asio::any_io_executor home, SessionInfo info, Options options);
  ~ClientSession();

  /// Registers and starts the heartbeat. A read-only client gets no session and only rereads the format.
  Async<void> start();
  /// Stops the heartbeat, gives up locks and open deleted files, removes the record. With `keep_record` a successor
  /// process goes on with this session.
  Async<void> close(bool keep_record = false);

  /// One heartbeat: expiry, format, quotas, dead sessions. For tests, and by itself every 12 s.
  Async<void> beat();

 private:
  asio::awaitable<void> run();
  Async<void> register_session();
  Async<void> refresh_record();
  Async<void> hold_nameless();
  Async<void> reload_format();
  void lost(std::string why);
  std::int64_t expiry() const;

  Client& client_;
  const SessionInfo info_;
  const Options options_;
  std::atomic<bool> lost_{false};
  bool returning_ = false;  ///< others took us for dead; what we hold may have to be noted again
  TaskGroup tasks_;
};

/// True once per `interval` among all clients of the volume: the counter holds when the job last ran (sql.md section
/// 9).
enum class Elected { yes, no };
Async<Elected> elect(Client& client, Counter job, std::chrono::seconds interval);

/// What a session holds open without a name outlives its expiry by this much: a client that stood still meanwhile (a
/// laptop asleep, a machine suspended) comes back to it. Not if it was a process of this machine, and has ended.
inline constexpr std::chrono::seconds kNamelessGrace{3600};

/// Ends sessions whose expiry has passed: their locks go; then, after kNamelessGrace if they hold any, the files that
/// they held open without a name; then the record. Nothing is taken from a session that comes back meanwhile. Answers
/// how many were ended.
Async<std::size_t> reap_stale_sessions(Client& client);
/// Ends one session at once, whatever its expiry.
Async<void> end_session(Client& client, SessionId sid);

}  // namespace kiseki::meta
