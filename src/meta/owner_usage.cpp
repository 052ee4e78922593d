#include "meta/owner_usage.hpp"

#include <map>
#include <set>

#include "meta/attr_fields.hpp"
#include "meta/patch.hpp"
#include "meta/tree_walk.hpp"

namespace kiseki::meta {

namespace {

constexpr std::size_t kPage = 4096;

class OwnerCount {
 public:
  explicit OwnerCount(MetaEngine& engine) : engine_(engine) {}

  Async<void> add_tree(Ino top) {
    TreeWalk walk(top);
    while (auto dir = walk.next()) {
      std::string cursor;
      do {
        CO_TRY(auto page, co_await engine_.scan_entries(*dir, std::move(cursor), kPage, true));
        for (auto& listed : page.entries) {
          if (listed.entry.type == FileType::directory) walk.add(listed.entry.ino);
          if (listed.attr && *dir != kTrashIno)
            add(listed.entry.ino, *listed.attr);  // an hour of the trash is nobody's
        }
        cursor = std::move(page.next);
      } while (!cursor.empty());
    }
    co_return Result<void>{};
  }

  Async<void> add_nameless() {
    CO_TRY(auto sessions, co_await engine_.scan_sessions());
    for (auto& [sid, session] : sessions) {
      CO_TRY(auto held, co_await engine_.scan_locks(sid));
      Keys keys;
      for (Ino ino : held.sustained) keys.push_back(AttrKey{ino});
      if (keys.empty()) continue;
      CO_TRY(auto records, co_await engine_.fetch(std::move(keys)));
      for (std::size_t i = 0; i < records.size(); ++i) {
        auto* attr = std::get_if<Attr>(&records[i]);
        if (attr && attr->nlink == 0) add(held.sustained[i], *attr);
      }
    }
    co_return Result<void>{};
  }

  std::vector<std::pair<QuotaKey, Quota>> all() const { return {used_.begin(), used_.end()}; }

 private:
  void add(Ino ino, const Attr& attr) {
    // A file with several names is met at each of them, a nameless one with each session that has it open.
    if (!attr.is_dir() && attr.nlink != 1 && !met_.insert(ino).second) return;
    for (QuotaKey owner : {QuotaKey{QuotaKind::user, attr.uid}, QuotaKey{QuotaKind::group, attr.gid}}) {
      auto& quota = used_[owner];
      quota.used_space = sum(quota.used_space, stat_space(attr));
      ++quota.used_inodes;
    }
  }

  MetaEngine& engine_;
  std::map<QuotaKey, Quota> used_;
  std::set<Ino> met_;
};

}  // namespace

Async<std::vector<std::pair<QuotaKey, Quota>>> count_owners(MetaEngine& engine) {
  OwnerCount count(engine);
  CO_CHECK(co_await count.add_tree(kRootIno));
  CO_CHECK(co_await count.add_tree(kTrashIno));
  CO_CHECK(co_await count.add_nameless());
  co_return count.all();
}

}  // namespace kiseki::meta
