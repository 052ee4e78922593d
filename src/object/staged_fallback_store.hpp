#pragma once

#include <string>
#include <vector>

#include "core/runtime.hpp"
#include "object/store.hpp"

namespace kiseki::object {

/// A store whose youngest blocks may still lie in a JuiceFS cache directory: a client killed under --writeback leaves
/// them in `<dir>/rawstaging/<key>` (and `<dir>/raw/<key>`) only. Layout: objects.md 10.1 and 10.2 (data first, then
/// CRC-32C of each 32 KiB, then a footer). A get or head that finds nothing in the store looks there. Keys are those
/// below the volume prefix ("chunks/...").
class StagedFallbackStore final : public ObjectStore {
 public:
  /// `dirs`: `<cache-dir>/<volume UUID>` of each cache directory.
  StagedFallbackStore(StorePtr inner, std::vector<std::string> dirs, BlockingPool& pool)
      : inner_(std::move(inner)), dirs_(std::move(dirs)), pool_(pool) {}

  struct Recovered {
    std::size_t uploaded = 0;  ///< staged blocks that are in the store now and no longer staged
    std::size_t left = 0;      ///< files that are no whole block: reported, kept
    std::size_t failed = 0;    ///< uploads the store refused; kept for the next start
  };
  /// Uploads what is staged and removes it there; for mounts that may write. Never fails as a whole.
  asio::awaitable<Recovered> recover();

  Async<std::size_t> get(ObjectKey key, std::uint64_t offset, std::span<std::byte> into) override;
  Async<void> put(ObjectKey key, Body body) override { return inner_->put(std::move(key), std::move(body)); }
  /// Also drops what is staged under the key, so that it is not uploaded later.
  Async<void> remove(ObjectKey key) override;
  Async<void> remove_all(std::vector<ObjectKey> keys) override;
  Async<ObjectInfo> head(ObjectKey key) override;
  Async<ObjectPage> list(std::string prefix, std::string after, std::size_t limit, std::string delimiter) override {
    return inner_->list(std::move(prefix), std::move(after), limit, std::move(delimiter));
  }
  Async<void> create() override { return inner_->create(); }
  std::string describe() const override { return inner_->describe(); }

 private:
  asio::awaitable<bool> upload_staged(std::string path, ObjectKey key, Recovered& sum);
  StorePtr inner_;
  std::vector<std::string> dirs_;
  BlockingPool& pool_;
};

}  // namespace kiseki::object
