#include "meta/redis/fetch_plan.hpp"

#include <algorithm>

#include "core/log.hpp"
#include "meta/codec.hpp"
#include "meta/redis/decode.hpp"
#include "meta/redis/scripts.hpp"

namespace kiseki::meta::redis {

using net::redis::Command;
using net::redis::Reply;

FetchPlan::FetchPlan(const KeyNames& names, const Key* begin, const Key* end)
    : names_(names), begin_(begin), end_(end) {
  for (auto* key = begin; key != end; ++key)
    for (auto& step : steps_of(*key)) steps_.push_back(std::move(step));
  make_command();
}

std::vector<FetchPlan::Step> FetchPlan::steps_of(const Key& key) const {
  if (auto* k = std::get_if<AttrKey>(&key)) return {{"g", names_.attr(k->ino), {}}};
  if (auto* k = std::get_if<EntryKey>(&key)) return {{"h", names_.entries(k->parent), k->name}};
  if (auto* k = std::get_if<ChildKey>(&key)) return {{"c", names_.entries(k->parent), k->name, names_.attrs()}};
  if (auto* k = std::get_if<ChunkKey>(&key)) return {{"l", names_.chunk(*k), {}}};
  if (auto* k = std::get_if<SymlinkKey>(&key)) return {{"g", names_.symlink(k->ino), {}}};
  if (auto* k = std::get_if<XattrKey>(&key)) return {{"h", names_.xattrs(k->ino), k->name}};
  if (auto* k = std::get_if<XattrsKey>(&key)) return {{"a", names_.xattrs(k->ino), {}}};
  if (auto* k = std::get_if<ParentsKey>(&key)) return {{"a", names_.parents(k->ino), {}}};
  if (auto* k = std::get_if<CounterKey>(&key)) return {{"g", names_.counter(k->which), {}}};
  if (auto* k = std::get_if<SliceRefKey>(&key))
    return {{"h", names_.named("sliceRef"), codec::encode(codec::SliceField{k->id, k->size})}};
  if (auto* k = std::get_if<FileLocksKey>(&key)) return {{"a", names_.file_locks(k->ino), {}}};
  if (auto* k = std::get_if<RangeLocksKey>(&key)) return {{"a", names_.range_locks(k->ino), {}}};
  if (auto* k = std::get_if<AclKey>(&key)) return {{"h", names_.named("acl"), std::to_string(k->id)}};
  if (auto* k = std::get_if<DirStatKey>(&key)) {
    auto names = names_.dir_stats();
    auto id = std::to_string(k->ino.value);
    return {{"h", names.lengths, id}, {"h", names.space, id}, {"h", names.inodes, id}};
  }
  if (auto* k = std::get_if<QuotaKey>(&key)) {
    auto names = names_.quotas(k->kind);
    auto id = std::to_string(k->id);
    return {{"h", names.limits, id}, {"h", names.space, id}, {"h", names.inodes, id}};
  }
  if (auto* k = std::get_if<SessionKey>(&key)) {
    auto id = std::to_string(k->sid.value);
    return {{"z", names_.named("allSessions"), id}, {"h", names_.named("sessionInfos"), id}};
  }
  return {{"g", names_.named("setting"), {}}};
}

void FetchPlan::make_single(const Step& step) {
  if (step.op == "g") command_.emplace("GET", step.key);
  if (step.op == "h") command_.emplace("HGET", step.key, step.field);
  if (step.op == "l") command_.emplace("LRANGE", step.key, 0, -1);
  if (step.op == "a") command_.emplace("HGETALL", step.key);
}

void FetchPlan::make_command() {
  if (steps_.size() == 1) make_single(steps_[0]);
  if (command_) return;
  if (std::all_of(steps_.begin(), steps_.end(), [](auto& step) { return step.op == "g"; })) {
    command_.emplace("MGET");
    for (auto& step : steps_) command_->add(step.key);
    return;
  }
  net::redis::Strings keys, args;
  for (auto& step : steps_) {
    keys.push_back(step.key);
    args.emplace_back(step.op);
    if (step.op == "h" || step.op == "c" || step.op == "z") args.push_back(step.field);
    if (step.op == "c") args.push_back(step.base);
  }
  command_.emplace(Command::eval(fetch_script(), keys, args));
}

Result<Records> FetchPlan::decode(const Reply& reply) const {
  bool single = steps_.size() == 1 && steps_[0].op != "c" && steps_[0].op != "z";
  if (!single && (!reply.is_array() || reply.elements.size() != steps_.size())) {
    log::error("meta.redis.reply", {{"why", "not as many values as were asked for"}});
    return posix(EIO);
  }
  const Reply* values = single ? &reply : reply.elements.data();
  Records records;
  records.reserve(static_cast<std::size_t>(end_ - begin_));
  std::size_t at = 0;
  for (auto* key = begin_; key != end_; ++key) {
    auto record = decode_record(*key, values + at);
    if (!record) {
      log::error("meta.redis.corrupt", {{"key", steps_[at].key}, {"field", steps_[at].field}});
      return posix(EIO);
    }
    records.push_back(std::move(*record));
    at += replies_of(*key);
  }
  return records;
}

// ---- records ----------------------------------------------------------------------------------------------------

std::size_t replies_of(const Key& key) {
  if (std::holds_alternative<DirStatKey>(key) || std::holds_alternative<QuotaKey>(key)) return 3;
  return std::holds_alternative<SessionKey>(key) ? 2 : 1;
}

namespace {

template <class T>
std::optional<Record> record(std::optional<T> value) {
  if (!value) return std::nullopt;
  return Record(std::move(*value));
}

std::optional<Record> dir_stat(const Reply* replies) {
  if (replies[1].is_nil()) return Record();  // as JuiceFS asks whether there is one
  auto length = number_or_0(replies[0]), space = number_or_0(replies[1]), inodes = number_or_0(replies[2]);
  if (!length || !space || !inodes) return std::nullopt;
  return Record(DirStat{*length, *space, *inodes});
}

std::optional<Record> quota(const Reply* replies) {
  if (replies[0].is_nil()) return Record();
  return record(decode_quota(replies[0], replies[1], replies[2]));
}

std::optional<Record> session(const Reply* replies) {
  if (replies[0].is_nil()) return Record();
  auto expire = decode_score(replies[0].text);
  if (!expire) return std::nullopt;
  return Record(Session{*expire, replies[1].text});
}

}  // namespace

std::optional<Record> decode_record(const Key& key, const Reply* replies) {
  auto& reply = *replies;
  if (std::holds_alternative<DirStatKey>(key)) return dir_stat(replies);
  if (std::holds_alternative<QuotaKey>(key)) return quota(replies);
  if (std::holds_alternative<SessionKey>(key)) return session(replies);
  if (std::holds_alternative<ChunkKey>(key)) return record(decode_chunk(reply));
  if (std::holds_alternative<XattrsKey>(key)) return record(decode_xattrs(reply));
  if (std::holds_alternative<ParentsKey>(key)) return record(decode_parents(reply));
  if (std::holds_alternative<FileLocksKey>(key)) return record(decode_file_locks(reply));
  if (std::holds_alternative<RangeLocksKey>(key)) return record(decode_range_locks(reply));
  if (auto* k = std::get_if<SliceRefKey>(&key)) {
    auto stored = number_or_0(reply);
    if (!stored) return std::nullopt;
    return Record(SliceRef{k->size, codec::refs_of_stored(*stored)});
  }
  if (reply.is_nil()) return Record();
  if (!reply.is_text()) return std::nullopt;
  if (std::holds_alternative<AttrKey>(key) || std::holds_alternative<ChildKey>(key))
    return record(codec::decode_attr(reply.text));
  if (std::holds_alternative<EntryKey>(key)) return record(codec::decode_entry(reply.text));
  if (std::holds_alternative<AclKey>(key)) return record(codec::decode_acl(reply.text));
  if (auto* k = std::get_if<CounterKey>(&key)) {
    auto stored = codec::decode_number(reply.text);
    return stored ? std::optional<Record>(*stored + stored_offset(k->which)) : std::nullopt;
  }
  return Record(reply.text);
}

}  // namespace kiseki::meta::redis
