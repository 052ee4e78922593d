#pragma once

#include <system_error>

namespace kiseki::object {

/// Why a stored object is not what it should be. All mean EIO.
enum class CodecErrc {
  truncated = 1,  ///< shorter than its own header says
  bad_header,     ///< a nonce or key of a length no cipher here has
  wrong_key,      ///< the data key was not wrapped for our private key
  tampered,       ///< the authentication tag does not fit
  bad_stream,     ///< not what the compressor makes
  wrong_length,   ///< whole and sound, but not as long as its name says
  too_long,       ///< longer than any encoding of such a block
  no_entropy,     ///< the system's random numbers failed
};
const std::error_category& codec_category();
inline std::error_code make_error_code(CodecErrc e) { return {static_cast<int>(e), codec_category()}; }

}  // namespace kiseki::object

template <>
struct std::is_error_code_enum<kiseki::object::CodecErrc> : std::true_type {};
