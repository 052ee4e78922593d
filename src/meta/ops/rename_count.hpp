#pragma once

#include "meta/txn.hpp"

namespace kiseki::meta::op {

/// What moving a loaded inode from one directory to another does to directory sums, and to the quotas that stand above
/// only one of them. A directory carries its whole tree. Errors: EDQUOT.
Async<void> count_move(Txn& txn, Ino ino, Ino from, Ino to);

}  // namespace kiseki::meta::op
