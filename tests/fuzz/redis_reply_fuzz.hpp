#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

/// Feeds bytes to the reader of Redis replies, whole and in pieces, and touches all that comes out. Answers a sum of
/// it.
std::uint64_t fuzz_redis_reply(std::span<const char> input);
