#include "fuse/mount.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <sys/xattr.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <future>

#include "fuse/session.hpp"
#include "memory_files.hpp"

namespace kiseki::fuse {
namespace {

namespace fs = std::filesystem;
using namespace test;

TEST(MountOptions, Strings) {
  MountOptions options;
  options.source = "kiseki:a,b";
  options.allow_other = true;
  EXPECT_EQ(filesystem_options(options), "allow_other,default_permissions,max_read=1048576");
  options.words = {"exec", "ro", "noexec", "sync", "relatime", "noatime", "nodiratime"};
  EXPECT_EQ(fusermount_options(options),
            "allow_other,default_permissions,max_read=1048576,fsname=kiseki:a\\,b,subtype=kiseki,ro,noexec,noatime,"
            "sync");
}

MountError failure(const std::string& mountpoint) {
  auto outcome = mount(mountpoint, {});
  if (auto* error = std::get_if<MountError>(&outcome)) return *error;
  (void)unmount(mountpoint, true);
  return {0, "mounted"};
}

TEST(MountErrors, SayWhatToDo) {
  EXPECT_EQ(failure("/nonexistent/kiseki").code, ENOENT);
  EXPECT_NE(failure("/nonexistent/kiseki").sentence.find("mkdir"), std::string::npos);
  EXPECT_EQ(failure("/etc/passwd").code, ENOTDIR);
}

std::string slurp(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}
void spill(const fs::path& path, const std::string& content) { std::ofstream(path, std::ios::binary) << content; }

/// A real mount of MemoryFiles. Without /dev/fuse or the right to mount the tests skip, and fail in CI.
class RealMount : public ::testing::Test {
 protected:
  void SetUp() override {
    char where[] = "/tmp/kiseki-mount-XXXXXX";
    ASSERT_NE(::mkdtemp(where), nullptr);
    root_ = where;
    MountOptions options;
    options.source = "memory-files";
    auto outcome = mount(root_, options);
    if (auto* error = std::get_if<MountError>(&outcome)) {
      fs::remove(root_);
      if (const char* ci = std::getenv("CI"); ci != nullptr && std::string(ci) == "true") FAIL() << error->sentence;
      GTEST_SKIP() << "NO REAL MOUNT TESTED: " << error->sentence;
    }
    runtime_.start();
    std::promise<void> ready;
    auto answering = ready.get_future();
    served_ = std::async(std::launch::async, [this, &outcome, &ready] {
      return runtime_.wait(
          session_.serve(std::move(std::get<Mounted>(outcome).device), {}, [&] { ready.set_value(); }));
    });
    ASSERT_EQ(answering.wait_for(std::chrono::seconds(10)), std::future_status::ready);
  }
  void TearDown() override {
    if (!served_.valid()) return;
    if (!ended_) EXPECT_TRUE(unmount(root_, true));
    EXPECT_TRUE(served_.get());
    EXPECT_EQ(files_.destroyed_calls, 1);
    fs::remove(root_);
  }
  std::string at(const char* name) const { return root_ + "/" + name; }

  std::string root_;
  Runtime runtime_{{}};
  MemoryFiles files_;
  Session session_{runtime_, files_, {}};
  std::future<Result<void>> served_;
  bool ended_ = false;
};

TEST_F(RealMount, FilesAndDirectories) {
  std::string content(3'000'000, 'x');
  for (std::size_t i = 0; i < content.size(); i += 777) content[i] = static_cast<char>(i);
  spill(at("file"), content);
  EXPECT_TRUE(slurp(at("file")) == content);
  fs::create_directories(at("dir/deeper"));
  fs::rename(at("file"), at("dir/deeper/moved"));
  EXPECT_EQ(fs::file_size(at("dir/deeper/moved")), content.size());
  fs::create_symlink("dir/deeper", at("link"));
  EXPECT_EQ(fs::read_symlink(at("link")), "dir/deeper");
  EXPECT_EQ(slurp(at("link/moved")), content);
  for (int i = 0; i < 500; ++i) spill(at(("dir/n" + std::to_string(i)).c_str()), "n");
  auto listed = std::distance(fs::directory_iterator(at("dir")), fs::directory_iterator());
  EXPECT_EQ(listed, 501);
  EXPECT_GT(fs::remove_all(at("dir")), 501u);
  EXPECT_FALSE(fs::exists(at("dir")));
}

TEST_F(RealMount, Attributes) {
  spill(at("file"), "12345");
  struct stat info{};
  ASSERT_EQ(::stat(at("file").c_str(), &info), 0);
  EXPECT_EQ(info.st_mtim.tv_sec, -86400);  // a day before 1970
  EXPECT_EQ(info.st_mtim.tv_nsec, 5);
  EXPECT_EQ(info.st_blocks, 1);
  EXPECT_EQ(info.st_uid, ::getuid());
  timespec times[2]{{0, UTIME_OMIT}, {-5, 7}};
  ASSERT_EQ(::utimensat(AT_FDCWD, at("file").c_str(), times, 0), 0);
  ASSERT_EQ(::stat(at("file").c_str(), &info), 0);
  EXPECT_EQ(info.st_mtim.tv_sec, -5);
  ASSERT_EQ(::stat(root_.c_str(), &info), 0);
  EXPECT_EQ(info.st_blocks, 8);
  struct statvfs volume{};
  ASSERT_EQ(::statvfs(root_.c_str(), &volume), 0);
  EXPECT_EQ(volume.f_blocks * volume.f_frsize, 1u << 30);
  EXPECT_EQ(volume.f_namemax, 255u);
}

TEST_F(RealMount, DirectIoAndMappings) {
  int fd = ::open(at("file").c_str(), O_RDWR | O_CREAT | O_DIRECT, 0644);
  ASSERT_GE(fd, 0);
  void* page = std::aligned_alloc(4096, 1 << 20);
  std::memset(page, 'd', 1 << 20);
  EXPECT_EQ(::pwrite(fd, page, 1 << 20, 0), 1 << 20);
  std::memset(page, 0, 1 << 20);
  EXPECT_EQ(::pread(fd, page, 1 << 20, 0), 1 << 20);
  EXPECT_EQ(static_cast<char*>(page)[(1 << 20) - 1], 'd');
  std::free(page);
  auto* mapped = static_cast<char*>(::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
  ASSERT_NE(mapped, MAP_FAILED);
  mapped[5] = 'M';
  EXPECT_EQ(::msync(mapped, 4096, MS_SYNC), 0);
  ::munmap(mapped, 4096);
  ::close(fd);
  EXPECT_EQ(slurp(at("file"))[5], 'M');
}

TEST_F(RealMount, Xattrs) {
  spill(at("file"), "");
  ASSERT_EQ(::setxattr(at("file").c_str(), "user.color", "blue", 4, 0), 0);
  char value[16];
  EXPECT_EQ(::getxattr(at("file").c_str(), "user.color", value, sizeof value), 4);
  EXPECT_EQ(::getxattr(at("file").c_str(), "user.color", value, 2), -1);
  EXPECT_EQ(errno, ERANGE);
  EXPECT_EQ(::getxattr(at("file").c_str(), "user.none", value, sizeof value), -1);
  EXPECT_EQ(errno, ENODATA);
}

TEST_F(RealMount, ChangesReachTheKernel) {
  spill(at("file"), "old content");
  EXPECT_EQ(slurp(at("file")), "old content");
  files_.change_behind_the_kernel("file", "new, and longer content");
  std::string seen;
  for (int i = 0; i < 2000 && seen != "new, and longer content"; ++i) {  // the timeouts are a minute
    seen = slurp(at("file"));
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  EXPECT_EQ(seen, "new, and longer content");
}

TEST_F(RealMount, ASignalInterruptsALockWait) {
  spill(at("file"), "");
  auto child = ::fork();
  if (child == 0) {
    struct sigaction action{};
    action.sa_handler = [](int) {};
    ::sigaction(SIGALRM, &action, nullptr);
    int fd = ::open(at("file").c_str(), O_RDWR);
    ::alarm(1);
    struct flock lock{};
    lock.l_type = F_WRLCK;
    auto failed = ::fcntl(fd, F_SETLKW, &lock) != 0 && errno == EINTR;
    ::_exit(failed ? 0 : 1);
  }
  int status = -1;
  ::waitpid(child, &status, 0);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
}

TEST_F(RealMount, UnmountWhileFilesAreOpen) {
  spill(at("file"), "x");
  int fd = ::open(at("file").c_str(), O_RDONLY);
  ASSERT_GE(fd, 0);
  EXPECT_FALSE(unmount(root_, false));
  EXPECT_TRUE(unmount(root_, true));
  ended_ = true;
  char byte = 0;
  EXPECT_EQ(::pread(fd, &byte, 1, 0), 1);  // lazily: the open file still works
  session_.stop();
  EXPECT_EQ(served_.wait_for(std::chrono::seconds(10)), std::future_status::ready);
  EXPECT_EQ(::fgetxattr(fd, "user.none", &byte, 1), -1);
  EXPECT_EQ(errno, ENOTCONN);
  ::close(fd);
}

TEST_F(RealMount, ASecondMountAndADeadOneAreExplained) {
  EXPECT_EQ(failure(root_).code, EBUSY);
  EXPECT_NE(failure(root_).sentence.find("memory-files is already mounted"), std::string::npos);
  session_.stop();  // the mount stays, its server is gone
  EXPECT_EQ(served_.wait_for(std::chrono::seconds(10)), std::future_status::ready);
  auto error = failure(root_);
  EXPECT_EQ(error.code, ENOTCONN);
  EXPECT_NE(error.sentence.find("umount -l"), std::string::npos);
}

}  // namespace
}  // namespace kiseki::fuse
