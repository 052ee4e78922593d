#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>

#include <boost/asio/this_coro.hpp>
#include <cstring>
#include <functional>
#include <map>
#include <utility>

#include "meta/memory/engine.hpp"
#include "meta/volume_format.hpp"
#include "support/run.hpp"
#include "vfs/read_stream.hpp"
#include "vfs/volume.hpp"

namespace kiseki::vfs {

/// The engine in memory, with steps in between.
struct SteppedEngine final : meta::MemoryEngine {
  Async<meta::Outcome> commit(meta::Commit commit) override {
    if (auto step = std::exchange(before_commit, {})) co_await step();
    if (failures > 0) co_return --failures, posix(EIO);
    auto outcome = co_await meta::MemoryEngine::commit(std::move(commit));
    if (auto step = std::exchange(after_commit, {})) co_await step();
    co_return outcome;
  }
  Async<meta::Records> fetch_if_reachable(meta::Keys keys) override {
    if (cut_off) found_out = true;
    if (cut_off) co_return posix(EHOSTUNREACH);
    co_return co_await fetch(std::move(keys));
  }
  Async<meta::EntryPage> scan_entries(Ino dir, std::string cursor, std::size_t limit, bool with_attrs) override {
    ++scans;
    return meta::MemoryEngine::scan_entries(dir, std::move(cursor), limit, with_attrs);
  }
  bool coherent() const noexcept override { return !cut_off; }
  bool away() const noexcept override { return found_out; }
  bool lags() const noexcept override { return late; }
  Async<void> catch_up() override {
    ++caught_up;
    if (when_catching_up) when_catching_up();
    co_return Result<void>{};
  }
  std::function<asio::awaitable<void>()> before_commit, after_commit;  ///< of the next one
  int failures = 0;                                                    ///< of the next commits
  bool late = false;                        ///< it tells of others' changes a moment after they were made
  bool cut_off = false, found_out = false;  ///< the second: since somebody who can do without asked in vain
  int scans = 0, caught_up = 0;
  std::function<void()> when_catching_up = {};
};

/// Contents as plain strings that are "committed" at flush; enough to see what the volume asks for.
class PlainData final : public FileData {
 public:
  explicit PlainData(meta::Client& client) : client_(client) {}
  Answer<std::uint32_t> write(Ino ino, std::uint64_t offset, std::span<const std::byte> data) override {
    auto& text = files[ino];
    if (text.size() < offset + data.size()) text.resize(offset + data.size());
    std::memcpy(text.data() + offset, data.data(), data.size());
    unflushed[ino] = std::max<std::uint64_t>(unflushed[ino], offset + data.size());
    return Result<std::uint32_t>(static_cast<std::uint32_t>(data.size()));
  }
  Answer<std::uint32_t> append(Ino ino, std::uint64_t end, std::span<const std::byte> data) override {
    return write(ino, end, data);
  }
  void watch_moves(std::function<void(Ino)> watcher) override { moved = std::move(watcher); }
  Answer<void> flush(Ino ino, LossesToldPtr told) override {
    return commit(ino, told ? told->count.load() : lost.count(), std::move(told));
  }
  Losses& losses() override {
    if (losses_asked) losses_asked();
    return lost;
  }
  Async<std::optional<meta::Attr>> flush_then(Ino ino, meta::AttrOrder) override {
    CO_CHECK(co_await flush(ino, nullptr).get());
    co_return std::nullopt;  // the order is left to the volume
  }
  std::optional<std::uint64_t> pending_length(Ino ino) const override {
    if (when_asked) when_asked(ino);
    if (auto step = std::exchange(asked, {})) step(ino);
    auto it = unflushed.find(ino);
    return it == unflushed.end() ? std::nullopt : std::optional(it->second);
  }
  bool dirty(Ino ino) const override { return unflushed.contains(ino); }
  std::optional<Timestamp> pending_mtime(Ino) const override { return std::nullopt; }
  ReadStreamPtr open_stream(Ino) override {
    return ReadStreamPtr(new ReadStream({}, std::make_shared<std::atomic<int>>(0)));
  }
  Answer<ReadReply> read(ReadStream&, Ino ino, std::uint64_t offset, std::uint32_t size, std::uint64_t length,
                         const FileVersion&) override {
    auto owner = std::make_shared<std::string>(files[ino]);
    owner->resize(length);
    auto end = std::min<std::uint64_t>(offset + size, length);
    ReadReply reply;
    if (offset < end) reply.pieces.push_back({owner->data() + offset, end - offset});
    reply.owner = owner;
    return Result<ReadReply>(std::move(reply));
  }
  void invalidate(Ino ino) override { ++invalidated[ino]; }
  Async<void> compact(Ino, ChunkIndex) override { co_return Result<void>{}; }
  Async<void> close() override { co_return Result<void>{}; }

  std::map<Ino, std::string> files;
  std::map<Ino, std::uint64_t> unflushed;
  std::map<Ino, int> invalidated;
  std::function<void(Ino)> when_asked = {};  ///< before it is told what is pending
  mutable std::function<void(Ino)> asked;    ///< the next time, for what is buffered
  std::function<void(Ino)> moved = {};       ///< something appended has gone elsewhere
  std::function<void()> losses_asked = {};   ///< before it answers with its losses
  Losses lost;

 private:
  Async<void> commit(Ino ino, std::uint64_t since, LossesToldPtr told) {
    if (unflushed.contains(ino)) CO_CHECK(co_await commit(ino));
    auto why = lost.since(since, ino);
    if (told) told->count = lost.count();
    co_return why ? Result<void>(why) : Result<void>{};
  }
  Async<void> commit(Ino ino) {
    auto length = static_cast<std::uint32_t>(unflushed[ino]);
    CO_TRY(auto id, co_await client_.new_slice_id());
    Slice slice{.pos = 0, .id = id, .size = length, .off = 0, .len = length};
    CO_CHECK(co_await meta::write_slice(client_, ino, ChunkIndex{0}, slice, client_.clock().now()));
    unflushed.erase(ino);
    co_return Result<void>{};
  }
  meta::Client& client_;
};

inline constexpr Caller kRoot{.uid = 0, .gid = 0, .pid = 1};

struct Mounted {
  std::shared_ptr<ManualClock> clock = std::make_shared<ManualClock>();
  meta::Format format;
  std::shared_ptr<SteppedEngine> engine = std::make_shared<SteppedEngine>();
  std::unique_ptr<meta::Client> client;
  std::unique_ptr<PlainData> data;
  std::unique_ptr<Volume> volume;
};

/// Runs `body` over a fresh volume in memory, and unmounts it.
template <class F>
void with_volume(F body, VolumeOptions options = {}, std::int64_t trash_days = 0) {
  test::run([&]() -> asio::awaitable<void> {
    Mounted m;
    m.format.name = "test";
    m.format.uuid = "00000000-1111-2222-3333-444444444444";
    m.format.trash_days = trash_days;
    m.format.enable_acl = true;
    auto formatted = co_await meta::format_volume(*m.engine, m.format, *m.clock);
    CO_ASSERT_TRUE(formatted.has_value());
    m.client = std::make_unique<meta::Client>(m.engine, m.format, m.clock, meta::ClientOptions{});
    m.client->set_session(SessionId{1});
    m.data = std::make_unique<PlainData>(*m.client);
    auto home = co_await asio::this_coro::executor;
    m.volume = std::make_unique<Volume>(*m.client, *m.data, home, options);
    co_await body(m);
    co_await m.volume->destroyed();
  });
}

template <class T>
Async<T> ask(Answer<T> answer) {
  return std::move(answer).get();
}

inline std::span<const std::byte> bytes(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

inline std::string text_of(const ReadReply& reply) {
  std::string out;
  for (auto& piece : reply.pieces) out.append(static_cast<const char*>(piece.iov_base), piece.iov_len);
  return out;
}

}  // namespace kiseki::vfs
