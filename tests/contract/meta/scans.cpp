// Scans: complete, in pages, with the attributes asked for.
#include <set>

#include "engine_contract.hpp"

namespace kiseki::meta {
namespace {

TEST_P(EngineContract, EntriesComeInPages) {
  on_engine([](MetaEngine& e) -> asio::awaitable<void> {
    std::set<std::string> names;
    std::vector<Write> writes{PutEntry{{Ino{6}, "elsewhere"}, {Ino{2}, FileType::file}}};
    for (int i = 0; i < 250; ++i) {
      std::string name = i == 7 ? std::string("\xff\x00z", 3) : "name-" + std::to_string(i);
      names.insert(name);
      Ino ino{100 + static_cast<std::uint64_t>(i)};
      writes.push_back(PutEntry{{Ino{5}, name}, {ino, FileType::file}});
      if (i != 9) writes.push_back(PutAttr{ino, some_file(static_cast<std::uint64_t>(i))});
    }
    co_await put(e, std::move(writes));
    for (std::size_t limit :
         {std::size_t{1}, std::size_t{100}, std::size_t{125}, std::size_t{250}, std::size_t{251}, std::size_t{4096}}) {
      std::set<std::string> seen;
      std::string cursor;
      std::size_t pages = 0;
      do {
        auto page = co_await e.scan_entries(Ino{5}, cursor, limit, limit != 1);
        CO_ASSERT_OK(page);
        CO_ASSERT_TRUE(++pages <= 251);
        for (auto& listed : page->entries) {
          EXPECT_TRUE(seen.insert(listed.name).second) << "twice";
          auto index = listed.entry.ino.value - 100;
          EXPECT_EQ(listed.attr.has_value(), limit != 1 && index != 9);
          if (listed.attr) EXPECT_EQ(listed.attr->length, index);
        }
        cursor = page->next;
      } while (!cursor.empty());
      EXPECT_EQ(seen, names) << "pages of " << limit;
      EXPECT_LE(pages, (250 + limit - 1) / limit);
    }
    auto none = co_await e.scan_entries(Ino{7}, "", 10, true);
    CO_ASSERT_OK(none);
    EXPECT_TRUE(none->entries.empty() && none->next.empty());
  });
}

TEST_P(EngineContract, PagesSurviveChangesBetweenThem) {
  on_engine([](MetaEngine& e) -> asio::awaitable<void> {
    for (int i = 0; i < 30; ++i)
      co_await put(e, {PutEntry{{Ino{5}, "n" + std::to_string(100 + i)}, {Ino{9}, FileType::file}}});
    auto first = co_await e.scan_entries(Ino{5}, "", 10, false);
    CO_ASSERT_OK(first);
    for (auto& listed : first->entries) co_await put(e, {EraseEntry{{Ino{5}, listed.name}}});
    auto cursor = first->next;
    if (cursor.empty()) {
      EXPECT_EQ(first->entries.size(), 30u);
      co_return;
    }
    auto rest = co_await e.scan_entries(Ino{5}, cursor, 100, false);
    CO_ASSERT_OK(rest);
    EXPECT_EQ(rest->entries.size(), 30 - first->entries.size())
        << "what was not listed and not erased is still to come";
  });
}

TEST_P(EngineContract, ChunksOfAFile) {
  on_engine([](MetaEngine& e) -> asio::awaitable<void> {
    for (std::uint32_t i : {5u, 0u, 1u << 20})
      co_await put(e, {AppendSlices{{Ino{5}, ChunkIndex{i}}, {Slice{i & 1023, SliceId{i}, 1, 0, 1}}}});
    co_await put(e, {AppendSlices{{Ino{6}, ChunkIndex{0}}, {Slice{}}}});
    auto below = co_await e.scan_chunks(Ino{5}, 6 * kChunkBytes);
    CO_ASSERT_OK(below);
    CO_ASSERT_TRUE(below->size() >= 2);
    EXPECT_EQ((*below)[1].index, ChunkIndex{5});
    auto chunks = co_await e.scan_chunks(Ino{5}, (std::uint64_t{1} << 20) * kChunkBytes + 1);
    CO_ASSERT_OK(chunks);
    CO_ASSERT_TRUE(chunks->size() == 3);
    EXPECT_EQ((*chunks)[0].index, ChunkIndex{0});
    EXPECT_EQ((*chunks)[1].index, ChunkIndex{5});
    EXPECT_EQ((*chunks)[2].index, ChunkIndex{1u << 20});
    EXPECT_EQ((*chunks)[1].slices, (Slices{{5, SliceId{5}, 1, 0, 1}}));
    using Indexes = std::vector<ChunkIndex>;
    auto find = [&](std::uint32_t first, std::uint32_t end) -> asio::awaitable<Indexes> {
      auto found = co_await e.find_chunks(Ino{5}, ChunkIndex{first}, ChunkIndex{end});
      EXPECT_TRUE(found);
      co_return found ? *found : Indexes();
    };
    EXPECT_EQ(co_await find(0, 5), Indexes{ChunkIndex{0}});
    EXPECT_EQ(co_await find(1, 6), Indexes{ChunkIndex{5}});
    EXPECT_EQ(co_await find(6, 10'000), Indexes());
    EXPECT_EQ(co_await find(5, 5), Indexes());
    EXPECT_EQ(co_await find(1, (1u << 20) + 1), (Indexes{ChunkIndex{5}, ChunkIndex{1u << 20}}));
    EXPECT_EQ(co_await find(1, 1u << 31), (Indexes{ChunkIndex{5}, ChunkIndex{1u << 20}})) << "more than are probed";
    co_await put(e, {ReplaceSlices{{Ino{5}, ChunkIndex{5}}, 0, 1, {}}});
    EXPECT_EQ(co_await find(1, 6), Indexes()) << "emptied";
  });
}

TEST_P(EngineContract, SessionsAndWhatTheyHold) {
  on_engine([](MetaEngine& e) -> asio::awaitable<void> {
    RangeLocks ranges{SessionId{1}, 4, {{1, 2, 3, 4}}};
    FileLock lock{SessionId{1}, 3, false};
    co_await put(
        e, {PutSession{SessionId{1}, {100, "one"}}, PutSession{SessionId{2}, {200, "two"}},
            PutSustained{SessionId{1}, Ino{5}}, PutSustained{SessionId{1}, Ino{5}}, PutSustained{SessionId{1}, Ino{6}},
            PutSustained{SessionId{2}, Ino{7}}, PutFileLock{Ino{8}, lock}, PutRangeLocks{Ino{9}, ranges}});
    auto sessions = co_await e.scan_sessions();
    CO_ASSERT_OK(sessions);
    EXPECT_EQ(*sessions,
              (std::vector<std::pair<SessionId, Session>>{{SessionId{1}, {100, "one"}}, {SessionId{2}, {200, "two"}}}));
    auto locks = co_await e.scan_locks(SessionId{1});
    CO_ASSERT_OK(locks);
    EXPECT_EQ(locks->sustained, (std::vector<Ino>{Ino{5}, Ino{6}}));
    EXPECT_EQ(locks->file_locks, (std::vector<std::pair<Ino, FileLock>>{{Ino{8}, lock}}));
    EXPECT_EQ(locks->range_locks, (std::vector<std::pair<Ino, RangeLocks>>{{Ino{9}, ranges}}));
    co_await put(e, {EraseSustained{SessionId{1}, Ino{5}}, EraseSustained{SessionId{2}, Ino{6}}});
    locks = co_await e.scan_locks(SessionId{1});
    CO_ASSERT_OK(locks);
    EXPECT_EQ(locks->sustained, (std::vector<Ino>{Ino{6}}));
  });
}

TEST_P(EngineContract, DeletedFilesByAge) {
  on_engine([](MetaEngine& e) -> asio::awaitable<void> {
    co_await put(e, {PutDeletedFile{Ino{5}, std::uint64_t{1} << 40, 100}, PutDeletedFile{Ino{6}, 2, 200},
                     PutDeletedFile{Ino{7}, 3, 300}});
    auto old = co_await e.scan_deleted_files(300, 10);
    CO_ASSERT_OK(old);
    CO_ASSERT_TRUE(old->size() == 2);
    EXPECT_EQ((*old)[0].ino, Ino{5});
    EXPECT_EQ((*old)[0].length, std::uint64_t{1} << 40);
    EXPECT_EQ((*old)[1].removed_at, 200);
    auto few = co_await e.scan_deleted_files(1000, 2);
    CO_ASSERT_OK(few);
    EXPECT_EQ(few->size(), 2u);
    co_await put(e, {EraseDeletedFile{Ino{5}, std::uint64_t{1} << 40}});
    old = co_await e.scan_deleted_files(300, 10);
    CO_ASSERT_OK(old);
    EXPECT_EQ(old->size(), 1u);
  });
}

TEST_P(EngineContract, DeadAndDelayedSlices) {
  on_engine([](MetaEngine& e) -> asio::awaitable<void> {
    co_await put(e, {AddSliceRef{SliceId{1}, 10, 1, true}, AddSliceRef{SliceId{2}, 20, 0, true},
                     AddSliceRef{SliceId{3}, 30, 1, true}, AddSliceRef{SliceId{3}, 30, -2}});
    auto dead = co_await e.scan_dead_slices(10);
    CO_ASSERT_OK(dead);
    EXPECT_EQ(std::set<std::uint64_t>({2, 3}), [&] {
      std::set<std::uint64_t> ids;
      for (auto& [id, ref] : *dead) ids.insert(id.value);
      return ids;
    }());
    auto one = co_await e.scan_dead_slices(1);
    CO_ASSERT_OK(one);
    EXPECT_EQ(one->size(), 1u);

    std::vector<DelayedSlice> replaced{{SliceId{1}, 10}, {SliceId{0xFFFFFFFFFFFFFFFF}, 0xFFFFFFFF}};
    co_await put(e, {PutDelayedSlices{SliceId{9}, 100, replaced}, PutDelayedSlices{SliceId{8}, 200, {}}});
    auto delayed = co_await e.scan_delayed_slices(200, 10);
    CO_ASSERT_OK(delayed);
    CO_ASSERT_TRUE(delayed->size() == 1);
    EXPECT_EQ((*delayed)[0].compacted, SliceId{9});
    EXPECT_EQ((*delayed)[0].slices, replaced);
    co_await put(e, {EraseDelayedSlices{SliceId{9}, 100}});
    delayed = co_await e.scan_delayed_slices(INT64_MAX, 10);
    CO_ASSERT_OK(delayed);
    EXPECT_EQ(delayed->size(), 1u);
  });
}

TEST_P(EngineContract, QuotasAndRules) {
  on_engine([](MetaEngine& e) -> asio::awaitable<void> {
    Quota a{1, 2, 3, 4}, b{-1, -1, 5, 6};
    co_await put(e, {PutQuota{{QuotaKind::directory, 5}, a}, AddQuotaUsage{{QuotaKind::group, 7}, 5, 6}});
    auto quotas = co_await e.scan_quotas();
    CO_ASSERT_OK(quotas);
    EXPECT_EQ(*quotas,
              (std::vector<std::pair<QuotaKey, Quota>>{{{QuotaKind::directory, 5}, a}, {{QuotaKind::group, 7}, b}}));
    AclRule rule{1, 2, 3, 4, {{5, 6}}, {}};
    auto ids = co_await put(e, {InsertAcl{rule}});
    auto rules = co_await e.scan_acls();
    CO_ASSERT_OK(rules);
    CO_ASSERT_TRUE(rules->size() == 1);
    EXPECT_EQ((*rules)[0].first, static_cast<std::uint32_t>(ids.at(0)));
    EXPECT_EQ((*rules)[0].second, rule);
  });
}

}  // namespace
}  // namespace kiseki::meta
