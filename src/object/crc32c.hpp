#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace kiseki::object {

/// CRC-32C (Castagnoli, reflected, as iSCSI and S3 use it) of `bytes`; `crc` is that of what came before.
std::uint32_t crc32c(std::span<const std::byte> bytes, std::uint32_t crc = 0);

}  // namespace kiseki::object
