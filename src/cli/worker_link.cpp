#include "cli/worker_link.hpp"

#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cstring>

#include "core/big_endian.hpp"

namespace kiseki::cli {
namespace {

constexpr std::uint8_t kReady = 1, kFailed = 2;
constexpr std::size_t kMost = 4096;

bool send_packet(int socket, const std::string& bytes, int descriptor) {
  iovec part{const_cast<char*>(bytes.data()), bytes.size()};
  alignas(cmsghdr) char space[CMSG_SPACE(sizeof(int))] = {};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  if (descriptor >= 0) {
    message.msg_control = space;
    message.msg_controllen = sizeof space;
    cmsghdr* head = CMSG_FIRSTHDR(&message);
    head->cmsg_level = SOL_SOCKET;
    head->cmsg_type = SCM_RIGHTS;
    head->cmsg_len = CMSG_LEN(sizeof(int));
    std::memcpy(CMSG_DATA(head), &descriptor, sizeof descriptor);
  }
  return ::sendmsg(socket, &message, MSG_NOSIGNAL) == static_cast<ssize_t>(bytes.size());
}

int descriptor_of(msghdr& message) {
  int out = -1;
  for (cmsghdr* head = CMSG_FIRSTHDR(&message); head; head = CMSG_NXTHDR(&message, head)) {
    if (head->cmsg_level == SOL_SOCKET && head->cmsg_type == SCM_RIGHTS) std::memcpy(&out, CMSG_DATA(head), sizeof out);
  }
  return out;
}

}  // namespace

bool send_ready(int socket, int device, const fuse::Settings& settings, SessionId session) {
  std::string bytes;
  BigEndianWriter(bytes).u8(kReady).u32(settings.minor).u32(settings.max_write).u64(settings.flags).u64(session.value);
  return send_packet(socket, bytes, device);
}

bool send_failed(int socket, const std::string& sentence) {
  std::string bytes;
  BigEndianWriter(bytes).u8(kFailed).bytes(sentence.substr(0, kMost - 1));
  return send_packet(socket, bytes, -1);
}

std::optional<WorkerMessage> receive(int socket) {
  char bytes[kMost];
  iovec part{bytes, sizeof bytes};
  alignas(cmsghdr) char space[CMSG_SPACE(sizeof(int))] = {};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = space;
  message.msg_controllen = sizeof space;
  auto got = ::recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
  if (got <= 0) return std::nullopt;
  fuse::UniqueFd device(descriptor_of(message));
  BigEndianReader reader(std::string_view(bytes, static_cast<std::size_t>(got)));
  WorkerMessage out;
  if (reader.u8() == kFailed) {
    out.failed = reader.bytes(reader.left());
    return out;
  }
  Handover handover;
  handover.settings.minor = reader.u32();
  handover.settings.max_write = reader.u32();
  handover.settings.flags = reader.u64();
  handover.session = SessionId{reader.u64()};
  if (!reader.ok() || !device) return std::nullopt;
  handover.device = std::move(device);
  out.ready = std::move(handover);
  return out;
}

}  // namespace kiseki::cli
