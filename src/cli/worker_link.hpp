#pragma once

#include <optional>
#include <string>

#include "cli/worker.hpp"

/// What a worker tells its supervisor, over a Unix socket (SOCK_SEQPACKET): "ready" with the FUSE descriptor, or why it
/// failed. The same message would hand a mount to the process of a newer version.
namespace kiseki::cli {

struct WorkerMessage {
  std::optional<Handover> ready;
  std::string failed;  ///< sentence, when there is no `ready`
};

/// Sends; false when the other end is gone.
bool send_ready(int socket, int device, const fuse::Settings& settings, SessionId session);
bool send_failed(int socket, const std::string& sentence);
/// Waits for the next message; nothing when the other end is gone or a signal came.
std::optional<WorkerMessage> receive(int socket);

}  // namespace kiseki::cli
