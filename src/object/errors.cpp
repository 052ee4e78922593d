#include <cerrno>

#include "object/store.hpp"

namespace kiseki::object {

namespace {

class ObjectCategory final : public std::error_category {
 public:
  const char* name() const noexcept override { return "object"; }
  std::string message(int code) const override {
    switch (static_cast<ObjectErrc>(code)) {
      case ObjectErrc::not_found:
        return "object not found";
      case ObjectErrc::access_denied:
        return "access to the object denied";
      case ObjectErrc::throttled:
        return "the object store asks for fewer requests";
      case ObjectErrc::unavailable:
        return "the object store is unavailable";
      case ObjectErrc::corrupt:
        return "the object is corrupt";
      case ObjectErrc::no_space:
        return "the object store is full";
      case ObjectErrc::bad_request:
        return "the object store refused the request";
      case ObjectErrc::no_bucket:
        return "the bucket does not exist";
      case ObjectErrc::unknown_key:
        return "the object store does not know the access key";
      case ObjectErrc::wrong_signature:
        return "the secret key does not match the access key";
      case ObjectErrc::expired_token:
        return "the session token has expired or is invalid";
      case ObjectErrc::no_credentials:
        return "no credentials for the object store were found";
      case ObjectErrc::wrong_region:
        return "the bucket is in another region";
      case ObjectErrc::clock_skew:
        return "the clocks of this machine and of the object store are too far apart";
      case ObjectErrc::untrusted:
        return "the certificate of the object store is not trusted";
      case ObjectErrc::unreachable:
        return "the object store cannot be reached";
      case ObjectErrc::already_there:
        return "a bucket of that name exists already";
    }
    return "unknown object store error";
  }
  std::error_condition default_error_condition(int code) const noexcept override {
    return {errno_of(static_cast<ObjectErrc>(code)), std::generic_category()};
  }

 private:
  static int errno_of(ObjectErrc code) noexcept {
    switch (code) {
      case ObjectErrc::access_denied:
      case ObjectErrc::unknown_key:
      case ObjectErrc::wrong_signature:
      case ObjectErrc::expired_token:
      case ObjectErrc::no_credentials:
      case ObjectErrc::clock_skew:
      case ObjectErrc::untrusted:
        return EACCES;
      case ObjectErrc::throttled:
      case ObjectErrc::unavailable:
      case ObjectErrc::unreachable:
        return EAGAIN;
      case ObjectErrc::no_space:
        return ENOSPC;
      case ObjectErrc::already_there:
        return EEXIST;
      case ObjectErrc::bad_request:
      case ObjectErrc::wrong_region:
        return EINVAL;
      case ObjectErrc::not_found:
      case ObjectErrc::corrupt:
      case ObjectErrc::no_bucket:
        return EIO;
    }
    return EIO;
  }
};

}  // namespace

Async<void> ObjectStore::remove_all(std::vector<ObjectKey> keys) {
  Result<void> last;
  for (auto& key : keys) {
    auto removed = co_await remove(std::move(key));
    if (!removed) last = removed;
  }
  co_return last;
}

const std::error_category& object_category() {
  static const ObjectCategory category;
  return category;
}

}  // namespace kiseki::object
