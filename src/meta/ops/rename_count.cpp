#include "meta/ops/rename_count.hpp"

#include <algorithm>

#include "meta/ops/common.hpp"

namespace kiseki::meta::op {

namespace {

/// Removes from both chains the directories they share: nothing changes for those.
void strip_common(std::vector<Ino>& a, std::vector<Ino>& b) {
  while (!a.empty() && !b.empty() && a.back() == b.back()) a.pop_back(), b.pop_back();
}

std::vector<Ino> with_quota(Client& client, const std::vector<Ino>& chain) {
  std::vector<Ino> found;
  for (Ino at : chain)
    if (client.cache().quotas().find({QuotaKind::directory, at.value})) found.push_back(at);
  return found;
}

/// What moves along: the inode, and below a directory everything.
Async<DirStat> tree_weight(Client& client, Ino ino, Attr attr) {
  auto weight = weight_of(attr);
  if (!attr.is_dir()) co_return weight;
  if (auto own = client.cache().quotas().find({QuotaKind::directory, ino.value}))
    co_return DirStat{0, weight.space + own->used_space, 1 + own->used_inodes};
  CO_TRY(auto sum, co_await summarize(client, ino, true, true));
  co_return DirStat{0, static_cast<std::int64_t>(sum.space), static_cast<std::int64_t>(sum.files + sum.dirs)};
}

Async<void> count_move_in_quotas(Txn& txn, Ino ino, Attr attr, Ino from, Ino to) {
  auto& client = txn.client();
  CO_TRY(auto chain_from, co_await chain_of(txn, from));
  CO_TRY(auto chain_to, co_await chain_of(txn, to));
  strip_common(chain_from, chain_to);
  auto leaves = with_quota(client, chain_from), enters = with_quota(client, chain_to);
  if (leaves.empty() && enters.empty()) co_return done();
  CO_TRY(auto weight, co_await tree_weight(client, ino, attr));
  for (Ino at : leaves) txn.write(AddQuotaUsage{{QuotaKind::directory, at.value}, -weight.space, -weight.inodes});
  for (Ino at : enters) {
    QuotaKey key{QuotaKind::directory, at.value};
    auto quota = client.cache().quotas().find(key);
    if (quota && ((quota->max_space > 0 && quota->used_space + weight.space > quota->max_space) ||
                  (quota->max_inodes > 0 && quota->used_inodes + weight.inodes > quota->max_inodes)))
      co_return posix(EDQUOT);
    txn.write(AddQuotaUsage{key, weight.space, weight.inodes});
  }
  co_return done();
}

}  // namespace

Async<void> count_move(Txn& txn, Ino ino, Ino from, Ino to) {
  if (from == to) co_return done();
  auto& client = txn.client();
  auto attr = *txn.attr(ino);
  auto weight = weight_of(attr);
  if (client.format()->dir_stats) {
    txn.write(AddDirStat{from, minus(weight)});
    txn.write(AddDirStat{to, weight});
  }
  if (!client.cache().quotas().loaded()) CO_CHECK(co_await client.load_quotas());
  if (!client.cache().quotas().any_directory()) co_return done();
  co_return co_await count_move_in_quotas(txn, ino, attr, from, to);
}

}  // namespace kiseki::meta::op
