#pragma once

#include <string>

#include "cli/failure.hpp"
#include "core/runtime.hpp"
#include "meta/format.hpp"
#include "object/store.hpp"

/// What `format`, `config` and `mount --check-storage` ask of an object store before it is trusted.
namespace kiseki::cli {

/// The store a volume's format speaks of. Fails for what this version does not offer (other stores, encryption,
/// compression).
Try<object::StorePtr> open_volume_store(const meta::Format& format, Runtime& runtime);
/// Refuses a volume whose blocks this version cannot read or write.
Try<void> check_data_features(const meta::Format& format);

/// Puts, gets, compares and deletes an object under testing/; makes the bucket when it is missing.
asio::awaitable<Try<void>> test_store(object::ObjectStore& store);
/// Refuses a store that holds anything but tests under the volume's prefix.
asio::awaitable<Try<void>> check_is_empty(object::ObjectStore& store);
/// Writes the object `juicefs_uuid` / takes it away again.
asio::awaitable<Try<void>> put_uuid(object::ObjectStore& store, std::string uuid);
asio::awaitable<void> remove_uuid(object::ObjectStore& store);

/// A bucket as the format keeps it: for `file` an absolute directory with its closing '/'.
std::string stored_bucket(const std::string& storage, const std::string& bucket);

}  // namespace kiseki::cli
