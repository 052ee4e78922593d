#pragma once

#include <functional>
#include <string>

#include "cli/mount_plan.hpp"

namespace kiseki::cli {

/// Says how a background mount began, once: an empty sentence is success.
using Report = std::function<void(const std::string& failure)>;

/// Runs the worker in a child, holds the mount's FUSE descriptor, and starts another worker on it when one dies: the
/// mount survives, files open at that moment do not. While no worker can start (a database is away) applications wait;
/// `RestartPolicy` says when to give up. Then it unmounts.
/// Single-threaded; it never opens the volume itself. Returns the exit code of the process.
int supervise(const MountPlan& plan, const Report& report);

}  // namespace kiseki::cli
