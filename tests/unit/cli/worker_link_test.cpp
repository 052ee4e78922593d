// The descriptor and what was agreed with the kernel travel from worker to supervisor.
#include "cli/worker_link.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

namespace kiseki::cli {
namespace {

struct Link {
  Link() { EXPECT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0); }
  ~Link() {
    for (int end : ends) ::close(end);
  }
  int ends[2] = {-1, -1};
};

TEST(WorkerLink, ReadyCarriesTheDescriptor) {
  Link link;
  int pipe[2];
  ASSERT_EQ(::pipe(pipe), 0);
  ASSERT_TRUE(send_ready(link.ends[0], pipe[1], {.minor = 45, .max_write = 1u << 20, .flags = 0x123456789abcull},
                         SessionId{7}));
  auto message = receive(link.ends[1]);
  ASSERT_TRUE(message && message->ready);
  EXPECT_EQ(message->ready->settings.minor, 45u);
  EXPECT_EQ(message->ready->settings.max_write, 1u << 20);
  EXPECT_EQ(message->ready->settings.flags, 0x123456789abcull);
  EXPECT_EQ(message->ready->session, SessionId{7});
  ASSERT_EQ(::write(message->ready->device.get(), "x", 1), 1);
  char got = 0;
  EXPECT_EQ(::read(pipe[0], &got, 1), 1);
  EXPECT_EQ(got, 'x');
  ::close(pipe[0]);
  ::close(pipe[1]);
}

TEST(WorkerLink, FailureCarriesItsSentence) {
  Link link;
  ASSERT_TRUE(send_failed(link.ends[0], "no such volume"));
  auto message = receive(link.ends[1]);
  ASSERT_TRUE(message);
  EXPECT_FALSE(message->ready);
  EXPECT_EQ(message->failed, "no such volume");
}

TEST(WorkerLink, GarbageAndSilenceAreNothing) {
  Link link;
  ASSERT_EQ(::send(link.ends[0], "\x01zz", 3, 0), 3);
  EXPECT_FALSE(receive(link.ends[1]));
  ::shutdown(link.ends[0], SHUT_RDWR);
  EXPECT_FALSE(receive(link.ends[1]));
}

}  // namespace
}  // namespace kiseki::cli
