#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <future>
#include <memory>
#include <optional>
#include <thread>

#include "core/runtime.hpp"
#include "fuse/session.hpp"
#include "message.hpp"

namespace kiseki::fuse::test {

/// An answer as the kernel would get it.
struct Reply {
  int error = 0;  ///< a positive errno
  std::uint64_t unique = 0;
  Bytes body;
  template <class T>
  T as() const {
    T out{};
    EXPECT_GE(body.size(), sizeof out);
    if (body.size() >= sizeof out) std::memcpy(&out, body.data(), sizeof out);
    return out;
  }
};

/// The kernel's side of a session: a socket that keeps messages apart stands for /dev/fuse.
class FakeKernel {
 public:
  FakeKernel(vfs::Filesystem& fs, SessionOptions options = {}, unsigned loops = 2, bool greet = true)
      : runtime_({.loops = loops, .pin = false}), session_(runtime_, fs, options) {
    int ends[2];
    if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) throw std::runtime_error("socketpair");
    kernel_ = UniqueFd(ends[0]);
    int room = 4 << 20;
    ::setsockopt(ends[1], SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
    ::fcntl(ends[1], F_SETFL, O_NONBLOCK);
    runtime_.start();
    served_ = std::async(std::launch::async,
                         [this, device = ends[1]] { return runtime_.wait(session_.serve(UniqueFd(device))); });
    if (greet) init();
  }
  ~FakeKernel() {
    if (kernel_) unmount();
    if (served_.valid()) EXPECT_TRUE(end());
  }

  Reply init(std::uint64_t flags = ~(std::uint64_t{1} << 31)) {
    fuse_init_in in{7, 45, 1u << 20, static_cast<std::uint32_t>(flags), static_cast<std::uint32_t>(flags >> 32), {}};
    send(message(FUSE_INIT, 2, 0, in));
    return receive();
  }

  template <class... Arguments>
  Reply ask(std::uint32_t opcode, std::uint64_t node, const Arguments&... arguments) {
    auto unique = next();
    send(message(opcode, unique, node, arguments...));
    auto reply = receive();
    EXPECT_EQ(reply.unique, unique);
    return reply;
  }
  /// Without waiting; returns the request's number.
  template <class... Arguments>
  std::uint64_t tell(std::uint32_t opcode, std::uint64_t node, const Arguments&... arguments) {
    auto unique = next();
    send(message(opcode, unique, node, arguments...));
    return unique;
  }
  void interrupt(std::uint64_t unique) {
    send(message(FUSE_INTERRUPT, unique | abi::kInterruptBit, 0, fuse_interrupt_in{unique}));
  }

  void send(const Bytes& bytes) {
    EXPECT_EQ(::write(kernel_.get(), bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
  }
  /// The next answer; the test fails when none comes in 10 s.
  Reply receive() {
    pollfd one{kernel_.get(), POLLIN, 0};
    if (::poll(&one, 1, 10'000) != 1) return ADD_FAILURE() << "no answer", Reply{};
    Bytes bytes(4 << 20);
    auto n = ::read(kernel_.get(), bytes.data(), bytes.size());
    fuse_out_header header{};
    if (n < static_cast<ssize_t>(sizeof header)) return ADD_FAILURE() << "a short answer", Reply{};
    std::memcpy(&header, bytes.data(), sizeof header);
    EXPECT_EQ(header.len, static_cast<std::uint32_t>(n));
    bytes.resize(static_cast<std::size_t>(n));
    bytes.erase(bytes.begin(), bytes.begin() + sizeof header);
    return {-header.error, header.unique, std::move(bytes)};
  }
  bool silent(int ms) {
    pollfd one{kernel_.get(), POLLIN, 0};
    return ::poll(&one, 1, ms) == 0;
  }

  void unmount() { kernel_ = {}; }
  /// What `serve` returned, once it has.
  Result<void> end() {
    if (served_.wait_for(std::chrono::seconds(20)) != std::future_status::ready) {
      ADD_FAILURE() << "the session does not end";
      std::abort();
    }
    return served_.get();
  }
  Session& session() { return session_; }
  Runtime& runtime() { return runtime_; }

 private:
  std::uint64_t next() { return unique_ += 2; }

  Runtime runtime_;
  Session session_;
  UniqueFd kernel_;
  std::uint64_t unique_ = 100;
  std::future<Result<void>> served_;
};

}  // namespace kiseki::fuse::test
