#pragma once

#include <compare>
#include <cstdint>
#include <functional>

namespace kiseki {

/// Names one kind of thing; two kinds never compare, add or convert.
template <class Tag, class Rep = std::uint64_t>
struct Id {
  Rep value{};
  friend constexpr auto operator<=>(Id, Id) = default;
};

using Ino = Id<struct InoTag>;                          ///< 1 is the root; 0 never names a file
using SliceId = Id<struct SliceIdTag>;                  ///< 0 is a hole: reads as zeros, owns no object
using SessionId = Id<struct SessionIdTag>;              ///< one mounted client; 0 is a tool without a session
using ChunkIndex = Id<struct ChunkTag, std::uint32_t>;  ///< file offset / 64 MiB
using HandleId = Id<struct HandleTag>;                  ///< an open file or directory of this mount

inline constexpr Ino kRootIno{1};
/// Trash root; hourly trash directories are this plus a counter (JuiceFS 1.x, redis.md and sql.md).
inline constexpr Ino kTrashIno{0x7FFFFFFF10000000};
constexpr bool is_trash(Ino ino) { return ino >= kTrashIno; }

inline constexpr std::uint64_t kChunkBytes = std::uint64_t{1} << 26;
inline constexpr std::uint64_t kMaxFileBytes = kChunkBytes << 31;

}  // namespace kiseki

template <class Tag, class Rep>
struct std::hash<kiseki::Id<Tag, Rep>> {
  std::size_t operator()(kiseki::Id<Tag, Rep> id) const noexcept {
    // Inode numbers are sequential: spread them (Fibonacci hashing), so that sharded tables fill evenly.
    return static_cast<std::size_t>(static_cast<std::uint64_t>(id.value) * 0x9E3779B97F4A7C15u);
  }
};
