#pragma once

#include <string>

#include "object/open_store.hpp"

namespace kiseki::object::s3 {

inline bool is_s3(const std::string& storage) { return storage == "s3" || storage == "minio"; }

/// The S3 store of a volume's format; `bucket` is its bucket URL, without %d. Does no network I/O.
OpenedStore open_s3(const StoreSpec& spec, const std::string& bucket, Runtime& runtime);

}  // namespace kiseki::object::s3
