#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "meta/engine.hpp"
#include "meta/redis/key_names.hpp"
#include "net/redis/command.hpp"
#include "net/redis/reply.hpp"

namespace kiseki::meta::redis {

/// Keys to be read as one command, so that all are read at one moment: GET and its like for one, MGET for attributes
/// and other strings, a script for the rest.
class FetchPlan {
 public:
  /// `keys` outlives the plan.
  FetchPlan(const KeyNames& names, const Key* begin, const Key* end);

  const net::redis::Command& command() const { return *command_; }
  /// One record per key. Errors: EIO for what is not as it must be, logged with its key.
  Result<Records> decode(const net::redis::Reply& reply) const;

 private:
  struct Step {
    std::string_view op;  ///< of the fetch script
    std::string key, field, base{};
  };
  std::vector<Step> steps_of(const Key& key) const;
  void make_command();
  void make_single(const Step& step);

  const KeyNames& names_;
  const Key* begin_;
  const Key* end_;
  std::vector<Step> steps_;
  std::optional<net::redis::Command> command_;
};

/// What one or several replies stand for as the record of a key. nullopt: they are not what any client writes.
std::optional<Record> decode_record(const Key& key, const net::redis::Reply* replies);
/// How many replies that takes.
std::size_t replies_of(const Key& key);

}  // namespace kiseki::meta::redis
