#include "fuse/decode.hpp"

#include <gtest/gtest.h>

#include <deque>

#include "message.hpp"

namespace kiseki::fuse {
namespace {

using namespace test;

/// The request as type T, whose views stay good; the test fails when it is something else.
template <class T>
T decoded(Bytes from, Dialect dialect = {}) {
  static std::deque<Bytes> kept;
  const auto& bytes = kept.emplace_back(std::move(from));
  auto request = frame(bytes);
  EXPECT_TRUE(request) << request.error().message();
  if (!request) return {};
  auto body = decode(*request, dialect);
  EXPECT_TRUE(body) << body.error().message();
  if (!body || !std::holds_alternative<T>(*body)) {
    ADD_FAILURE() << "another type";
    return {};
  }
  return std::get<T>(*body);
}

int refusal(const Bytes& bytes) {
  auto request = frame(bytes);
  if (!request) return to_errno(request.error());
  auto body = decode(*request, {});
  return body ? 0 : to_errno(body.error());
}

TEST(Frame, RefusesWhatIsShortOrLies) {
  EXPECT_EQ(refusal({}), EPROTO);
  EXPECT_EQ(refusal(Bytes(39)), EPROTO);
  auto lies = message(FUSE_STATFS, 2, 1);
  lies.push_back(std::byte{});
  EXPECT_EQ(refusal(lies), EPROTO);
}

TEST(Frame, SkipsExtensions) {
  auto bytes = message(FUSE_MKDIR, 2, 1, fuse_mkdir_in{0755, 022}, "dir\0"sv, std::uint64_t{7});
  reinterpret_cast<fuse_in_header*>(bytes.data())->total_extlen = 1;
  EXPECT_EQ(decoded<Mkdir>(bytes).name, "dir");
  reinterpret_cast<fuse_in_header*>(bytes.data())->total_extlen = 1000;
  EXPECT_EQ(refusal(bytes), EPROTO);
}

TEST(Decode, Names) {
  EXPECT_EQ(decoded<Lookup>(message(FUSE_LOOKUP, 2, 1, "a b\0"sv)).name, "a b");
  EXPECT_EQ(decoded<Unlink>(message(FUSE_UNLINK, 2, 1, "x\0"sv)).name, "x");
  EXPECT_EQ(decoded<Rmdir>(message(FUSE_RMDIR, 2, 1, "x\0"sv)).name, "x");
  auto symlink = decoded<Symlink>(message(FUSE_SYMLINK, 2, 1, "name\0../target\0"sv));
  EXPECT_EQ(symlink.name, "name");
  EXPECT_EQ(symlink.target, "../target");
  EXPECT_EQ(decoded<Removexattr>(message(FUSE_REMOVEXATTR, 2, 1, "user.k\0"sv)).name, "user.k");
}

TEST(Decode, NamesThatAreNone) {
  EXPECT_EQ(refusal(message(FUSE_LOOKUP, 2, 1, "no end"sv)), EINVAL);
  EXPECT_EQ(refusal(message(FUSE_LOOKUP, 2, 1, "\0"sv)), EINVAL);
  EXPECT_EQ(refusal(message(FUSE_LOOKUP, 2, 1, "a/b\0"sv)), EINVAL);
  EXPECT_EQ(refusal(message(FUSE_LOOKUP, 2, 1)), EINVAL);
  EXPECT_EQ(refusal(message(FUSE_SYMLINK, 2, 1, "only one\0"sv)), EINVAL);
  EXPECT_EQ(refusal(message(FUSE_RENAME, 2, 1, fuse_rename_in{3}, "only one\0"sv)), EINVAL);
}

TEST(Decode, Forgets) {
  EXPECT_EQ(decoded<Forget>(message(FUSE_FORGET, 2, 9, fuse_forget_in{5})).lookups, 5u);
  auto bytes =
      message(FUSE_BATCH_FORGET, 2, 0, fuse_batch_forget_in{2, 0}, fuse_forget_one{7, 1}, fuse_forget_one{8, 3});
  auto batch = decoded<BatchForget>(bytes);
  ASSERT_EQ(batch.count, 2u);
  EXPECT_EQ(batch.at(1).ino, Ino{8});
  EXPECT_EQ(batch.at(1).lookups, 3u);
  EXPECT_EQ(refusal(message(FUSE_BATCH_FORGET, 2, 0, fuse_batch_forget_in{0xFFFFFFFF, 0}, fuse_forget_one{7, 1})),
            EINVAL);
  EXPECT_FALSE(wants_reply(FUSE_FORGET) || wants_reply(FUSE_BATCH_FORGET) || wants_reply(FUSE_INTERRUPT));
}

TEST(Decode, Getattr) {
  EXPECT_FALSE(decoded<Getattr>(message(FUSE_GETATTR, 2, 9, fuse_getattr_in{0, 0, 77})).handle);
  EXPECT_EQ(decoded<Getattr>(message(FUSE_GETATTR, 2, 9, fuse_getattr_in{FUSE_GETATTR_FH, 0, 77})).handle,
            HandleId{77});
  EXPECT_EQ(refusal(message(FUSE_GETATTR, 2, 9, std::uint64_t{})), EINVAL);
}

TEST(Decode, SetattrTakesWhatIsValid) {
  fuse_setattr_in in{};
  in.valid = FATTR_MODE | FATTR_SIZE | FATTR_MTIME | FATTR_ATIME_NOW | FATTR_FH | FATTR_KILL_SUIDGID;
  in.mode = 0104755;
  in.size = 4096;
  in.uid = 5;
  in.mtime = static_cast<std::uint64_t>(-2);
  in.mtimensec = 500;
  in.fh = 3;
  auto change = decoded<Setattr>(message(FUSE_SETATTR, 2, 9, in)).change;
  EXPECT_EQ(change.set, std::uint32_t{meta::kMode | meta::kLength | meta::kMtime | meta::kAtime});
  EXPECT_EQ(change.to.mode, 04755);
  EXPECT_EQ(change.to.length, 4096u);
  EXPECT_EQ(change.to.mtime, (Timestamp{-2, 500}));
  EXPECT_EQ(change.to.uid, 0u);
  EXPECT_TRUE(change.atime_now && change.kill_suidgid && !change.mtime_now);
  EXPECT_EQ(change.handle, HandleId{3});
}

TEST(Decode, SetattrBoundsNanoseconds) {
  fuse_setattr_in in{};
  in.valid = FATTR_ATIME;
  in.atimensec = 0xFFFFFFFF;
  EXPECT_EQ(decoded<Setattr>(message(FUSE_SETATTR, 2, 9, in)).change.to.atime.nsec, 999'999'999u);
}

TEST(Decode, MakingAndMoving) {
  auto node = decoded<Mknod>(message(FUSE_MKNOD, 2, 1, fuse_mknod_in{020644, 0x103, 022, 0}, "null\0"sv));
  EXPECT_EQ(node.name, "null");
  EXPECT_EQ(node.mode, 020644u);
  EXPECT_EQ(node.rdev, 0x103u);
  EXPECT_EQ(node.umask, 022u);
  auto dir = decoded<Mkdir>(message(FUSE_MKDIR, 2, 1, fuse_mkdir_in{0755, 027}, "d\0"sv));
  EXPECT_EQ(dir.umask, 027u);
  auto link = decoded<Link>(message(FUSE_LINK, 2, 1, fuse_link_in{42}, "l\0"sv));
  EXPECT_EQ(link.ino, Ino{42});
  auto old = decoded<Rename>(message(FUSE_RENAME, 2, 1, fuse_rename_in{3}, "a\0b\0"sv));
  EXPECT_EQ(old.to, Ino{3});
  EXPECT_EQ(old.new_name, "b");
  EXPECT_EQ(old.flags, 0u);
  EXPECT_EQ(decoded<Rename>(message(FUSE_RENAME2, 2, 1, fuse_rename2_in{3, 2, 0}, "a\0b\0"sv)).flags, 2u);
}

TEST(Decode, OpeningAndClosing) {
  auto open = decoded<Open>(message(FUSE_OPEN, 2, 9, fuse_open_in{01001, FUSE_OPEN_KILL_SUIDGID}));
  EXPECT_EQ(open.flags, 01001u);
  EXPECT_TRUE(open.kill_suidgid);
  auto create = decoded<Create>(message(FUSE_CREATE, 2, 1, fuse_create_in{0102, 0100644, 022, 0}, "f\0"sv));
  EXPECT_EQ(create.name, "f");
  EXPECT_EQ(create.flags, 0102u);
  EXPECT_EQ(create.mode, 0100644u);
  EXPECT_EQ(decoded<Tmpfile>(message(FUSE_TMPFILE, 2, 1, fuse_create_in{2, 0600, 0, 0}, "/\0"sv)).mode, 0600u);
  EXPECT_EQ(decoded<Opendir>(message(FUSE_OPENDIR, 2, 1, fuse_open_in{0200000, 0})).flags, 0200000u);
  auto release = decoded<Release>(message(FUSE_RELEASE, 2, 9, fuse_release_in{5, 0, FUSE_RELEASE_FLOCK_UNLOCK, 6}));
  EXPECT_EQ(release.handle, HandleId{5});
  EXPECT_EQ(release.lock_owner, 6u);
  EXPECT_TRUE(release.release_flock);
  EXPECT_EQ(decoded<Releasedir>(message(FUSE_RELEASEDIR, 2, 9, fuse_release_in{5, 0, 0, 0})).handle, HandleId{5});
  EXPECT_EQ(decoded<Flush>(message(FUSE_FLUSH, 2, 9, fuse_flush_in{5, 0, 0, 8})).lock_owner, 8u);
  EXPECT_TRUE(decoded<Fsync>(message(FUSE_FSYNC, 2, 9, fuse_fsync_in{5, FUSE_FSYNC_FDATASYNC, 0})).data_only);
  EXPECT_EQ(decoded<Fsyncdir>(message(FUSE_FSYNCDIR, 2, 9, fuse_fsync_in{6, 0, 0})).handle, HandleId{6});
}

TEST(Decode, ReadingAndWriting) {
  auto read = decoded<Read>(message(FUSE_READ, 2, 9, fuse_read_in{5, 4096, 8192, 0, 0, 0100000, 0}));
  EXPECT_EQ(read.offset, 4096u);
  EXPECT_EQ(read.size, 8192u);
  EXPECT_EQ(read.flags, 0100000u);
  auto bytes =
      message(FUSE_WRITE, 2, 9, fuse_write_in{5, 10, 4, FUSE_WRITE_CACHE | FUSE_WRITE_KILL_SUIDGID, 0, 1, 0}, "data"sv);
  auto write = std::get<Write>(*decode(*frame(bytes), {}));
  EXPECT_EQ(write.data.data(), bytes.data() + 80);  // where the buffers put a page border
  EXPECT_EQ(write.data.size(), 4u);
  EXPECT_TRUE(write.from_page_cache && write.kill_suidgid);
  EXPECT_EQ(refusal(message(FUSE_WRITE, 2, 9, fuse_write_in{5, 10, 5, 0, 0, 0, 0}, "data"sv)), EINVAL);
  auto list = decoded<Readdir>(message(FUSE_READDIRPLUS, 2, 9, fuse_read_in{5, 17, 4096, 0, 0, 0, 0}));
  EXPECT_EQ(list.cookie, 17u);
  EXPECT_TRUE(list.plus);
  EXPECT_FALSE(decoded<Readdir>(message(FUSE_READDIR, 2, 9, fuse_read_in{5, 17, 4096, 0, 0, 0, 0})).plus);
}

TEST(Decode, RangesOfFiles) {
  auto allocate = decoded<Fallocate>(message(FUSE_FALLOCATE, 2, 9, fuse_fallocate_in{5, 1, 2, 3, 0}));
  EXPECT_EQ(allocate.length, 2u);
  EXPECT_EQ(allocate.mode, 3u);
  EXPECT_EQ(decoded<Lseek>(message(FUSE_LSEEK, 2, 9, fuse_lseek_in{5, 7, 4, 0})).whence, 4u);
  fuse_copy_file_range_in copy{5, 100, 11, 6, 200, 300, 0};
  auto range = decoded<CopyRange>(message(FUSE_COPY_FILE_RANGE, 2, 9, copy));
  EXPECT_EQ(range.out, Ino{11});
  EXPECT_EQ(range.out_offset, 200u);
  EXPECT_FALSE(range.wide);
  EXPECT_TRUE(decoded<CopyRange>(message(abi::kCopyFileRange64, 2, 9, copy)).wide);
}

TEST(Decode, Xattrs) {
  struct {
    std::uint32_t size, flags;
  } brief{3, 1};
  auto set = decoded<Setxattr>(message(FUSE_SETXATTR, 2, 9, brief, "user.k\0abc"sv));
  EXPECT_EQ(set.name, "user.k");
  EXPECT_EQ(set.value, "abc");
  EXPECT_EQ(set.flags, 1u);
  fuse_setxattr_in wide{3, 2, FUSE_SETXATTR_ACL_KILL_SGID, 0};
  set = decoded<Setxattr>(message(FUSE_SETXATTR, 2, 9, wide, "user.k\0abc"sv), {.setxattr_ext = true});
  EXPECT_EQ(set.value, "abc");
  EXPECT_EQ(set.flags, 2u | vfs::kSetxattrKillSgid);
  auto get = decoded<Getxattr>(message(FUSE_GETXATTR, 2, 9, fuse_getxattr_in{64, 0}, "user.k\0"sv));
  EXPECT_EQ(get.name, "user.k");
  EXPECT_EQ(get.size, 64u);
  EXPECT_EQ(decoded<Listxattr>(message(FUSE_LISTXATTR, 2, 9, fuse_getxattr_in{65, 0})).size, 65u);
  EXPECT_EQ(refusal(message(FUSE_SETXATTR, 2, 9, brief, "user.k\0ab"sv)), EINVAL);
}

TEST(Decode, Locks) {
  fuse_lk_in in{5, 99, {10, 20, 1, 4242}, 0, 0};
  EXPECT_EQ(decoded<Getlk>(message(FUSE_GETLK, 2, 9, in)).range.end, 20u);
  auto set = decoded<Setlk>(message(FUSE_SETLK, 2, 9, in));
  EXPECT_EQ(set.owner, 99u);
  EXPECT_TRUE(!set.wait && !set.flock);
  in.lk_flags = FUSE_LK_FLOCK;
  set = decoded<Setlk>(message(FUSE_SETLKW, 2, 9, in));
  EXPECT_TRUE(set.wait && set.flock);
}

TEST(Decode, TheRest) {
  EXPECT_EQ(decoded<Access>(message(FUSE_ACCESS, 2, 9, fuse_access_in{4, 0})).mask, 4u);
  EXPECT_EQ(decoded<Interrupt>(message(FUSE_INTERRUPT, 3, 9, fuse_interrupt_in{2})).unique, 2u);
  auto ioctl = decoded<Ioctl>(message(FUSE_IOCTL, 2, 9, fuse_ioctl_in{5, 0, 0x6601, 0, 4, 8}, "abcd"sv));
  EXPECT_EQ(ioctl.command, 0x6601u);
  EXPECT_EQ(ioctl.in.size(), 4u);
  EXPECT_EQ(ioctl.out_size, 8u);
  decoded<Statfs>(message(FUSE_STATFS, 2, 1));
  decoded<Readlink>(message(FUSE_READLINK, 2, 1));
  decoded<Destroy>(message(FUSE_DESTROY, 2, 0));
  for (std::uint32_t unserved : {FUSE_BMAP, FUSE_POLL, FUSE_SYNCFS, FUSE_NOTIFY_REPLY, FUSE_SETUPMAPPING}) {
    EXPECT_EQ(refusal(message(unserved, 2, 1)), ENOSYS) << unserved;
  }
  EXPECT_EQ(refusal(message(abi::kStatx, 2, 1)), ENOSYS);
  EXPECT_EQ(refusal(message(9999, 2, 1)), ENOSYS);
}

TEST(Decode, InitOfOldAndNewKernels) {
  fuse_init_in in{7, 45, 131072, FUSE_INIT_EXT | FUSE_ASYNC_READ, 1u << 9, {}};
  auto init = decoded<Init>(message(FUSE_INIT, 2, 0, in));
  EXPECT_EQ(init.minor, 45u);
  EXPECT_TRUE(init.flags & abi::kOverIoUring);
  struct {
    std::uint32_t major, minor, readahead, flags;
  } brief{7, 31, 4096, FUSE_ASYNC_READ};
  init = decoded<Init>(message(FUSE_INIT, 2, 0, brief));
  EXPECT_EQ(init.flags, std::uint64_t{FUSE_ASYNC_READ});
}

TEST(Decode, SplitRequestsOfTheRing) {
  RawRequest request;
  request.header.opcode = FUSE_MKDIR;
  request.split = true;
  fuse_mkdir_in in{0755, 022};
  Bytes padded(128), names;
  std::memcpy(padded.data(), &in, sizeof in);
  append(names, "dir\0"sv);
  request.args = padded;
  request.rest = names;
  auto body = decode(request, {});
  ASSERT_TRUE(body);
  EXPECT_EQ(std::get<Mkdir>(*body).name, "dir");
  EXPECT_EQ(std::get<Mkdir>(*body).umask, 022u);
  request.header.opcode = FUSE_LOOKUP;
  body = decode(request, {});
  ASSERT_TRUE(body);
  EXPECT_EQ(std::get<Lookup>(*body).name, "dir");
}

}  // namespace
}  // namespace kiseki::fuse
