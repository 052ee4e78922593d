#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <optional>

#include "core/async.hpp"
#include "core/runtime.hpp"
#include "fuse/negotiate.hpp"
#include "fuse/unique_fd.hpp"
#include "vfs/filesystem.hpp"

namespace kiseki::fuse {

struct SessionShared;
class Notifier;

/// A file system served to one kernel mount, by every loop of the runtime.
class Session {
 public:
  Session(Runtime& runtime, vfs::Filesystem& fs, SessionOptions options);
  ~Session();  ///< after `serve` has returned, or was never called
  Session(const Session&) = delete;

  /// Serves `device` (as mount() gave it) until it is unmounted or `stop` is called; then lets what runs end, tells the
  /// file system (`destroyed`) and returns. `taken_over`: the kernel has been greeted before, by a process that handed
  /// the descriptor on. `ready` is called once requests are answered, on a loop. Run it on a loop, once.
  /// Errors: EPROTO, a kernel too old; what the device failed with. Unmounting is success.
  Async<void> serve(UniqueFd device, std::optional<Settings> taken_over = {}, std::function<void()> ready = {});

  /// Any thread: ends `serve` though the kernel still holds the mount (then applications that use it get ENOTCONN).
  void stop();

  /// How long requests that run may take to end once no more come; then they are cancelled.
  void set_grace(std::chrono::milliseconds grace) { grace_ = grace; }

  /// What was agreed with the kernel: to be handed on with the descriptor. Empty before INIT. Any thread.
  std::optional<Settings> settings() const;

 private:
  Result<void> make_workers(int device);
  void greeted(const Settings& settings);
  void ended(std::error_code why);
  asio::awaitable<void> close_workers();

  Runtime& runtime_;
  vfs::Filesystem& fs_;
  std::unique_ptr<SessionShared> shared_;
  std::function<void()> ready_;
  std::unique_ptr<Notifier> notifier_;
  std::chrono::milliseconds grace_{30'000};
  Signal over_;
  UniqueFd device_;

  mutable std::mutex mutex_;  // guards what follows
  std::optional<Settings> settings_;
  std::optional<std::error_code> end_;
};

}  // namespace kiseki::fuse
