#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "core/runtime.hpp"
#include "meta/client.hpp"
#include "meta/open_engine.hpp"
#include "meta/ops.hpp"
#include "meta/session.hpp"
#include "meta/volume_format.hpp"
#include "support/redis_server.hpp"
#include "support/run.hpp"

namespace kiseki::meta::test {

inline kiseki::test::RedisServer& server() {
  static kiseki::test::RedisServer server;  // of the whole program
  return server;
}

/// A client of the volume on the server, with an engine and loops of its own.
struct Mounted : OpenInodes {
  explicit Mounted(std::uint16_t port, const std::string& query = "") {
    runtime.start();
    auto opened = open_engine("redis://127.0.0.1:" + std::to_string(port) + "/0" + query, OpenMode::create, runtime);
    if (!opened) throw std::runtime_error(opened.error().message);
    engine = *opened;
  }
  ~Mounted() override {
    client.reset();
    runtime.wait(engine->close());
    engine.reset();
  }
  void format(int trash_days = 0) {
    Format wanted;
    wanted.name = "test";
    wanted.trash_days = trash_days;
    auto made = runtime.wait(format_volume(*engine, wanted, clock));
    if (!made) throw std::runtime_error(made.error().message);
  }
  void join(std::uint64_t sid = 1, std::chrono::nanoseconds stale_reads = std::chrono::seconds(60)) {
    auto read = runtime.wait(read_format(*engine));
    if (!read) throw std::runtime_error(read.error().message);
    ClientOptions options;
    options.skip_dir_mtime = std::chrono::milliseconds(0);
    options.stale_reads = stale_reads;
    client = std::make_unique<Client>(engine, *read, std::make_shared<SystemClock>(), options);
    client->set_session(SessionId{sid});
    client->set_open_inodes(this);
    put({PutSession{SessionId{sid}, {std::int64_t{1} << 40, "{}"}}});
  }
  bool is_open(Ino ino) const override {
    return std::find(open_files.begin(), open_files.end(), ino) != open_files.end();
  }

  /// The value, or a failed test and nothing.
  template <class T>
  T must(Async<T> work) {
    auto result = runtime.wait(std::move(work));
    EXPECT_TRUE(result) << (result ? "" : result.error().message());
    return result ? std::move(*result) : T{};
  }
  void must(Async<void> work) {
    auto result = runtime.wait(std::move(work));
    EXPECT_TRUE(result) << (result ? "" : result.error().message());
  }
  std::vector<std::int64_t> put(std::vector<Write> writes) {
    auto outcome = must(engine->commit(Commit{{}, std::move(writes)}));
    EXPECT_TRUE(outcome.applied);
    return outcome.returned;
  }
  Record get(const Key& key) {
    auto records = must(engine->fetch(Keys(1, key)));
    return records.size() == 1 ? records[0] : Record();
  }
  Ino file(Ino parent, std::string name, FileType type = FileType::file) {
    NewInode what{type, 0644, 0, 0, type == FileType::symlink ? "target" : ""};
    return must(make(*client, root, parent, std::move(name), std::move(what))).ino;
  }

  const Who root{0, 0, true};
  SystemClock clock;
  Runtime runtime{Runtime::Options{.loops = 1, .pin = false}};
  std::shared_ptr<MetaEngine> engine;
  std::unique_ptr<Client> client;
  std::vector<Ino> open_files;
};

/// An empty server, or a test skipped aloud.
#define ON_REDIS()                                                                                       \
  if (!kiseki::test::RedisServer::installed()) GTEST_SKIP() << "SKIPPED: redis-server is not installed"; \
  server().command("FLUSHALL")

/// A connection to a server on this machine, for who must stay on one.
inline int connect_to(std::uint16_t port) {
  int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(port);
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::connect(fd, reinterpret_cast<sockaddr*>(&to), sizeof to) != 0) throw std::runtime_error("cannot connect");
  return fd;
}
/// Says a line there and answers the first bytes that come back.
inline std::string ask(int fd, const std::string& line) {
  char buffer[256];
  if (::send(fd, line.data(), line.size(), MSG_NOSIGNAL) < 0) return {};
  auto got = ::recv(fd, buffer, sizeof buffer, 0);
  return {buffer, got > 0 ? static_cast<std::size_t>(got) : 0};
}

/// Waits until `condition` holds, at most five seconds.
template <class F>
bool eventually(F condition) {
  for (int i = 0; i < 1000; ++i) {
    if (condition()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return false;
}

}  // namespace kiseki::meta::test
