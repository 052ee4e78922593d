#include "cli/usage_count.hpp"

#include <limits>

#include "meta/tree_walk.hpp"

namespace kiseki::cli {
namespace {

constexpr std::size_t kPage = 4096;
constexpr std::int64_t kEver = std::numeric_limits<std::int64_t>::max();
constexpr std::size_t kAll = std::numeric_limits<std::int32_t>::max();

/// Files below a directory; the hourly directories of the trash have no dentry, the trash root lists them.
Async<CountedBytes> count_tree(meta::MetaEngine& engine, Ino root) {
  CountedBytes sum;
  meta::TreeWalk walk(root);
  while (auto dir = walk.next()) {
    std::string cursor;
    do {
      CO_TRY(auto page, co_await engine.scan_entries(*dir, cursor, kPage, true));
      for (const auto& listed : page.entries) {
        if (listed.entry.type == meta::FileType::directory) {
          walk.add(listed.entry.ino);
          if (*dir == root) continue;  // an hour
        }
        ++sum.count;
        if (listed.attr && listed.attr->is_file()) sum.bytes += listed.attr->length;
      }
      cursor = page.next;
    } while (!cursor.empty());
  }
  co_return sum;
}

}  // namespace

Async<Leftovers> count_leftovers(meta::MetaEngine& engine) {
  Leftovers out;
  CO_TRY(out.trash_files, co_await count_tree(engine, kTrashIno));
  CO_TRY(auto files, co_await engine.scan_deleted_files(kEver, kAll));
  for (const auto& file : files) ++out.deleted_files.count, out.deleted_files.bytes += file.length;
  CO_TRY(auto delayed, co_await engine.scan_delayed_slices(kEver, kAll));
  for (const auto& one : delayed) {
    for (const auto& slice : one.slices) ++out.delayed_slices.count, out.delayed_slices.bytes += slice.size;
  }
  CO_TRY(auto dead, co_await engine.scan_dead_slices(kAll));
  for (const auto& [id, ref] : dead) ++out.dead_slices.count, out.dead_slices.bytes += ref.size;
  co_return out;
}

}  // namespace kiseki::cli
