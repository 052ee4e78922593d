#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "meta/record.hpp"
#include "net/redis/reply.hpp"

/// Replies as records. Everything comes from a server that others write to: nullopt for what no client writes. Parts of
/// a collection that cannot be read are left out where a whole listing would else be lost.
namespace kiseki::meta::redis {

std::optional<std::int64_t> number_or_0(const net::redis::Reply& reply);
/// A sorted set's score as whole seconds.
std::optional<std::int64_t> decode_score(std::string_view text);
/// Calls `visit(field, value)` for the pairs of a HGETALL.
template <class F>
void for_each_pair(const net::redis::Reply& reply, F visit) {
  for (std::size_t i = 0; i + 1 < reply.elements.size(); i += 2)
    visit(reply.elements[i].text, reply.elements[i + 1].text);
}

std::optional<Slices> decode_chunk(const net::redis::Reply& list);
std::optional<Xattrs> decode_xattrs(const net::redis::Reply& hash);
/// Fields that count no links are no parents.
std::optional<Parents> decode_parents(const net::redis::Reply& hash);
/// Sorted by session and owner.
std::optional<FileLocks> decode_file_locks(const net::redis::Reply& hash);
std::optional<RangeLockTable> decode_range_locks(const net::redis::Reply& hash);
std::optional<Quota> decode_quota(const net::redis::Reply& limits, const net::redis::Reply& space,
                                  const net::redis::Reply& inodes);

}  // namespace kiseki::meta::redis
