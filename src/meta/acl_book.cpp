#include "meta/acl_book.hpp"

#include "core/log.hpp"
#include "meta/client.hpp"

namespace kiseki::meta {

std::optional<AclRule> AclBook::known(std::uint32_t id) const {
  std::lock_guard lock(mutex_);
  auto it = rules_.find(id);
  return it == rules_.end() ? std::nullopt : std::optional(it->second);
}

std::optional<std::uint32_t> AclBook::known(const AclRule& rule) const {
  std::lock_guard lock(mutex_);
  for (auto& [id, candidate] : rules_)
    if (candidate == rule) return id;
  return std::nullopt;
}

void AclBook::learn(std::uint32_t id, const AclRule& rule) {
  std::lock_guard lock(mutex_);
  rules_.insert_or_assign(id, rule);
}

Async<AclRule> AclBook::rule(Client& client, std::uint32_t id) {
  if (auto rule = known(id)) co_return *rule;
  Keys keys{AclKey{id}};
  CO_TRY(auto records, co_await client.fetch(std::move(keys)));
  auto* rule = std::get_if<AclRule>(&records[0]);
  if (!rule) {
    log::error("meta.acl.missing", {{"id", id}});
    co_return posix(EIO);
  }
  learn(id, *rule);
  co_return *rule;
}

Async<std::uint32_t> AclBook::id_of(Client& client, AclRule rule) {
  if (auto id = known(rule)) co_return *id;
  bool scan;
  {
    std::lock_guard lock(mutex_);
    scan = !scanned_;
  }
  if (scan) {
    CO_TRY(auto all, co_await client.engine().scan_acls());
    for (auto& [id, stored] : all) learn(id, stored);
    {
      std::lock_guard lock(mutex_);
      scanned_ = true;
    }
    if (auto id = known(rule)) co_return *id;
  }
  Commit commit;
  commit.writes.push_back(InsertAcl{rule});
  CO_TRY(auto outcome, co_await client.commit(std::move(commit)));
  if (!outcome.applied || outcome.returned.size() != 1) co_return posix(EIO);
  auto id = static_cast<std::uint32_t>(outcome.returned[0]);
  learn(id, rule);
  co_return id;
}

}  // namespace kiseki::meta
