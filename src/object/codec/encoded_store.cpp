#include "object/codec/encoded_store.hpp"

#include <algorithm>
#include <vector>

#include "core/async.hpp"
#include "core/log.hpp"
#include "object/block_name.hpp"
#include "object/codec/codec_error.hpp"

namespace kiseki::object {

namespace {

constexpr std::size_t kFewestSlots = 2, kMostSlots = 64;
constexpr int kFetches = 2;                                     // the second may bring what the first lost on its way
constexpr std::uint64_t kMostOther = std::uint64_t{256} << 20;  // of an encrypted object that is no block

/// How the memory is split: at most a quarter of it for plain blocks, one for each thread of the pool at most.
std::size_t plain_slots(std::size_t memory_bytes, std::size_t block_bytes, unsigned threads) {
  return std::clamp<std::size_t>(memory_bytes / 4 / block_bytes, 1, threads);
}
std::size_t stored_slots(std::size_t memory_bytes, std::size_t plain_bytes, std::size_t slot_bytes) {
  return std::clamp((memory_bytes - std::min(memory_bytes, plain_bytes)) / slot_bytes, kFewestSlots, kMostSlots);
}

std::error_code undecodable(const ObjectKey& key, std::error_code why) {
  log::error("object.undecodable", {{"key", key}, {"why", why}});
  return ObjectErrc::corrupt;
}

Body body_in(std::span<const std::byte> bytes, std::shared_ptr<const void> owner) {
  Body body;
  body.pieces.push_back(bytes);
  body.owner = std::move(owner);
  return body;
}

std::size_t copy_part(std::span<const std::byte> whole, std::uint64_t offset, std::span<std::byte> into) {
  if (offset >= whole.size()) return 0;
  auto part = whole.subspan(offset, std::min<std::size_t>(into.size(), whole.size() - offset));
  std::ranges::copy(part, into.begin());
  return part.size();
}

}  // namespace

EncodedStore::EncodedStore(StorePtr inner, Codec codec, std::uint32_t block_bytes, BlockingPool& pool,
                           unsigned pool_threads, std::size_t memory_bytes)
    : inner_(std::move(inner)),
      codec_(std::move(codec)),
      block_bytes_(block_bytes),
      pool_(pool),
      plain_(block_bytes, plain_slots(memory_bytes, block_bytes, pool_threads)),
      // One byte more than a block can take: so that an object that is longer shows.
      stored_(codec_.stored_most(block_bytes) + 1,
              stored_slots(memory_bytes, plain_.total_bytes(), codec_.stored_most(block_bytes) + 1)),
      uploads_(stored_.slots() - std::max<std::size_t>(1, stored_.slots() / 4)) {}

std::optional<std::size_t> EncodedStore::block_length(const ObjectKey& key) const {
  auto length = length_in_block_key(key);
  if (!length || *length > block_bytes_) return std::nullopt;
  return static_cast<std::size_t>(*length);
}

Async<std::size_t> EncodedStore::get(ObjectKey key, std::uint64_t offset, std::span<std::byte> into) {
  if (auto length = block_length(key)) co_return co_await get_block(std::move(key), *length, offset, into);
  if (codec_.encrypts()) co_return co_await get_other(std::move(key), offset, into);
  co_return co_await inner_->get(std::move(key), offset, into);
}

Async<std::size_t> EncodedStore::get_block(ObjectKey key, std::size_t length, std::uint64_t offset,
                                           std::span<std::byte> into) {
  auto stored = co_await stored_.take();
  auto room = stored.bytes().first(codec_.stored_most(length) + 1);
  for (int fetches = 1;; ++fetches) {
    CO_TRY(auto got, co_await inner_->get(key, 0, room));
    if (got < room.size()) {
      auto part = co_await decode_block(room.first(got), length, offset, into);
      if (part || part.error().category() != codec_category()) co_return part;
      if (fetches == kFetches) co_return undecodable(key, part.error());
    } else if (fetches == kFetches) {
      co_return undecodable(key, CodecErrc::too_long);
    }
  }
}

/// A whole block straight into place; a part of one by way of a slot.
Async<std::size_t> EncodedStore::decode_block(std::span<std::byte> stored, std::size_t length, std::uint64_t offset,
                                              std::span<std::byte> into) {
  bool whole = offset == 0 && into.size() >= length;
  std::optional<CodecMemory::Slot> slot;
  if (!whole) slot.emplace(co_await plain_.take());
  auto plain = whole ? into.first(length) : slot->bytes().first(length);
  auto job = [this, stored, plain, whole, offset, into]() -> Result<std::size_t> {
    TRY_CHECK(codec_.decode(stored, plain));
    return whole ? plain.size() : copy_part(plain, offset, into);
  };
  co_return co_await run_blocking(pool_, std::move(job));
}

Async<std::size_t> EncodedStore::get_other(ObjectKey key, std::uint64_t offset, std::span<std::byte> into) {
  CO_TRY(auto info, co_await inner_->head(key));
  if (info.size > kMostOther) co_return undecodable(key, CodecErrc::too_long);
  std::vector<std::byte> stored(info.size);
  CO_TRY(auto got, co_await inner_->get(key, 0, stored));
  auto job = [this, object = std::span(stored).first(got)] { return codec_.unseal(object); };
  auto plain = co_await run_blocking(pool_, std::move(job));
  if (!plain) co_return undecodable(key, plain.error());
  co_return copy_part(*plain, offset, into);
}

Async<void> EncodedStore::put(ObjectKey key, Body body) {
  if (auto length = block_length(key)) {
    if (*length != body.size()) co_return make_error_code(ObjectErrc::bad_request);  // nobody could read it
    co_return co_await put_block(std::move(key), std::move(body));
  }
  if (codec_.encrypts()) co_return co_await put_other(std::move(key), std::move(body));
  co_return co_await inner_->put(std::move(key), std::move(body));
}

Async<void> EncodedStore::put_block(ObjectKey key, Body body) {
  auto permit = co_await uploads_.acquire();
  auto stored = std::make_shared<CodecMemory::Slot>(co_await stored_.take());
  std::optional<CodecMemory::Slot> gather;
  if (codec_.wants_one_piece() && body.pieces.size() != 1) gather.emplace(co_await plain_.take());
  auto job = [this, &body, room = gather ? gather->bytes() : std::span<std::byte>(), into = stored->bytes()] {
    return codec_.encode(body, room, into);
  };
  CO_TRY(auto object, co_await run_blocking(pool_, std::move(job)));
  gather.reset();
  co_return co_await inner_->put(std::move(key), body_in(object, stored));
}

Async<void> EncodedStore::put_other(ObjectKey key, Body body) {
  auto stored = std::make_shared<std::vector<std::byte>>(codec_.sealed_bytes(body.size()));
  auto job = [this, &body, stored] { return codec_.seal(body, *stored); };
  CO_TRY(auto object, co_await run_blocking(pool_, std::move(job)));
  co_return co_await inner_->put(std::move(key), body_in(object, stored));
}

}  // namespace kiseki::object
