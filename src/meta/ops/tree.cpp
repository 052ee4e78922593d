// Walks over trees: paths, sums.
#include <algorithm>

#include "meta/ops/common.hpp"
#include "meta/tree_walk.hpp"

namespace kiseki::meta {

using namespace op;

namespace {

constexpr std::size_t kPage = 4096;

/// Names of an inode in one directory.
Async<std::vector<std::string>> names_in(Client& client, Ino dir, Ino ino) {
  std::vector<std::string> names;
  if (ino == kTrashIno) co_return std::vector<std::string>{std::string(Client::kTrashName)};
  std::string cursor;
  do {
    CO_TRY(auto page, co_await client.engine().scan_entries(dir, std::move(cursor), kPage, false));
    for (auto& listed : page.entries)
      if (listed.entry.ino == ino) names.push_back(std::move(listed.name));
    cursor = std::move(page.next);
  } while (!cursor.empty());
  co_return names;
}

Async<std::vector<Ino>> parents_of(Client& client, Ino ino) {
  Keys keys{AttrKey{ino}, ParentsKey{ino}};
  CO_TRY(auto records, co_await client.fetch(std::move(keys)));
  auto* attr = std::get_if<Attr>(&records[0]);
  if (!attr) co_return posix(ENOENT);
  if (attr->parent.value != 0) co_return std::vector<Ino>{attr->parent};
  std::vector<Ino> parents;
  if (auto* links = std::get_if<Parents>(&records[1]))
    for (auto& [parent, count] : *links) parents.push_back(parent);
  co_return parents;
}

/// Path of a directory, "" for the root.
Async<std::string> path_of_dir(Client& client, Ino dir) {
  std::string path;
  Climb climb;
  while (dir != kRootIno) {
    if (!climb.at(dir)) co_return posix(ELOOP);
    CO_TRY(auto parents, co_await parents_of(client, dir));
    if (parents.empty()) co_return posix(ENOENT);
    CO_TRY(auto names, co_await names_in(client, parents.front(), dir));
    if (names.empty()) co_return posix(ENOENT);
    path = "/" + names.front() + path;
    dir = parents.front();
  }
  co_return path;
}

}  // namespace

Async<std::vector<std::string>> paths_of(Client& client, Ino ino) {
  if (ino == kRootIno) co_return std::vector<std::string>{"/"};
  CO_TRY(auto parents, co_await parents_of(client, ino));
  std::vector<std::string> paths;
  for (Ino parent : parents) {
    CO_TRY(auto above, co_await path_of_dir(client, parent));
    CO_TRY(auto names, co_await names_in(client, parent, ino));
    for (auto& name : names) paths.push_back(above + "/" + name);
  }
  co_return paths;
}

Async<InodeEntry> resolve(Client& client, std::string path) {
  CO_TRY(auto root, co_await getattr(client, kRootIno));
  InodeEntry at{kRootIno, root};
  std::size_t begin = 0;
  while (begin < path.size()) {
    auto end = std::min(path.find('/', begin), path.size());
    auto name = path.substr(begin, end - begin);
    begin = end + 1;
    if (name.empty() || name == ".") continue;
    if (!at.attr.is_dir()) co_return posix(ENOTDIR);
    CO_TRY(at, co_await lookup(client, at.ino, std::move(name)));
  }
  co_return at;
}

namespace {

/// Adds the children of one directory; directories among them are answered.
Async<std::vector<Ino>> add_children(Client& client, Ino dir, bool by_stat, TreeSummary& sum) {
  std::vector<Ino> directories;
  std::uint64_t dirs = 0;
  std::string cursor;
  do {
    CO_TRY(auto page, co_await client.engine().scan_entries(dir, std::move(cursor), kPage, !by_stat));
    for (auto& listed : page.entries) {
      if (listed.entry.type == FileType::directory) directories.push_back(listed.entry.ino), ++dirs;
      if (by_stat || !listed.attr) continue;
      auto weight = weight_of(*listed.attr);
      sum.length += static_cast<std::uint64_t>(weight.length);
      sum.space += static_cast<std::uint64_t>(weight.space);
      ++(listed.attr->is_dir() ? sum.dirs : sum.files);
    }
    cursor = std::move(page.next);
  } while (!cursor.empty());
  if (!by_stat) co_return directories;
  Keys keys{DirStatKey{dir}};
  CO_TRY(auto records, co_await client.fetch(std::move(keys)));
  auto* stat = std::get_if<DirStat>(&records[0]);
  if (!stat) co_return co_await add_children(client, dir, false, sum);
  sum.length += static_cast<std::uint64_t>(std::max<std::int64_t>(stat->length, 0));
  sum.space += static_cast<std::uint64_t>(std::max<std::int64_t>(stat->space, 0));
  auto inodes = static_cast<std::uint64_t>(std::max<std::int64_t>(stat->inodes, 0));
  sum.dirs += dirs;
  sum.files += inodes > dirs ? inodes - dirs : 0;
  co_return directories;
}

}  // namespace

Async<TreeSummary> summarize(Client& client, Ino ino, bool recursive, bool strict) {
  CO_TRY(auto attr, co_await getattr(client, ino));
  TreeSummary sum;
  auto own = weight_of(attr);
  sum.length = static_cast<std::uint64_t>(own.length);
  sum.space = static_cast<std::uint64_t>(own.space);
  ++(attr.is_dir() ? sum.dirs : sum.files);
  if (!attr.is_dir()) co_return sum;
  bool by_stat = !strict && client.format()->dir_stats;
  TreeWalk walk(ino);
  while (auto dir = walk.next()) {
    CO_TRY(auto below, co_await add_children(client, *dir, by_stat, sum));
    for (Ino child : below)
      if (recursive) walk.add(child);
  }
  co_return sum;
}

}  // namespace kiseki::meta
