#pragma once

#include "core/ids.hpp"
#include "core/log.hpp"

namespace kiseki::vfs {

/// Files that no volume stores (JuiceFS 1.4, tools.md section 3): .accesslog, .stats, .config and .control of every
/// mount.
inline constexpr Ino kFirstInternalIno{0x7FFFFFFF00000000};
inline constexpr Ino kAccessLogIno{0x7FFFFFFF00000001};
inline constexpr Ino kControlIno{0x7FFFFFFF00000002};
inline constexpr Ino kStatsIno{0x7FFFFFFF00000003};
inline constexpr Ino kConfigIno{0x7FFFFFFF00000004};

constexpr bool is_internal(Ino ino) { return ino >= kFirstInternalIno && ino < kTrashIno; }

}  // namespace kiseki::vfs
