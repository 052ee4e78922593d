#include "object/crc32c.hpp"

#include <isa-l/crc.h>

#include <algorithm>

namespace kiseki::object {

std::uint32_t crc32c(std::span<const std::byte> bytes, std::uint32_t crc) {
  constexpr std::size_t kMost = std::size_t{1}
                                << 30;  // the library counts in int, and only reads despite its signature
  auto inverted = ~crc;
  for (; !bytes.empty(); bytes = bytes.subspan(std::min(bytes.size(), kMost))) {
    auto part = bytes.first(std::min(bytes.size(), kMost));
    auto* data = const_cast<unsigned char*>(reinterpret_cast<const unsigned char*>(part.data()));
    inverted = ::crc32_iscsi(data, static_cast<int>(part.size()), inverted);
  }
  return ~inverted;
}

}  // namespace kiseki::object
