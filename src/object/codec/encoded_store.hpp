#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "core/runtime.hpp"
#include "object/codec/codec.hpp"
#include "object/codec/codec_memory.hpp"
#include "object/store.hpp"

namespace kiseki::object {

/// Plain blocks above, compressed and encrypted objects below. Blocks are known by their keys, which state the plain
/// length; other objects (juicefs_uuid, metadata backups) are encrypted only. Any part of a block costs reading and
/// decoding all of it. Work runs on `pool`; blocks on their way lie in slots of about `memory_bytes` in all (a few at
/// least), for which requests wait in order. An object that cannot be decoded is fetched a second time, then it is
/// corrupt, with one line in the log. `head` and `list` tell stored sizes.
class EncodedStore final : public ObjectStore {
 public:
  EncodedStore(StorePtr inner, Codec codec, std::uint32_t block_bytes, BlockingPool& pool, unsigned pool_threads,
               std::size_t memory_bytes);

  Async<std::size_t> get(ObjectKey key, std::uint64_t offset, std::span<std::byte> into) override;
  Async<void> put(ObjectKey key, Body body) override;
  Async<void> remove(ObjectKey key) override { return inner_->remove(std::move(key)); }
  Async<void> remove_all(std::vector<ObjectKey> keys) override { return inner_->remove_all(std::move(keys)); }
  Async<ObjectInfo> head(ObjectKey key) override { return inner_->head(std::move(key)); }
  Async<ObjectPage> list(std::string prefix, std::string after, std::size_t limit, std::string delimiter) override {
    return inner_->list(std::move(prefix), std::move(after), limit, std::move(delimiter));
  }
  Async<void> create() override { return inner_->create(); }
  std::string describe() const override { return inner_->describe(); }

  /// What the slots take when all are in use.
  std::size_t memory_bytes() const { return stored_.total_bytes() + plain_.total_bytes(); }

 private:
  std::optional<std::size_t> block_length(const ObjectKey& key) const;
  Async<std::size_t> get_block(ObjectKey key, std::size_t length, std::uint64_t offset, std::span<std::byte> into);
  Async<std::size_t> decode_block(std::span<std::byte> stored, std::size_t length, std::uint64_t offset,
                                  std::span<std::byte> into);
  Async<std::size_t> get_other(ObjectKey key, std::uint64_t offset, std::span<std::byte> into);
  Async<void> put_block(ObjectKey key, Body body);
  Async<void> put_other(ObjectKey key, Body body);

  StorePtr inner_;
  Codec codec_;
  std::uint32_t block_bytes_;
  BlockingPool& pool_;
  CodecMemory plain_;   // slots of one plain block, held while a pool thread works
  CodecMemory stored_;  // slots of one stored block, held while it travels; taken before one of plain_, never after
  Semaphore uploads_;   // not all of stored_: uploads that are tried again and again must not hold up reads
};

}  // namespace kiseki::object
