#pragma once

#include <cstddef>
#include <memory>
#include <span>

#include "core/result.hpp"
#include "object/codec/compression.hpp"
#include "object/codec/envelope.hpp"
#include "object/store.hpp"

namespace kiseki::object {

/// What stands between plain bytes and a stored object: compression of blocks, then encryption of everything
/// (objects.md 4.6, 5, 6). Immutable; any thread. Everything here blocks: for a pool.
class Codec {
 public:
  Codec(Compression compression, std::shared_ptr<const Envelope> envelope)
      : compression_(compression), envelope_(std::move(envelope)) {}

  bool changes_nothing() const { return compression_ == Compression::none && !envelope_; }
  bool encrypts() const { return envelope_ != nullptr; }

  /// The most that a block of `plain_bytes` takes when stored.
  std::size_t stored_most(std::size_t plain_bytes) const {
    return compressed_most(compression_, plain_bytes) + (envelope_ ? envelope_->overhead_bytes() : 0);
  }
  /// Whether `encode` needs the block in one piece.
  bool wants_one_piece() const { return compression_ != Compression::none; }
  /// Makes the stored form of a block in `into` (room for `stored_most`) and returns it. The pieces become one in
  /// `gather` where that is needed.
  Result<std::span<std::byte>> encode(const Body& plain, std::span<std::byte> gather, std::span<std::byte> into) const;
  /// Fills `plain`, a whole block, exactly. `stored` may be anything and is scribbled on.
  Result<void> decode(std::span<std::byte> stored, std::span<std::byte> plain) const;

  /// The same for objects that are no blocks: only encrypted.
  Result<std::span<std::byte>> seal(const Body& plain, std::span<std::byte> into) const;
  Result<std::span<std::byte>> unseal(std::span<std::byte> stored) const;
  std::size_t sealed_bytes(std::size_t plain_bytes) const {
    return plain_bytes + (envelope_ ? envelope_->overhead_bytes() : 0);
  }

 private:
  Compression compression_;
  std::shared_ptr<const Envelope> envelope_;
};

}  // namespace kiseki::object
