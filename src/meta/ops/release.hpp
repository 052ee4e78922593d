#pragma once

#include "meta/client.hpp"

namespace kiseki::meta {

/// release_sustained for any session: what a dead one left is finished by whoever reaps it.
Async<void> release_sustained_of(Client& client, SessionId sid, Ino ino);

}  // namespace kiseki::meta
