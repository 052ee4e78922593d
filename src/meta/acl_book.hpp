#pragma once

#include <map>
#include <mutex>
#include <optional>

#include "core/result.hpp"
#include "meta/record.hpp"

namespace kiseki::meta {

class Client;

/// The ACL rules of a volume. A rule never changes under its id, so what was read once stays right. Thread-safe.
class AclBook {
 public:
  /// The rule of an id. Errors: EIO when the record is missing.
  Async<AclRule> rule(Client& client, std::uint32_t id);
  /// The id of an equal rule, inserted if there is none yet (two clients may each insert one: allowed).
  Async<std::uint32_t> id_of(Client& client, AclRule rule);

 private:
  std::optional<AclRule> known(std::uint32_t id) const;
  std::optional<std::uint32_t> known(const AclRule& rule) const;
  void learn(std::uint32_t id, const AclRule& rule);

  mutable std::mutex mutex_;  // guards the rest
  std::map<std::uint32_t, AclRule> rules_;
  bool scanned_ = false;
};

}  // namespace kiseki::meta
