#include "object/codec/open_codec.hpp"

namespace kiseki::object {

OpenedCodec open_codec(const CodecSpec& spec) {
  auto compression = compression_named(spec.compression);
  if (!compression)
    return {std::nullopt, "compression \"" + spec.compression +
                              "\" is not supported by this version; supported are: none, lz4, zstd"};
  if (spec.key_pem.empty()) return {Codec(*compression, nullptr), ""};
  auto opened = Envelope::open(spec.key_pem, spec.passphrase, spec.algorithm);
  if (!opened.envelope) return {std::nullopt, opened.error};
  return {Codec(*compression, std::move(opened.envelope)), ""};
}

}  // namespace kiseki::object
