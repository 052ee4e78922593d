#pragma once

#include "core/clock.hpp"
#include "core/result.hpp"
#include "meta/engine.hpp"
#include "meta/format.hpp"

namespace kiseki::meta {

/// Makes a new volume (sql.md section 8: setting, counters, root, trash), or changes the settings of the one that is
/// there. `wanted` carries plain secrets; they are stored encrypted. On an existing volume its UUID wins, and name,
/// block size, compression, shards, hash prefix and metadata version must be the same. Answers the format as stored
/// (secrets plain). Fails with a sentence; then nothing was changed.
asio::awaitable<Explained<Format>> format_volume(MetaEngine& engine, Format wanted, const Clock& clock);

/// Whether a client that the volume's settings shut out may read them: only to change them.
enum class Versions { checked, any };

/// The format of the volume, secrets plain. ENOENT: not formatted.
asio::awaitable<Explained<Format>> read_format(MetaEngine& engine, Versions versions = Versions::checked);

/// A random UUID (version 4) for a new volume.
std::string new_uuid();

}  // namespace kiseki::meta
