#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "chunk/block_key.hpp"
#include "cli/mount_plan.hpp"
#include "cli/volume_meter.hpp"
#include "core/memory.hpp"
#include "core/runtime.hpp"
#include "fuse/session.hpp"
#include "meta/housekeeper.hpp"
#include "meta/open_engine.hpp"
#include "meta/session.hpp"
#include "net/metrics_server.hpp"
#include "object/open_store.hpp"
#include "object/rate_limit.hpp"
#include "object/store.hpp"
#include "vfs/file_data.hpp"
#include "vfs/logged_filesystem.hpp"
#include "vfs/reaper.hpp"
#include "vfs/volume.hpp"

namespace kiseki::cli {

/// A volume with everything that serves it: the composition root. Members stand in the order they are built; shutdown
/// goes backwards (see `close`).
class MountedVolume {
 public:
  explicit MountedVolume(MountPlan plan);
  ~MountedVolume();

  /// Opens database and store, reads the format, joins the volume as a session. `reuse`: the session of the process
  /// we continue. `lost`: called once, from a loop, when the volume is gone and the mount must end.
  Try<void> open(SessionId reuse, std::function<void(std::string why)> lost);

  const meta::Format& format() const { return *format_; }
  SessionId session_id() const { return client_->session(); }
  fuse::MountOptions device_options() const;

  /// Answers the kernel until it is unmounted or `stop`. `ready`: from a loop, when requests are answered; `ended`:
  /// once, from a loop, with what serving came to.
  void serve(fuse::UniqueFd device, std::optional<fuse::Settings> taken_over, std::function<void()> ready,
             std::function<void(Result<void>)> ended);
  void stop() { session_->stop(); }
  std::optional<fuse::Settings> settings() const { return session_->settings(); }

  /// Shutdown, after `ended`: files are flushed by then (Filesystem::destroyed). Then, in this order: the metrics page,
  /// the hourly jobs, deletions under way, the data path, the session record, the engine; last the loops.
  /// The session of a process that we were to continue, and did not get to serve for, is left to the next try.
  void close();

 private:
  Try<void> open_metadata(SessionId reuse, std::function<void(std::string)> lost);
  Try<void> open_store();
  void follow_rates(const meta::Format& format);
  Async<void> follow_format(meta::Format format);
  void reopen_store(const meta::Format& format);
  Try<object::StoreSpec> spec_of(const meta::Format& format) const;
  void warn_of_missing_objects() const;
  Try<void> make_arena(std::size_t set_apart);
  Try<void> open_volume();
  Try<void> find_root();
  void start_metrics();
  asio::awaitable<void> shut_down();
  vfs::FileDataOptions data_options(const chunk::BlockLayout& layout);

  MountPlan plan_;
  std::optional<meta::Format> format_;
  Runtime runtime_;
  std::unique_ptr<BufferArena> arena_;
  std::shared_ptr<SystemClock> clock_;
  std::shared_ptr<meta::MetaEngine> engine_;
  std::shared_ptr<object::Rates> rates_ = std::make_shared<object::Rates>();
  object::StorePtr store_;
  std::mutex opening_store_;                           // guards the two below
  object::StoreSpec spec_;                             // what the store was opened by
  std::shared_ptr<object::ReplaceableStore> buckets_;  // its innermost part
  std::unique_ptr<meta::Client> client_;
  std::unique_ptr<meta::ClientSession> membership_;
  bool resumed_ = false;             ///< serves on after another process
  std::atomic<bool> served_{false};  ///< requests were answered
  std::unique_ptr<vfs::FileData> data_;
  std::unique_ptr<vfs::SliceReaper> reaper_;
  std::unique_ptr<meta::Housekeeper> housekeeper_;
  std::unique_ptr<vfs::Volume> volume_;
  std::unique_ptr<vfs::LoggedFilesystem> logged_;
  std::unique_ptr<fuse::Session> session_;
  std::unique_ptr<VolumeMeter> meter_;
  std::unique_ptr<net::MetricsServer> metrics_;
  std::unique_ptr<TaskGroup> serving_;
};

}  // namespace kiseki::cli
