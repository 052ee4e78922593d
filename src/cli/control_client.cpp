#include "cli/control_client.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <thread>

#include "core/big_endian.hpp"

namespace kiseki::cli {
namespace {

using namespace std::chrono_literals;

constexpr std::uint32_t kInfoV2 = 1005;
constexpr unsigned char kProgress = 0xFE, kData = 0xFF;
constexpr std::size_t kMaxReply = 1u << 30;

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  int get() const { return fd_; }

 private:
  int fd_;
};

Failure system_failure(const std::string& what) {
  return failure(what, std::error_code(errno, std::generic_category()));
}

/// More bytes of the reply. Nothing ready reads as the end of the file: then wait, longer each time.
Try<void> read_more(int fd, std::string& reply, std::chrono::milliseconds& pause) {
  char chunk[65536];
  for (;;) {
    auto got = ::read(fd, chunk, sizeof chunk);
    if (got < 0) return system_failure("reading the mount's answer");
    pause = got > 0 ? std::max(pause / 2, 1ms) : std::min(pause * 2, 300ms);
    if (got > 0) return reply.append(chunk, static_cast<std::size_t>(got)), Try<void>(boost::system::in_place_value);
    std::this_thread::sleep_for(pause);
  }
}

/// The final item: data, or a status byte where data should be.
Try<std::string> read_reply(int fd) {
  std::string reply;
  auto pause = 1ms;
  for (;;) {
    while (reply.size() >= 17 && static_cast<unsigned char>(reply[0]) == kProgress) reply.erase(0, 17);
    if (!reply.empty() && static_cast<unsigned char>(reply[0]) == kData && reply.size() >= 5) {
      std::size_t length = BigEndianReader(std::string_view(reply).substr(1)).u32();
      if (length > kMaxReply) return Failure{Exit::failed, "the mount's answer makes no sense"};
      if (reply.size() >= 5 + length) return reply.substr(5, length);
    } else if (reply.size() == 1 && static_cast<unsigned char>(reply[0]) < kProgress) {
      return Failure{Exit::failed, fmt::format("the mount refused: {}", std::strerror(reply[0]))};
    }
    if (auto more = read_more(fd, reply, pause); !more) return more.error();
  }
}

}  // namespace

Try<std::string> ask_info(const std::string& dir, const InfoQuery& query) {
  std::string body, request;
  BigEndianWriter(body).u64(query.inode).u8(query.recursive).u8(query.raw).u8(query.strict);
  BigEndianWriter(request).u32(kInfoV2).u32(static_cast<std::uint32_t>(body.size())).bytes(body);

  int fd = -1;
  for (auto name : {"/.jfs.control", "/.control"}) {
    if (fd < 0) fd = ::open((dir + name).c_str(), O_RDWR | O_CLOEXEC);
  }
  if (fd < 0) return Failure{Exit::failed, fmt::format("{} is not inside a mounted volume", dir)};
  Descriptor control(fd);
  if (::write(fd, request.data(), request.size()) != static_cast<ssize_t>(request.size())) {
    return system_failure("asking the mount");
  }
  return read_reply(fd);  // at the offset where our own bytes end
}

}  // namespace kiseki::cli
