// One suite, every store.
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <functional>
#include <random>

#include "core/runtime.hpp"
#include "object/codec/encoded_store.hpp"
#include "object/file_store.hpp"
#include "object/limited_store.hpp"
#include "object/memory_store.hpp"
#include "object/open_store.hpp"
#include "object/prefixed_store.hpp"
#include "object/retrying_store.hpp"
#include "object/sharded_store.hpp"
#include "support/run.hpp"

namespace kiseki::object {
namespace {

namespace fs = std::filesystem;

struct Place {  // a directory of its own for one test
  Place()
      : path(fs::temp_directory_path() /
             ("kiseki-object-" + std::to_string(::getpid()) + "-" + std::to_string(next++))) {
    fs::create_directories(path);
  }
  ~Place() { fs::remove_all(path); }
  fs::path path;
  static inline int next = 0;
};

struct Opened {
  std::shared_ptr<BlockingPool> pool;
  std::shared_ptr<Runtime> runtime;
  std::shared_ptr<Place> place;
  StorePtr store;
};

Opened open_file() {
  Opened o{std::make_shared<BlockingPool>("object-file", 2), nullptr, std::make_shared<Place>(), nullptr};
  o.store = std::make_shared<FileStore>(o.place->path.string() + "/vol/", *o.pool);
  return o;
}
Opened open_memory() { return {nullptr, nullptr, nullptr, std::make_shared<MemoryStore>()}; }
Opened open_prefixed() {
  auto o = open_file();
  o.store = std::make_shared<PrefixedStore>(o.store, "deep/er/");
  return o;
}
Opened open_stack() {
  auto o = open_memory();
  o.store = std::make_shared<LimitedStore>(o.store, Limits{.uploads = 2, .downloads = 2});
  o.store = std::make_shared<RetryingStore>(o.store, RetryPolicy{});
  return o;
}
Opened open_compressed() {
  auto o = open_memory();
  o.pool = std::make_shared<BlockingPool>("codec", 2);
  o.store = std::make_shared<EncodedStore>(o.store, Codec(Compression::lz4, nullptr), 64 << 10, *o.pool, 2, 1 << 20);
  return o;
}
Opened open_sharded() {
  auto o = open_file();
  std::vector<StorePtr> shards{o.store};
  for (int i = 1; i < 3; ++i)
    shards.push_back(std::make_shared<FileStore>(o.place->path.string() + "/s" + std::to_string(i) + "/", *o.pool));
  o.store = std::make_shared<ShardedStore>(shards);
  return o;
}

std::string variable(const char* name) {
  auto* text = std::getenv(name);
  return text ? text : "";
}

/// A bucket of its own on the server that tests/support/s3_server.py started.
Opened open_s3_at(const std::string& endpoint, const std::string& query) {
  StoreSpec spec;
  spec.storage = "s3";
  spec.bucket = endpoint + "/contract-" + std::to_string(::getpid()) + "-" + std::to_string(Place::next++) + query;
  spec.access_key = variable("KISEKI_TEST_S3_KEY");
  spec.secret_key = variable("KISEKI_TEST_S3_SECRET");
  spec.volume = "vol";
  Opened o{nullptr, std::make_shared<Runtime>(Runtime::Options{.loops = 1, .pin = false}), nullptr, nullptr};
  auto opened = open_store(spec, *o.runtime);
  EXPECT_TRUE(opened.store) << opened.error;
  o.store = opened.store;
  test::run([store = o.store]() -> asio::awaitable<void> { CO_ASSERT_OK(co_await store->create()); });
  return o;
}

Opened open_s3() { return open_s3_at(variable("KISEKI_TEST_S3"), ""); }
Opened open_s3_by_tls() {
  return open_s3_at(variable("KISEKI_TEST_S3_TLS"), std::string("?ca-certs=") + variable("KISEKI_TEST_S3_CA"));
}

using Named = std::pair<const char*, Opened (*)()>;
std::vector<Named> s3_servers() {
  std::vector<Named> out;
  if (std::getenv("KISEKI_TEST_S3")) out.emplace_back("s3", &open_s3);
  if (std::getenv("KISEKI_TEST_S3_TLS")) out.emplace_back("s3_by_tls", &open_s3_by_tls);
  return out;
}

Body body_of(std::string text) {
  auto owner = std::make_shared<std::string>(std::move(text));
  Body body;
  auto half = owner->size() / 2;  // two pieces: stores must join them
  auto bytes = std::as_bytes(std::span(*owner));
  body.pieces = {bytes.first(half), bytes.subspan(half)};
  body.owner = owner;
  return body;
}

Async<std::string> get_text(StorePtr store, ObjectKey key, std::uint64_t offset, std::size_t size) {
  std::string out(size, '?');
  auto into = std::as_writable_bytes(std::span(out));
  CO_TRY(auto got, co_await store->get(std::move(key), offset, into));
  out.resize(got);
  co_return out;
}

class ObjectStoreContract : public testing::TestWithParam<Named> {
 protected:
  Opened opened = GetParam().second();
  StorePtr store = opened.store;
};

TEST_P(ObjectStoreContract, AnObjectReadsBackWholeAndInParts) {
  test::run([this]() -> asio::awaitable<void> {
    CO_ASSERT_OK(co_await store->create());
    CO_ASSERT_OK(co_await store->put("chunks/0/0/1_0_11", body_of("hello world")));
    auto whole = co_await get_text(store, "chunks/0/0/1_0_11", 0, 11);
    CO_ASSERT_OK(whole);
    EXPECT_EQ(*whole, "hello world");
    auto part = co_await get_text(store, "chunks/0/0/1_0_11", 6, 3);
    CO_ASSERT_OK(part);
    EXPECT_EQ(*part, "wor");
    auto tail = co_await get_text(store, "chunks/0/0/1_0_11", 9, 100);
    CO_ASSERT_OK(tail);
    EXPECT_EQ(*tail, "ld");
    auto past = co_await get_text(store, "chunks/0/0/1_0_11", 11, 5);
    CO_ASSERT_OK(past);
    EXPECT_EQ(*past, "");
  });
}

TEST_P(ObjectStoreContract, TheAbsentIsNotFoundAndRemovingItSucceeds) {
  test::run([this]() -> asio::awaitable<void> {
    CO_ASSERT_OK(co_await store->create());
    auto got = co_await get_text(store, "chunks/0/0/9_0_4", 0, 4);
    CO_ASSERT_TRUE(!got);
    EXPECT_EQ(got.error(), make_error_code(ObjectErrc::not_found));
    auto info = co_await store->head("chunks/0/0/9_0_4");
    CO_ASSERT_TRUE(!info);
    EXPECT_EQ(info.error(), make_error_code(ObjectErrc::not_found));
    EXPECT_EQ(to_errno(info.error()), EIO);
    CO_ASSERT_OK(co_await store->remove("chunks/0/0/9_0_4"));
  });
}

TEST_P(ObjectStoreContract, PuttingAgainReplacesAndRemovingRemoves) {
  test::run([this]() -> asio::awaitable<void> {
    CO_ASSERT_OK(co_await store->put("a/b", body_of("longer text")));
    CO_ASSERT_OK(co_await store->put("a/b", body_of("short")));
    auto info = co_await store->head("a/b");
    CO_ASSERT_OK(info);
    EXPECT_EQ(info->size, 5u);
    EXPECT_EQ(info->key, "a/b");
    CO_ASSERT_OK(co_await store->remove("a/b"));
    EXPECT_FALSE(co_await store->head("a/b"));
  });
}

TEST_P(ObjectStoreContract, RemovesManyAtOnce) {
  test::run([this]() -> asio::awaitable<void> {
    CO_ASSERT_OK(co_await store->create());
    std::vector<ObjectKey> keys{"never was"};
    for (int i = 0; i < 5; ++i) keys.push_back("many/<" + std::to_string(i) + "&>");
    for (std::size_t i = 1; i < keys.size(); ++i) CO_ASSERT_OK(co_await store->put(keys[i], body_of("x")));
    CO_ASSERT_OK(co_await store->put("many/stays", body_of("x")));
    CO_ASSERT_OK(co_await store->remove_all(keys));
    auto page = co_await store->list("many/", "", 100, "");
    CO_ASSERT_OK(page);
    CO_ASSERT_TRUE(page->objects.size() == 1);
    EXPECT_EQ(page->objects[0].key, "many/stays");
    CO_ASSERT_OK(co_await store->remove_all({}));
  });
}

TEST_P(ObjectStoreContract, AnEmptyObjectExists) {
  test::run([this]() -> asio::awaitable<void> {
    CO_ASSERT_OK(co_await store->put("empty", body_of("")));
    auto info = co_await store->head("empty");
    CO_ASSERT_OK(info);
    EXPECT_EQ(info->size, 0u);
  });
}

TEST_P(ObjectStoreContract, ListsInKeyOrderPageByPage) {
  test::run([this]() -> asio::awaitable<void> {
    CO_ASSERT_OK(co_await store->create());
    // '-' and '.' sort before '/', digits after: directory order is not key order.
    std::vector<ObjectKey> keys{
        "chunks/0-x/3", "chunks/0.y", "chunks/0/0/1_0_5", "chunks/0/0/2_0_5", "chunks/0/1/1_0_5", "chunks/00", "other"};
    for (const auto& key : keys) CO_ASSERT_OK(co_await store->put(key, body_of("12345")));
    std::vector<ObjectKey> seen;
    ObjectKey after;
    for (bool more = true; more;) {
      auto page = co_await store->list("chunks/", after, 2, "");
      CO_ASSERT_OK(page);
      EXPECT_LE(page->objects.size(), 2u);
      for (const auto& object : page->objects) seen.push_back(object.key);
      more = page->more;
      if (more) after = seen.back();
    }
    EXPECT_EQ(seen, std::vector<ObjectKey>(keys.begin(), keys.end() - 1));
    auto level = co_await store->list("chunks/0", "", 100, "/");
    CO_ASSERT_OK(level);
    seen.clear();
    for (const auto& object : level->objects) seen.push_back(object.key + (object.is_prefix ? "*" : ""));
    EXPECT_EQ(seen, (std::vector<ObjectKey>{"chunks/0-x/*", "chunks/0.y", "chunks/0/*", "chunks/00"}));
    auto none = co_await store->list("nothing/here/", "", 100, "");
    CO_ASSERT_OK(none);
    EXPECT_TRUE(none->objects.empty());
  });
}

TEST_P(ObjectStoreContract, LargeObjectsKeepEveryByte) {
  test::run([this]() -> asio::awaitable<void> {
    std::string text(5 << 20, 0);
    std::mt19937 random(7);
    for (auto& c : text) c = static_cast<char>(random());
    CO_ASSERT_OK(co_await store->put("chunks/big", body_of(text)));
    auto back = co_await get_text(store, "chunks/big", 0, text.size());
    CO_ASSERT_OK(back);
    EXPECT_TRUE(*back == text);
  });
}

TEST_P(ObjectStoreContract, VeryLargeObjectsToo) {
  test::run([this]() -> asio::awaitable<void> {
    std::string text(66 << 20, 'v');  // S3: in parts
    for (std::size_t i = 0; i < text.size(); i += 4096) text[i] = static_cast<char>(i >> 12);
    CO_ASSERT_OK(co_await store->create());
    CO_ASSERT_OK(co_await store->put("meta/dump.json.gz", body_of(text)));
    auto back = co_await get_text(store, "meta/dump.json.gz", 0, text.size());
    CO_ASSERT_OK(back);
    EXPECT_TRUE(*back == text);
  });
}

TEST_P(ObjectStoreContract, KeysMayHoldAnyText) {
  test::run([this]() -> asio::awaitable<void> {
    CO_ASSERT_OK(co_await store->create());
    std::vector<ObjectKey> keys{"a b/c+d", "a b/e&f=g", "a b/h%20i", "a b/\xc3\xa9", "a b/x<y>\"z'"};
    for (const auto& key : keys) CO_ASSERT_OK(co_await store->put(key, body_of(key)));
    for (const auto& key : keys) {
      auto back = co_await get_text(store, key, 0, 100);
      CO_ASSERT_OK(back);
      EXPECT_EQ(*back, key);
    }
    auto page = co_await store->list("a b/", "", 100, "");
    CO_ASSERT_OK(page);
    std::sort(keys.begin(), keys.end());
    std::vector<ObjectKey> seen;
    for (const auto& object : page->objects) seen.push_back(object.key);
    EXPECT_EQ(seen, keys);
  });
}

INSTANTIATE_TEST_SUITE_P(Stores, ObjectStoreContract,
                         testing::Values(std::pair{"file", &open_file}, std::pair{"memory", &open_memory},
                                         std::pair{"prefixed", &open_prefixed}, std::pair{"stack", &open_stack},
                                         std::pair{"sharded", &open_sharded},
                                         std::pair{"compressed", &open_compressed}),
                         [](const auto& info) { return std::string(info.param.first); });
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(ObjectStoreContract);
INSTANTIATE_TEST_SUITE_P(Servers, ObjectStoreContract, testing::ValuesIn(s3_servers()),
                         [](const auto& info) { return std::string(info.param.first); });

}  // namespace
}  // namespace kiseki::object
