#pragma once

#include <string>

#include "core/runtime.hpp"
#include "object/store.hpp"

namespace kiseki::object {

/// Objects as files: the path of a key is `root` + key, `root` being used as a plain string prefix (JuiceFS `file`
/// storage, objects.md 4.1), so it usually ends in '/'. A put writes a temporary file beside the target and renames it:
/// a reader sees all of an object or nothing. Nothing is synced to the disk, as in JuiceFS. Files are made 0666 and
/// directories 0777, less the umask. All disk I/O runs on `pool`, one hop a call.
class FileStore final : public ObjectStore {
 public:
  FileStore(std::string root, BlockingPool& pool) : root_(std::move(root)), pool_(pool) {}

  Async<std::size_t> get(ObjectKey key, std::uint64_t offset, std::span<std::byte> into) override;
  Async<void> put(ObjectKey key, Body body) override;
  Async<void> remove(ObjectKey key) override;
  Async<ObjectInfo> head(ObjectKey key) override;
  Async<ObjectPage> list(std::string prefix, std::string after, std::size_t limit, std::string delimiter) override;
  Async<void> create() override;
  std::string describe() const override { return "file://" + root_; }

 private:
  std::string root_;
  BlockingPool& pool_;
};

}  // namespace kiseki::object
