#pragma once

#include <string>

#include "cli/failure.hpp"
#include "meta/format.hpp"

namespace kiseki::cli {

/// Makes a new volume: tests the store, refuses one in use, puts juicefs_uuid, writes the metadata. On failure what was
/// made is taken away again: objects, the volume's empty directories, a database that was not there before.
Try<meta::Format> make_volume(const std::string& meta_url, meta::Format wanted);

/// A format with JuiceFS's defaults.
meta::Format new_format(std::string name);

}  // namespace kiseki::cli
