#pragma once

#include <optional>

#include "meta/client.hpp"

namespace kiseki::meta {

/// release_sustained for any session: what a dead one left is finished by whoever reaps it. With `dead`, only while
/// the session's record is still this; else ECANCELED: it came back.
Async<std::optional<Attr>> release_sustained_of(Client& client, SessionId sid, Ino ino,
                                                std::optional<Session> dead = {});

/// Notes again that this session holds an inode open without a name. `gone`: somebody deleted it meanwhile.
enum class Held { yes, gone };
Async<Held> sustain_again(Client& client, Ino ino);

}  // namespace kiseki::meta
