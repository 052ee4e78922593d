#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "meta/attr.hpp"

/// Attributes as the commit script sees them: as they are stored, with a tail of zeros where none is, so that each
/// field has one place. Fields are compared and patched as ranges of these bytes.
namespace kiseki::meta::redis {

/// 71 bytes, access ACL u32, default ACL u32, tier u8.
std::string whole_attr(const Attr& attr);

struct ByteField {
  int from = 0, to = 0;  ///< 1-based, both inclusive, as Lua counts
  std::string bytes;
};
/// The bytes of these fields, neighbours joined, but none of the body (71 bytes) with one of the tail. Type and mode
/// share two bytes: only both together are a range; of one alone nothing is said here.
std::vector<ByteField> fields_of(const Attr& attr, std::uint32_t fields);

}  // namespace kiseki::meta::redis
