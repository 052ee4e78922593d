// Lines of .accesslog, and how they come to who reads it.
#include "vfs/access_log.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "support/run.hpp"
#include "vfs/access_words.hpp"

namespace kiseki::vfs {
namespace {

using namespace std::chrono_literals;

TEST(AccessWords, Names) {
  EXPECT_EQ(words::quoted("plain name\"\\ü\t"), "plain name\"\\ü\t");
  EXPECT_EQ(words::quoted("line\nfeed\"x"), "line\\nfeed\\\"x");
  EXPECT_EQ(words::quoted("a`b"), "a`b") << "only the choice of quotes hangs on it";
  EXPECT_EQ(words::quoted("\x01\xff"), "\\x01\\xff");
}

TEST(AccessWords, ModesAndEntries) {
  EXPECT_EQ(words::mode(S_IFREG | 0644, S_IFMT | 07777), "-rw-r--r--:0100644");
  EXPECT_EQ(words::mode(0755, 07777), "?rwxr-xr-x:00755");
  EXPECT_EQ(words::mode(S_IFDIR | 01777, 07777), "drwxrwxrwt:01777");
  EXPECT_EQ(words::mode(S_IFREG | 06604, 07777), "-rwS--Sr--:06604");
  Attr attr;
  attr.mode = 0644;
  attr.nlink = 1;
  attr.atime = attr.mtime = attr.ctime = {1'795'250'650, 7};
  EXPECT_EQ(words::entry(Ino{1040}, attr), " (1040,[-rw-r--r--:0100644,1,0,0,1795250650,1795250650,1795250650,0])");
  EXPECT_EQ(words::entry(Ino{}, attr), "");
}

TEST(AccessWords, Changes) {
  SetAttr change;
  change.set = meta::kMode | meta::kMtime | meta::kLength;
  change.to.mode = 0600;
  change.to.length = 5;
  change.mtime_now = true;
  EXPECT_EQ(words::changes(change), "0x129,[mode=-rw-------:00600,mtime=NOW,size=5]");
}

TEST(AccessLog, IsWrittenOnlyWhileItIsRead) {
  AccessLog log;
  EXPECT_FALSE(log.is_read());
  {
    AccessLogReader one(log), other(log);
    EXPECT_TRUE(log.is_read());
  }
  EXPECT_FALSE(log.is_read());
}

TEST(AccessLog, EveryReaderGetsEveryLineInPiecesOfAnySize) {
  AccessLog log;
  auto one = std::make_shared<AccessLogReader>(log), other = std::make_shared<AccessLogReader>(log);
  log.write({.uid = 1, .gid = 2, .pid = 3}, "getattr (1)", 405us, {});
  log.write({}, "lookup (1,x)", 1s, posix(ENOENT));
  test::run([one, other]() -> asio::awaitable<void> {
    std::string pieces;
    auto all = co_await AccessLogReader::read(one, 4096);
    CO_ASSERT_OK(all);
    for (int i = 0; i < 200 && pieces.size() < all->size(); ++i) {
      auto some = co_await AccessLogReader::read(other, 1);
      CO_ASSERT_OK(some);
      pieces += *some;
    }
    EXPECT_EQ(pieces, *all);
    EXPECT_EQ(all->substr(26, 54), " [uid:1,gid:2,pid:3] getattr (1) - OK <0.000405>\n" + all->substr(75, 5));
    EXPECT_TRUE(all->ends_with(" lookup (1,x) - no such file or directory <1.000000>\n")) << *all;
    auto silence = co_await AccessLogReader::read(one, 4096);
    CO_ASSERT_OK(silence);
    EXPECT_EQ(*silence, "#\n");
  });
}

TEST(AccessLog, WhoReadsTooSlowlyMissesLines) {
  AccessLog log;
  auto reader = std::make_shared<AccessLogReader>(log);
  for (std::size_t i = 0; i < AccessLogReader::kMostLines + 500; ++i) log.write({}, "x", 0s, {});
  test::run([reader]() -> asio::awaitable<void> {
    auto all = co_await AccessLogReader::read(reader, 2 << 20);
    CO_ASSERT_OK(all);
    EXPECT_EQ(std::count(all->begin(), all->end(), '\n'), std::ptrdiff_t{AccessLogReader::kMostLines});
  });
}

}  // namespace
}  // namespace kiseki::vfs
