#pragma once

#include "meta/ops.hpp"
#include "meta/txn.hpp"

namespace kiseki::meta::op {

/// setattr as a part of a transaction. On an error it has changed nothing.
Async<Attr> setattr_in(Txn& txn, Who who, Ino ino, AttrChange change);

}  // namespace kiseki::meta::op
