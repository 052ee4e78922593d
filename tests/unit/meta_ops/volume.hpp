#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "meta/client.hpp"
#include "meta/memory/engine.hpp"
#include "meta/ops.hpp"
#include "meta/volume_format.hpp"
#include "support/run.hpp"

namespace kiseki::meta::test {

/// A client of a new volume in memory, with a clock that stands still, that also plays the mount: what it has open, and
/// what it is told to delete.
struct Volume : OpenInodes, DataReaper {
  explicit Volume(Format f = plain(), MemoryEngine::Options options = {})
      : engine(std::make_shared<MemoryEngine>(options)), format(std::move(f)) {}

  static Format plain() {
    Format f;
    f.name = "test";
    f.trash_days = 0;
    return f;
  }

  asio::awaitable<void> open() {
    auto made = co_await format_volume(*engine, format, *clock);
    if (!made) ADD_FAILURE() << made.error().message;
    ClientOptions options;
    options.skip_dir_mtime = std::chrono::milliseconds(0);
    client = std::make_unique<Client>(engine, made ? *made : format, clock, options);
    client->set_session(SessionId{1});
    client->set_open_inodes(this);
    client->set_reaper(this);
  }

  bool is_open(Ino ino) const override { return std::find(opened.begin(), opened.end(), ino) != opened.end(); }
  std::vector<Ino> nameless() const override { return opened; }
  void file_removed(Ino ino, std::uint64_t length) override { removed_files.emplace_back(ino, length); }
  void slices_released(std::vector<DelayedSlice> slices) override {
    released.insert(released.end(), slices.begin(), slices.end());
  }

  // Short names for the usual.
  Async<Ino> file(Ino parent, std::string name, std::uint16_t mode = 0644) {
    NewInode what{FileType::file, mode, 0, 0, {}};
    CO_TRY(auto made, co_await make(*client, root, parent, std::move(name), std::move(what)));
    co_return made.ino;
  }
  Async<Ino> dir(Ino parent, std::string name, std::uint16_t mode = 0755) {
    NewInode what{FileType::directory, mode, 0, 0, {}};
    CO_TRY(auto made, co_await make(*client, root, parent, std::move(name), std::move(what)));
    co_return made.ino;
  }
  /// A slice of `len` bytes at `offset` (within one chunk).
  Async<SliceId> write(Ino ino, std::uint64_t offset, std::uint32_t len) {
    CO_TRY(auto id, co_await client->new_slice_id());
    Slice slice{static_cast<std::uint32_t>(offset % kChunkBytes), id, len, 0, len};
    CO_TRY(auto written,
           co_await write_slice(*client, ino, ChunkIndex{static_cast<std::uint32_t>(offset / kChunkBytes)}, slice,
                                clock->now()));
    (void)written;
    co_return id;
  }
  asio::awaitable<Record> record(Key key) {
    Keys keys{std::move(key)};
    auto records = co_await engine->fetch(std::move(keys));
    co_return records ? std::move((*records)[0]) : Record();
  }
  asio::awaitable<std::int64_t> counter(Counter which) {
    auto found = co_await record(CounterKey{which});
    auto* value = std::get_if<std::int64_t>(&found);
    co_return value ? *value : 0;
  }

  Who root{0, 0, false};
  std::shared_ptr<MemoryEngine> engine;
  std::shared_ptr<ManualClock> clock = std::make_shared<ManualClock>();
  Format format;
  std::unique_ptr<Client> client;
  std::vector<Ino> opened;
  std::vector<std::pair<Ino, std::uint64_t>> removed_files;
  std::vector<DelayedSlice> released;
};

template <class T>
int error_of(const Result<T>& result) {
  return result ? 0 : to_errno(result.error());
}

}  // namespace kiseki::meta::test
