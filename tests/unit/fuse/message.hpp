#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>
#include <type_traits>
#include <vector>

#include "fuse/abi.hpp"

namespace kiseki::fuse::test {

using Bytes = std::vector<std::byte>;

inline void append(Bytes& out, std::string_view text) {
  auto bytes = std::as_bytes(std::span(text));
  out.insert(out.end(), bytes.begin(), bytes.end());
}

template <class T>
  requires std::is_trivially_copyable_v<T> && (!std::is_convertible_v<T, std::string_view>)
void append(Bytes& out, const T& value) {
  auto bytes = std::as_bytes(std::span(&value, 1));
  out.insert(out.end(), bytes.begin(), bytes.end());
}

using namespace std::string_view_literals;

/// A request as the kernel would write it: header, then the arguments (strings as they are: give the NUL).
template <class... Arguments>
Bytes message(std::uint32_t opcode, std::uint64_t unique, std::uint64_t node, const Arguments&... arguments) {
  Bytes out;
  fuse_in_header header{};
  header.opcode = opcode;
  header.unique = unique;
  header.nodeid = node;
  header.uid = 1000;
  header.gid = 100;
  header.pid = 4242;
  append(out, header);
  (append(out, arguments), ...);
  auto length = static_cast<std::uint32_t>(out.size());
  std::memcpy(out.data(), &length, sizeof length);
  return out;
}

}  // namespace kiseki::fuse::test
