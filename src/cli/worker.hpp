#pragma once

#include <functional>
#include <optional>
#include <string>

#include "cli/failure.hpp"
#include "cli/mount_plan.hpp"
#include "core/ids.hpp"
#include "fuse/session.hpp"
#include "fuse/unique_fd.hpp"

namespace kiseki::cli {

/// What a process needs to continue the mount of another: the kernel's end, what was agreed with it, the session.
struct Handover {
  fuse::UniqueFd device;
  fuse::Settings settings;
  SessionId session;
};

/// Told once when the mount answers. `device` is borrowed: duplicate it to keep the mount alive.
using OnReady = std::function<void(int device, const fuse::Settings& settings, SessionId session)>;

/// Mounts and serves until unmounted, SIGTERM or SIGINT; then flushes and leaves the volume. Blocks; owns the process's
/// threads, so the caller must have none. `continued`: serve this instead of mounting. Returns the exit code.
Try<int> serve_mount(MountPlan plan, std::optional<Handover> continued, OnReady ready);

}  // namespace kiseki::cli
