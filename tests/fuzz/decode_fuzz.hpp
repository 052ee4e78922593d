#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

/// Feeds bytes to the FUSE decoder in every way a transport does and touches all that comes out.
void fuzz_decode(std::span<const std::byte> input);
