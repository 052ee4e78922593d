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
        return EACCES;
      case ObjectErrc::throttled:
      case ObjectErrc::unavailable:
        return EAGAIN;
      case ObjectErrc::no_space:
        return ENOSPC;
      case ObjectErrc::bad_request:
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

const std::error_category& object_category() {
  static const ObjectCategory category;
  return category;
}

}  // namespace kiseki::object
