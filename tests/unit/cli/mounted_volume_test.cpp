// A volume being opened for a mount: what an attempt that fails leaves behind.
#include "cli/mounted_volume.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <future>
#include <string>
#include <vector>

#include "cli/format_volume.hpp"
#include "cli/meta_access.hpp"
#include "meta/ops.hpp"

namespace kiseki::cli {
namespace {

/// A volume in a folder of its own, and a second client that looks at it.
class Folder {
 public:
  Folder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "kiseki-volume-XXXXXX").string();
    path_ = ::mkdtemp(pattern.data());
    auto wanted = new_format("test");
    wanted.storage = "file";
    wanted.bucket = path_ + "/objects/";
    auto made = make_volume(url(), wanted);
    if (!made) throw std::runtime_error(made.error().sentence);
    format_ = *made;
    auto opened = MetaAccess::open(url(), meta::OpenMode::existing);
    if (!opened) throw std::runtime_error(opened.error().sentence);
    meta_ = std::move(*opened);
  }
  ~Folder() { std::filesystem::remove_all(path_); }
  Folder(const Folder&) = delete;

  MountPlan plan(const std::string& subdir = "") const {
    MountPlan plan;
    plan.meta_url = url();
    plan.subdir = subdir;
    plan.loops = 1;
    plan.heartbeat = std::chrono::minutes(1);
    plan.background_jobs = false;
    return plan;
  }
  /// What a process leaves that dies: its session, which holds a file open without a name. Beside it a file with one.
  Ino leave_open(SessionId session, const std::string& named) {
    meta::Client client(meta_->shared_engine(), format_, std::make_shared<SystemClock>(), {});
    client.set_session(session);
    meta::Commit joined;
    joined.writes.push_back(meta::PutSession{session, {client.clock().now().sec + 60, "{}"}});
    EXPECT_TRUE(meta_->runtime().wait(client.commit(std::move(joined))));
    meta::NewInode file{meta::FileType::file, 0644, 0, 0, {}};
    EXPECT_TRUE(meta_->runtime().wait(meta::make(client, {}, kRootIno, named, file)));
    auto open = meta_->runtime().wait(meta::make_nameless(client, {}, kRootIno, file));
    EXPECT_TRUE(open);
    return open ? open->ino : Ino{};
  }
  std::vector<SessionId> sessions() {
    std::vector<SessionId> out;
    auto found = meta_->runtime().wait(meta_->engine().scan_sessions());
    EXPECT_TRUE(found);
    for (auto& [sid, session] : *found) out.push_back(sid);
    return out;
  }
  std::vector<Ino> held_by(SessionId session) {
    auto found = meta_->runtime().wait(meta_->engine().scan_locks(session));
    EXPECT_TRUE(found);
    return found->sustained;
  }

 private:
  std::string url() const { return "sqlite3://" + path_ + "/meta.db"; }
  std::string path_;
  meta::Format format_;
  std::unique_ptr<MetaAccess> meta_;
};

constexpr SessionId kLeft{77};

TEST(MountedVolume, ARestartThatFailsLeavesTheSessionToTheNextTry) {
  Folder folder;
  auto open = folder.leave_open(kLeft, "file");
  {
    MountedVolume no_root(folder.plan("file"));
    auto opened = no_root.open(kLeft, {});
    ASSERT_FALSE(opened);
    EXPECT_NE(opened.error().sentence.find("file is not a directory"), std::string::npos) << opened.error().sentence;
  }
  EXPECT_EQ(folder.held_by(kLeft), std::vector<Ino>{open});
  {
    MountedVolume no_device(folder.plan());
    ASSERT_TRUE(no_device.open(kLeft, {}));
    std::promise<Result<void>> ended;
    no_device.serve({}, fuse::Settings{}, [] { ADD_FAILURE(); }, [&](Result<void> how) { ended.set_value(how); });
    EXPECT_FALSE(ended.get_future().get());
    no_device.close();
  }
  EXPECT_EQ(folder.held_by(kLeft), std::vector<Ino>{open});
  EXPECT_EQ(folder.sessions(), std::vector<SessionId>{kLeft});
}

TEST(MountedVolume, AFirstStartThatFailsLeavesNoSession) {
  Folder folder;
  folder.leave_open(kLeft, "file");
  MountedVolume no_root(folder.plan("file"));
  EXPECT_FALSE(no_root.open({}, {}));
  EXPECT_EQ(folder.sessions(), std::vector<SessionId>{kLeft});
}

}  // namespace
}  // namespace kiseki::cli
