#include "meta/redis/decode.hpp"

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "meta/codec.hpp"

namespace kiseki::meta::redis {

using net::redis::Reply;

std::optional<std::int64_t> number_or_0(const Reply& reply) {
  if (reply.is_nil()) return 0;
  if (reply.is_integer()) return reply.integer;
  return codec::decode_number(reply.text);
}

std::optional<std::int64_t> decode_score(std::string_view text) {
  if (auto whole = codec::decode_number(text)) return whole;
  // JuiceFS writes whole seconds; a fraction may come from elsewhere.
  std::string copy(text);
  char* end = nullptr;
  double value = std::strtod(copy.c_str(), &end);
  if (end == copy.c_str() || *end != '\0' || !(std::fabs(value) < 9e15)) return std::nullopt;
  return static_cast<std::int64_t>(std::floor(value));
}

std::optional<Slices> decode_chunk(const Reply& list) {
  if (list.is_nil()) return Slices();
  if (!list.is_array()) return std::nullopt;
  std::string all;
  for (auto& element : list.elements) {
    if (element.text.size() != codec::kSliceBytes) return std::nullopt;
    all += element.text;
  }
  return codec::decode_slices(all);
}

std::optional<Xattrs> decode_xattrs(const Reply& hash) {
  Xattrs all;
  if (hash.is_nil()) return all;
  if (!hash.is_array()) return std::nullopt;
  for_each_pair(hash, [&](const std::string& name, const std::string& value) { all.emplace(name, value); });
  return all;
}

std::optional<Parents> decode_parents(const Reply& hash) {
  Parents all;
  if (hash.is_nil()) return all;
  if (!hash.is_array()) return std::nullopt;
  for_each_pair(hash, [&](const std::string& field, const std::string& value) {
    auto parent = codec::decode_number(field), links = codec::decode_number(value);
    if (parent && links && *links > 0 && *links <= UINT32_MAX)
      all.emplace(Ino{static_cast<std::uint64_t>(*parent)}, static_cast<std::uint32_t>(*links));
  });
  return all;
}

std::optional<FileLocks> decode_file_locks(const Reply& hash) {
  FileLocks all;
  if (hash.is_nil()) return all;
  if (!hash.is_array()) return std::nullopt;
  bool whole = true;
  for_each_pair(hash, [&](const std::string& field, const std::string& value) {
    auto owner = codec::decode_lock_field(field);
    auto exclusive = value.size() == 1 ? codec::decode_lock_type(value[0]) : std::nullopt;
    if (owner && exclusive)
      all.push_back({owner->sid, owner->owner, *exclusive});
    else
      whole = false;
  });
  if (!whole) return std::nullopt;
  std::sort(all.begin(), all.end(),
            [](auto& a, auto& b) { return std::pair(a.sid, a.owner) < std::pair(b.sid, b.owner); });
  return all;
}

std::optional<RangeLockTable> decode_range_locks(const Reply& hash) {
  RangeLockTable all;
  if (hash.is_nil()) return all;
  if (!hash.is_array()) return std::nullopt;
  bool whole = true;
  for_each_pair(hash, [&](const std::string& field, const std::string& value) {
    auto owner = codec::decode_lock_field(field);
    auto ranges = codec::decode_ranges(value);
    if (owner && ranges)
      all.push_back({owner->sid, owner->owner, std::move(*ranges)});
    else
      whole = false;
  });
  if (!whole) return std::nullopt;
  std::sort(all.begin(), all.end(),
            [](auto& a, auto& b) { return std::pair(a.sid, a.owner) < std::pair(b.sid, b.owner); });
  return all;
}

std::optional<Quota> decode_quota(const Reply& limits, const Reply& space, const Reply& inodes) {
  auto quota = codec::decode_limits(limits.text);
  auto used_space = number_or_0(space), used_inodes = number_or_0(inodes);
  if (!quota || !used_space || !used_inodes) return std::nullopt;
  quota->used_space = *used_space;
  quota->used_inodes = *used_inodes;
  return quota;
}

}  // namespace kiseki::meta::redis
