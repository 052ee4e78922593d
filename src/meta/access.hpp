#pragma once

#include <cstdint>

#include "meta/ops.hpp"

namespace kiseki::meta {

/// Whether mode bits and ACLs hold for this caller here, because the kernel does not know whom he acts as.
inline bool is_checked(Who who) { return who.check_permissions && who.uid != 0; }

inline constexpr std::uint32_t kMayRead = 4, kMayWrite = 2, kMayExecute = 1;  ///< bits of access(2)
/// Whether an inode allows all of `mask`; always, for who is not checked. Errors: EACCES, those of getattr.
Async<void> access(Client&, Who, Ino ino, std::uint32_t mask);

}  // namespace kiseki::meta
