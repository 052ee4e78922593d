#include "fuse/encode.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <array>
#include <cstring>

#include "fuse/negotiate.hpp"

namespace kiseki::fuse {
namespace {

vfs::Attr some_attr(meta::FileType type) {
  vfs::Attr attr;
  attr.type = type;
  attr.mode = 04755;
  attr.uid = 1;
  attr.gid = 2;
  attr.nlink = 3;
  attr.length = 513;
  attr.rdev = 0x103;
  attr.mtime = {-5, 999};
  return attr;
}

TEST(Encode, AttributesOfAFile) {
  auto out = encode_attr(Ino{7}, some_attr(meta::FileType::file));
  EXPECT_EQ(out.ino, 7u);
  EXPECT_EQ(out.size, 513u);
  EXPECT_EQ(out.blocks, 2u);
  EXPECT_EQ(out.mode, std::uint32_t{S_IFREG | 04755});
  EXPECT_EQ(static_cast<std::int64_t>(out.mtime), -5);
  EXPECT_EQ(out.mtimensec, 999u);
  EXPECT_EQ(out.nlink, 3u);
}

TEST(Encode, BlocksAsJuiceFsCountsThem) {
  auto dir = some_attr(meta::FileType::directory);
  dir.length = 4096;
  EXPECT_EQ(encode_attr(Ino{7}, dir).blocks, 8u);
  for (auto type :
       {meta::FileType::fifo, meta::FileType::socket, meta::FileType::char_device, meta::FileType::block_device}) {
    auto out = encode_attr(Ino{7}, some_attr(type));
    EXPECT_EQ(out.blocks, 0u);
    EXPECT_EQ(out.rdev, 0x103u);
  }
  auto huge = some_attr(meta::FileType::file);
  huge.length = ~std::uint64_t{0};
  EXPECT_EQ(encode_attr(Ino{7}, huge).blocks, std::uint64_t{1} << 55);
}

TEST(Encode, Validity) {
  vfs::EntryReply entry{Ino{7}, some_attr(meta::FileType::file), std::chrono::milliseconds(1500),
                        std::chrono::nanoseconds(-1)};
  auto out = encode_entry(entry);
  EXPECT_EQ(out.entry_valid, 1u);
  EXPECT_EQ(out.entry_valid_nsec, 500'000'000u);
  EXPECT_EQ(out.attr_valid, 0u);
  EXPECT_EQ(out.attr_valid_nsec, 0u);
  auto negative = encode_entry({Ino{}, {}, std::chrono::seconds(1), {}});
  EXPECT_EQ(negative.nodeid, 0u);
  EXPECT_EQ(negative.attr.mode, 0u);
}

TEST(Encode, OpenFlags) {
  vfs::OpenReply open{HandleId{9}};
  EXPECT_EQ(encode_open(open).open_flags, 0u);
  open.direct_io = open.keep_cache = open.parallel_writes = true;
  auto out = encode_open(open);
  EXPECT_EQ(out.fh, 9u);
  EXPECT_EQ(out.open_flags, std::uint32_t{FOPEN_DIRECT_IO | FOPEN_KEEP_CACHE | FOPEN_PARALLEL_DIRECT_WRITES});
}

TEST(Encode, ListingStopsBeforeWhatDoesNotFit) {
  alignas(8) std::array<std::byte, 64> space{};
  DirWriter writer(space, false);
  EXPECT_TRUE(writer.add({Ino{2}, "a", meta::FileType::directory, 1}));
  EXPECT_FALSE(writer.add({Ino{3}, "a name of nine and more", meta::FileType::file, 2}));
  EXPECT_TRUE(writer.add({Ino{3}, "12345678", meta::FileType::file, 2}));
  EXPECT_EQ(writer.written().size(), 64u);
  fuse_dirent first{};
  std::memcpy(&first, space.data(), sizeof first);
  EXPECT_EQ(first.namelen, 1u);
  EXPECT_EQ(first.type, std::uint32_t{S_IFDIR >> 12});
  EXPECT_EQ(space[24], std::byte{'a'});
  EXPECT_EQ(space[25], std::byte{});
}

TEST(Encode, ListingPlusWithAndWithoutAttributes) {
  alignas(8) std::array<std::byte, 400> space{};
  DirWriter writer(space, true);
  vfs::EntryReply full{Ino{2}, some_attr(meta::FileType::file), std::chrono::seconds(1), std::chrono::seconds(1)};
  EXPECT_TRUE(writer.add({Ino{2}, "known", meta::FileType::file, 1, &full}));
  EXPECT_TRUE(writer.add({Ino{3}, "unknown", meta::FileType::file, 2, nullptr}));
  EXPECT_FALSE(writer.add({Ino{4}, "third", meta::FileType::file, 3, nullptr}));
  fuse_entry_out first{}, second{};
  std::memcpy(&first, space.data(), sizeof first);
  std::memcpy(&second, space.data() + 160, sizeof second);
  EXPECT_EQ(first.nodeid, 2u);
  EXPECT_EQ(second.nodeid, 0u);
}

Init modern(std::uint64_t flags = ~std::uint64_t{0}) { return {7, 45, 1u << 20, flags}; }

TEST(Negotiate, AsksOnlyForWhatIsOffered) {
  auto some = negotiate(modern(FUSE_INIT_EXT | FUSE_MAX_PAGES | FUSE_ASYNC_READ), {});
  ASSERT_TRUE(some);
  EXPECT_EQ(some->settings.flags, std::uint64_t{FUSE_INIT_EXT | FUSE_MAX_PAGES | FUSE_ASYNC_READ});
  EXPECT_EQ(some->out.max_pages, 256u);
  EXPECT_FALSE(some->settings.dialect().setxattr_ext);
}

TEST(Negotiate, OptionsDecide) {
  SessionOptions options;
  options.acl = options.writeback_cache = true;
  options.locks = options.ioctl = options.xattr = false;
  auto flags = negotiate(modern(), options)->settings.flags;
  EXPECT_EQ(flags & (FUSE_POSIX_ACL | FUSE_DONT_MASK | FUSE_WRITEBACK_CACHE),
            std::uint64_t{FUSE_POSIX_ACL | FUSE_DONT_MASK | FUSE_WRITEBACK_CACHE});
  EXPECT_EQ(flags & (FUSE_POSIX_LOCKS | FUSE_FLOCK_LOCKS | FUSE_HAS_IOCTL_DIR), 0u);
  EXPECT_TRUE(flags & FUSE_SETXATTR_EXT) << "ACLs travel as extended attributes";
  options.acl = options.cache_symlinks = false;
  EXPECT_FALSE(negotiate(modern(), options)->settings.flags & (FUSE_SETXATTR_EXT | FUSE_CACHE_SYMLINKS));
  auto usual = negotiate(modern(), {})->settings.flags;
  EXPECT_EQ(
      usual & (FUSE_POSIX_ACL | FUSE_DONT_MASK | FUSE_WRITEBACK_CACHE | FUSE_NO_OPENDIR_SUPPORT | abi::kOverIoUring),
      0u);
  EXPECT_TRUE(usual & FUSE_HANDLE_KILLPRIV_V2 && usual & abi::kDirectIoAllowMmap && usual & FUSE_PARALLEL_DIROPS);
}

TEST(Negotiate, OldNewAndSmall) {
  EXPECT_EQ(negotiate({7, 30, 0, 0}, {}).error(), posix(EPROTO));
  EXPECT_EQ(negotiate({6, 99, 0, 0}, {}).error(), posix(EPROTO));
  auto newer = negotiate({8, 0, 0, 0}, {});
  ASSERT_TRUE(newer);
  EXPECT_EQ(newer->settings.minor, 0u);
  EXPECT_EQ(newer->out.major, 7u);
  auto plain = negotiate({7, 31, 0, 0}, {});
  ASSERT_TRUE(plain);
  EXPECT_EQ(plain->settings.max_write, 128u << 10);  // without MAX_PAGES the kernel stops at 32 pages
  EXPECT_EQ(plain->settings.minor, 31u);
  SessionOptions odd;
  odd.max_write = 100;
  EXPECT_EQ(negotiate(modern(), odd)->settings.max_write, 4096u);
}

}  // namespace
}  // namespace kiseki::fuse
