#include "object/codec/codec.hpp"

#include <algorithm>

#include "object/codec/codec_error.hpp"

namespace kiseki::object {

namespace {

void join(const Body& body, std::span<std::byte> into) {
  for (auto piece : body.pieces) {
    std::ranges::copy(piece, into.begin());
    into = into.subspan(piece.size());
  }
}

}  // namespace

Result<std::span<std::byte>> Codec::encode(const Body& plain, std::span<std::byte> gather,
                                           std::span<std::byte> into) const {
  if (compression_ == Compression::none) return seal(plain, into);
  auto whole = plain.pieces.size() == 1 ? plain.pieces.front() : std::span<const std::byte>(gather.first(plain.size()));
  if (plain.pieces.size() != 1) join(plain, gather);
  auto header = envelope_ ? envelope_->header_bytes() : 0, tag = envelope_ ? Envelope::kTagBytes : 0;
  TRY(auto used, compress(compression_, whole, into.subspan(header, into.size() - header - tag)));
  auto frame = into.first(header + used + tag);
  if (envelope_) TRY_CHECK(envelope_->seal(frame));
  return frame;
}

Result<void> Codec::decode(std::span<std::byte> stored, std::span<std::byte> plain) const {
  if (!envelope_) return decompress(compression_, stored, plain);
  auto direct = compression_ == Compression::none ? plain : std::span<std::byte>();
  TRY(auto text, envelope_->unseal(stored, direct));
  if (text.data() != plain.data()) return decompress(compression_, text, plain);
  if (text.size() != plain.size()) return CodecErrc::wrong_length;
  return Result<void>{};
}

Result<std::span<std::byte>> Codec::seal(const Body& plain, std::span<std::byte> into) const {
  auto frame = into.first(sealed_bytes(plain.size()));
  join(plain, envelope_ ? frame.subspan(envelope_->header_bytes()) : frame);
  if (envelope_) TRY_CHECK(envelope_->seal(frame));
  return frame;
}

Result<std::span<std::byte>> Codec::unseal(std::span<std::byte> stored) const {
  if (!envelope_) return stored;
  return envelope_->unseal(stored, {});
}

}  // namespace kiseki::object
