#pragma once

#include <string>

#include "cli/failure.hpp"
#include "core/runtime.hpp"
#include "meta/format.hpp"
#include "object/open_store.hpp"

/// What `format`, `config` and `mount --check-storage` ask of an object store before it is trusted.
namespace kiseki::cli {

/// How the volume's objects are stored: compression, and encryption with the key of the format and the passphrase in
/// JFS_RSA_PASSPHRASE. Codecs may use `memory_bytes`.
object::CodecSpec codec_of(const meta::Format& format, std::size_t memory_bytes);

/// What a volume's format says of its store. Its secrets are decrypted.
object::StoreSpec store_spec(const meta::Format& format);
/// The store a volume's format speaks of. Fails for what this version does not offer (other stores, other ciphers).
Try<object::StorePtr> open_volume_store(const meta::Format& format, Runtime& runtime);
/// Refuses a volume whose blocks this version, or this passphrase, cannot read and write.
Try<void> check_data_features(const meta::Format& format);

/// Puts, gets, compares and deletes an object under testing/; makes the bucket when it is missing.
asio::awaitable<Try<void>> test_store(object::ObjectStore& store);
/// Refuses a store that holds anything but tests under the volume's prefix.
asio::awaitable<Try<void>> check_is_empty(object::ObjectStore& store);
/// Writes the object `juicefs_uuid` / takes it away again.
asio::awaitable<Try<void>> put_uuid(object::ObjectStore& store, std::string uuid);
asio::awaitable<void> remove_uuid(object::ObjectStore& store);

/// A bucket as the format keeps it: for `file` an absolute directory with its closing '/'. Fails for a URL there.
Try<std::string> stored_bucket(const std::string& storage, const std::string& bucket);

}  // namespace kiseki::cli
