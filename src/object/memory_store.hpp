#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "object/store.hpp"

namespace kiseki::object {

/// Objects in this process's memory, for tests and for trying things out. Gone with the store.
class MemoryStore final : public ObjectStore {
 public:
  Async<std::size_t> get(ObjectKey key, std::uint64_t offset, std::span<std::byte> into) override;
  Async<void> put(ObjectKey key, Body body) override;
  Async<void> remove(ObjectKey key) override;
  Async<ObjectInfo> head(ObjectKey key) override;
  Async<ObjectPage> list(std::string prefix, std::string after, std::size_t limit, std::string delimiter) override;
  Async<void> create() override;
  std::string describe() const override { return "mem://"; }

  std::size_t count() const;

 private:
  struct Object {
    std::shared_ptr<const std::vector<std::byte>> bytes;
    std::int64_t modified = 0;
  };
  mutable std::mutex mutex_;  // guards objects_
  std::map<ObjectKey, Object> objects_;
};

}  // namespace kiseki::object
