#pragma once

#include <memory>
#include <string>

#include "core/runtime.hpp"
#include "meta/engine.hpp"
#include "meta/failure.hpp"

namespace kiseki::meta {

enum class OpenMode {
  create,    ///< `format`: the database may be missing or empty
  existing,  ///< a volume must be there
  read_only  ///< the same, and nothing is written: commits with writes answer EROFS
};

/// The engine that a metadata URL names: sqlite3://PATH[?k=v], redis://, rediss:// and unix:// (net/redis/address.hpp),
/// memory://. Blocks for the time it takes to open, so call it before the loops serve but after the runtime started,
/// and not from a loop. Nothing is left behind when it fails. The runtime outlives the engine.
Explained<std::shared_ptr<MetaEngine>> open_engine(const std::string& url, OpenMode mode, Runtime& runtime);

/// The URL as it may be shown: a password becomes ****.
std::string redacted_url(const std::string& url);

}  // namespace kiseki::meta
