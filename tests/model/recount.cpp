#include "recount.hpp"

#include <gtest/gtest.h>

#include <map>
#include <set>

namespace kiseki::model {

namespace {

using namespace kiseki::meta;

struct Count {
  std::int64_t space = 0, inodes = 0;
  std::map<Ino, Attr> inodes_seen;
  std::map<Ino, DirStat> stats;
};

std::int64_t space_of(const Attr& attr) {
  if (attr.type != FileType::file || attr.length == 0) return 4096;
  return static_cast<std::int64_t>((attr.length + 4095) / 4096 * 4096);
}

asio::awaitable<void> count_tree(MetaEngine& engine, Ino top, Count& count) {
  std::vector<Ino> open{top};
  while (!open.empty()) {
    Ino dir = open.back();
    open.pop_back();
    auto& stat = count.stats[dir];
    std::string cursor;
    do {
      auto page = co_await engine.scan_entries(dir, cursor, 1000, true);
      if (!page) co_return ADD_FAILURE() << page.error().message(), void();
      for (auto& listed : page->entries) {
        if (!listed.attr) continue;
        count.inodes_seen[listed.entry.ino] = *listed.attr;
        stat.length += listed.attr->type == FileType::file ? static_cast<std::int64_t>(listed.attr->length) : 0;
        stat.space += space_of(*listed.attr);
        ++stat.inodes;
        if (listed.attr->type == FileType::directory) open.push_back(listed.entry.ino);
      }
      cursor = page->next;
    } while (!cursor.empty());
  }
}

asio::awaitable<Record> read(MetaEngine& engine, Key key) {
  Keys keys{std::move(key)};
  auto records = co_await engine.fetch(std::move(keys));
  co_return records ? std::move((*records)[0]) : Record();
}

asio::awaitable<void> expect_dir_stats(MetaEngine& engine, const Count& count) {
  for (auto& [dir, due] : count.stats) {
    if (dir == kTrashIno) continue;
    auto stored = co_await read(engine, DirStatKey{dir});
    auto* stat = std::get_if<DirStat>(&stored);
    if (!stat) continue;  // counted when next needed
    EXPECT_EQ(*stat, due) << "directory " << dir.value << ": stored " << stat->length << "/" << stat->space << "/"
                          << stat->inodes << ", counted " << due.length << "/" << due.space << "/" << due.inodes;
  }
}

asio::awaitable<void> expect_slice_refs(MetaEngine& engine, const Count& count) {
  std::map<std::pair<SliceId, std::uint32_t>, std::int64_t> due;
  auto add = [&](Ino ino, std::uint64_t length) -> asio::awaitable<void> {
    auto chunks = co_await engine.scan_chunks(ino, length);
    if (!chunks) co_return;
    for (auto& chunk : *chunks)
      for (auto& slice : chunk.slices)
        if (slice.id.value != 0) ++due[{slice.id, slice.size}];
  };
  for (auto& [ino, attr] : count.inodes_seen)
    if (attr.type == FileType::file) co_await add(ino, attr.length);
  auto removed = co_await engine.scan_deleted_files(std::int64_t{1} << 60, 100'000);
  if (removed)
    for (auto& file : *removed) co_await add(file.ino, file.length);
  for (auto& [slice, refs] : due) {
    auto [id, size] = slice;
    auto stored = co_await read(engine, SliceRefKey{id, size});
    auto* ref = std::get_if<SliceRef>(&stored);
    EXPECT_EQ(ref ? ref->refs : 0, refs) << "slice " << id.value;
  }
  auto dead = co_await engine.scan_dead_slices(100'000);
  if (dead)
    for (auto& [id, ref] : *dead)
      EXPECT_FALSE(due.contains({id, ref.size})) << "slice " << id.value << " is used but counted dead";
}

}  // namespace

asio::awaitable<void> expect_exact_counts(MetaEngine& engine) {
  Count count;
  co_await count_tree(engine, kRootIno, count);
  co_await count_tree(engine, kTrashIno, count);
  for (auto& [ino, attr] : count.inodes_seen) {
    count.space += space_of(attr);
    ++count.inodes;
  }
  auto space = co_await read(engine, CounterKey{Counter::used_space});
  auto inodes = co_await read(engine, CounterKey{Counter::total_inodes});
  EXPECT_EQ(std::get<std::int64_t>(space), count.space) << "used space";
  EXPECT_EQ(std::get<std::int64_t>(inodes), count.inodes) << "inodes";
  co_await expect_dir_stats(engine, count);
  co_await expect_slice_refs(engine, count);
}

}  // namespace kiseki::model
