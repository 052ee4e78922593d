#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <system_error>
#include <vector>

#include "core/byte_range.hpp"
#include "core/result.hpp"

namespace kiseki::object {

using ObjectKey = std::string;

struct ObjectInfo {
  ObjectKey key;
  std::uint64_t size = 0;
  std::int64_t modified = 0;  ///< seconds since 1970
  bool is_prefix = false;     ///< listed with a delimiter: stands for all keys below it
};
struct ObjectPage {
  std::vector<ObjectInfo> objects;  ///< in key order
  bool more = false;                ///< ask again with `after` = last key
};

/// Why a store said no. Each has a POSIX meaning (`default_error_condition`): not_found, corrupt and no_bucket EIO,
/// access_denied and what is wrong with keys, clock or certificates EACCES, throttled, unavailable and unreachable
/// EAGAIN, no_space ENOSPC, bad_request and wrong_region EINVAL, already_there EEXIST.
enum class ObjectErrc {
  not_found = 1,
  access_denied,
  throttled,
  unavailable,
  corrupt,
  no_space,
  bad_request,
  no_bucket,
  unknown_key,      ///< the server does not know the access key
  wrong_signature,  ///< it knows the key, but the secret does not match
  expired_token,    ///< the session token has ended or is none
  no_credentials,   ///< none were found
  wrong_region,     ///< the bucket is in another one
  clock_skew,       ///< our clock and the server's are too far apart
  untrusted,        ///< the server's certificate is not trusted, or TLS with it fails
  unreachable,      ///< nobody answers at its address, or it has none
  already_there     ///< a bucket of that name exists
};
const std::error_category& object_category();
inline std::error_code make_error_code(ObjectErrc e) { return {static_cast<int>(e), object_category()}; }

/// What is uploaded: pieces in order, kept alive by `owner` until the call is over.
struct Body {
  std::vector<std::span<const std::byte>> pieces;
  std::shared_ptr<const void> owner;
  std::size_t size() const {
    std::size_t total = 0;
    for (auto piece : pieces) total += piece.size();
    return total;
  }
};

/// A bucket of immutable objects. Every call is idempotent: a retry is always safe. Any loop may call; completion is on
/// the caller's executor.
class ObjectStore {
 public:
  virtual ~ObjectStore() = default;
  /// Reads up to into.size() bytes from `offset` straight into `into` (which must outlive the call) and returns how
  /// many there were; fewer only at the object's end. Errors: not_found, corrupt, unavailable, access_denied.
  virtual Async<std::size_t> get(ObjectKey key, std::uint64_t offset, std::span<std::byte> into) = 0;
  /// On success durable as the store promises and visible to every client; on error or cancellation, maybe.
  virtual Async<void> put(ObjectKey key, Body body) = 0;
  virtual Async<void> remove(ObjectKey key) = 0;  ///< removing what is absent succeeds
  /// Removes all of them, with few requests where the store can. When one fails the rest are tried; answers the last
  /// error.
  virtual Async<void> remove_all(std::vector<ObjectKey> keys);
  virtual Async<ObjectInfo> head(ObjectKey key) = 0;
  /// Objects whose key begins with `prefix` and is greater than `after`; with `delimiter` '/' one level, prefixes
  /// ending in it.
  virtual Async<ObjectPage> list(std::string prefix, std::string after, std::size_t limit, std::string delimiter) = 0;
  virtual Async<void> create() = 0;          ///< makes the bucket or directory; existing is success
  virtual std::string describe() const = 0;  ///< "file:///var/jfs/vol/": for logs, without secrets
};
using StorePtr = std::shared_ptr<ObjectStore>;

}  // namespace kiseki::object

template <>
struct std::is_error_code_enum<kiseki::object::ObjectErrc> : std::true_type {};
