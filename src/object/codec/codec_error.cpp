#include "object/codec/codec_error.hpp"

#include <string>

namespace kiseki::object {

namespace {

class CodecCategory final : public std::error_category {
 public:
  const char* name() const noexcept override { return "codec"; }
  std::string message(int code) const override {
    switch (static_cast<CodecErrc>(code)) {
      case CodecErrc::truncated:
        return "the object is cut off";
      case CodecErrc::bad_header:
        return "the object does not begin with an encryption header";
      case CodecErrc::wrong_key:
        return "the object is encrypted for another key, or its header is damaged";
      case CodecErrc::tampered:
        return "the object was changed after it was encrypted";
      case CodecErrc::bad_stream:
        return "the object's compressed data is damaged";
      case CodecErrc::wrong_length:
        return "the object does not hold as many bytes as its name says";
      case CodecErrc::too_long:
        return "the object is longer than any encoding of its block";
      case CodecErrc::no_entropy:
        return "no random numbers for a data key";
    }
    return "unknown codec error";
  }
  std::error_condition default_error_condition(int) const noexcept override {
    return std::make_error_condition(std::errc::io_error);
  }
};

}  // namespace

const std::error_category& codec_category() {
  static const CodecCategory category;
  return category;
}

}  // namespace kiseki::object
