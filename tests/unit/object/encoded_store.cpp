// The store that encodes: whole blocks, parts of blocks, other objects, damaged ones, many at once.
#include "object/codec/encoded_store.hpp"

#include <random>

#include "codec_vectors.hpp"
#include "core/async.hpp"
#include "object/faulty_store.hpp"
#include "object/memory_store.hpp"
#include "support/run.hpp"

namespace kiseki::object {
namespace {

constexpr std::uint32_t kBlock = 64 << 10;

std::string key_of(int id, std::size_t length) {
  return "chunks/0/0/" + std::to_string(id) + "_0_" + std::to_string(length);
}

std::string text_of(std::size_t size, unsigned seed) {
  std::mt19937 random(seed);
  std::string out(size, 0);
  for (auto& c : out) c = static_cast<char>("abcdefgh"[random() % 8]);
  return out;
}

Body body_of(const std::string& text, std::size_t pieces = 1) {
  auto owner = std::make_shared<std::string>(text);
  Body body;
  auto rest = std::as_bytes(std::span(*owner));
  for (; pieces > 1; --pieces) {
    body.pieces.push_back(rest.first(rest.size() / pieces));
    rest = rest.subspan(rest.size() / pieces);
  }
  body.pieces.push_back(rest);
  body.owner = owner;
  return body;
}

Async<std::string> text_in(ObjectStore& store, std::string key, std::uint64_t offset, std::size_t size) {
  std::string out(size, '?');
  CO_TRY(auto got, co_await store.get(std::move(key), offset, std::as_writable_bytes(std::span(out))));
  out.resize(got);
  co_return out;
}

struct Case {
  const char* name;
  Compression compression;
  const char* algorithm;
};

class EncodedStoreTest : public testing::TestWithParam<Case> {
 protected:
  Codec codec() const {
    if (!GetParam().algorithm) return {GetParam().compression, nullptr};
    return {GetParam().compression, Envelope::open(vectors::kKeyPem, "", GetParam().algorithm).envelope};
  }
  BlockingPool pool{"codec", 2};
  std::shared_ptr<MemoryStore> bucket = std::make_shared<MemoryStore>();
  std::shared_ptr<FaultyStore> faulty = std::make_shared<FaultyStore>(bucket);
  EncodedStore store{faulty, codec(), kBlock, pool, 2, 1};  // the fewest slots there can be
};

TEST_P(EncodedStoreTest, BlocksReadBackWholeAndInParts) {
  test::run([this]() -> asio::awaitable<void> {
    for (std::size_t size : {std::size_t{1}, std::size_t{1000}, std::size_t{kBlock}}) {
      auto text = text_of(size, static_cast<unsigned>(size));
      CO_ASSERT_OK(co_await store.put(key_of(1, size), body_of(text, 3)));
      auto whole = co_await text_in(store, key_of(1, size), 0, size);
      CO_ASSERT_OK(whole);
      EXPECT_TRUE(*whole == text);
      auto more = co_await text_in(store, key_of(1, size), 0, size + 10);
      CO_ASSERT_OK(more);
      EXPECT_TRUE(*more == text);
      auto part = co_await text_in(store, key_of(1, size), size / 3, size / 2);
      CO_ASSERT_OK(part);
      EXPECT_EQ(*part, text.substr(size / 3, size / 2));
      auto past = co_await text_in(store, key_of(1, size), size, 10);
      CO_ASSERT_OK(past);
      EXPECT_EQ(*past, "");
    }
  });
}

TEST_P(EncodedStoreTest, OtherObjectsAreEncryptedOnly) {
  test::run([this]() -> asio::awaitable<void> {
    auto text = text_of(5000, 1);
    CO_ASSERT_OK(co_await store.put("juicefs_uuid", body_of(text)));
    auto stored = co_await bucket->head("juicefs_uuid");
    CO_ASSERT_OK(stored);
    EXPECT_EQ(stored->size, 5000 + (GetParam().algorithm ? 3u + 128 + 12 + 16 : 0));
    auto part = co_await text_in(store, "juicefs_uuid", 10, 20);
    CO_ASSERT_OK(part);
    EXPECT_EQ(*part, text.substr(10, 20));
  });
}

TEST_P(EncodedStoreTest, TheAbsentIsNotFound) {
  test::run([this]() -> asio::awaitable<void> {
    auto got = co_await text_in(store, key_of(9, 100), 0, 100);
    CO_ASSERT_TRUE(!got);
    EXPECT_EQ(got.error(), make_error_code(ObjectErrc::not_found));
    CO_ASSERT_OK(co_await store.remove(key_of(9, 100)));
  });
}

/// Damage is asked for once more, then it is EIO, whatever it looks like.
TEST_P(EncodedStoreTest, DamagedObjectsAreCorrupt) {
  test::run([this]() -> asio::awaitable<void> {
    auto text = text_of(1000, 1);
    CO_ASSERT_OK(co_await store.put(key_of(1, 1000), body_of(text)));
    auto good = co_await text_in(*bucket, key_of(1, 1000), 0, 1 << 20);
    CO_ASSERT_OK(good);
    std::vector<std::string> bad{"", "x", good->substr(0, good->size() - 1), std::string(100'000, 'z')};
    if (GetParam().algorithm) bad.push_back(*good + "x");
    for (auto& object : bad) {
      CO_ASSERT_OK(co_await bucket->put(key_of(1, 1000), body_of(object)));
      auto before = faulty->requests(Method::get);
      auto got = co_await text_in(store, key_of(1, 1000), 0, 1000);
      CO_ASSERT_TRUE(!got);
      EXPECT_EQ(got.error(), make_error_code(ObjectErrc::corrupt)) << object.size();
      EXPECT_EQ(to_errno(got.error()), EIO);
      EXPECT_EQ(faulty->requests(Method::get), before + 2);
    }
    CO_ASSERT_OK(co_await bucket->put(key_of(1, 1000), body_of(*good)));
    auto healed = co_await text_in(store, key_of(1, 1000), 0, 1000);
    CO_ASSERT_OK(healed);
    EXPECT_EQ(*healed, text);
  });
}

/// Uploads that wait for ever (a store that takes nothing) leave a slot for reads.
TEST_P(EncodedStoreTest, StuckUploadsDoNotHoldUpReads) {
  test::run([this]() -> asio::awaitable<void> {
    CO_ASSERT_OK(co_await store.put(key_of(1, 100), body_of(text_of(100, 1))));
    Signal released;
    auto ticket = released.ticket();
    faulty->gate([&](Method method, ObjectKey) -> asio::awaitable<void> {
      if (method == Method::put) co_await released.wait(ticket);
    });
    TaskGroup uploads(co_await asio::this_coro::executor);
    auto upload = [](EncodedStore& encoded, int id) -> asio::awaitable<void> {
      (void)co_await encoded.put(key_of(id, 100), body_of(text_of(100, 1)));
    };
    for (int id = 2; id < 20; ++id) uploads.spawn(upload(store, id));
    auto read = co_await text_in(store, key_of(1, 100), 0, 100);
    CO_ASSERT_OK(read);
    EXPECT_EQ(*read, text_of(100, 1));
    released.notify_all();
    co_await uploads.join();
    EXPECT_EQ(bucket->count(), 19u);
  });
}

TEST_P(EncodedStoreTest, ABlockOfAnotherLengthThanItsNameIsRefused) {
  test::run([this]() -> asio::awaitable<void> {
    auto put = co_await store.put(key_of(1, 100), body_of("short"));
    CO_ASSERT_TRUE(!put);
    EXPECT_EQ(to_errno(put.error()), EINVAL);
  });
}

/// Hundreds of requests share the two slots: all are served, in bounded memory.
TEST_P(EncodedStoreTest, ManyAtOnceShareFewSlots) {
  EXPECT_LT(store.memory_bytes(), 5 * (kBlock + 8192u));
  test::run([this]() -> asio::awaitable<void> {
    auto one = [](EncodedStore& encoded, int id) -> Async<void> {
      auto text = text_of(1000 + static_cast<std::size_t>(id), static_cast<unsigned>(id));
      CO_CHECK(co_await encoded.put(key_of(id, text.size()), body_of(text, 2)));
      CO_TRY(auto whole, co_await text_in(encoded, key_of(id, text.size()), 0, text.size()));
      CO_TRY(auto part, co_await text_in(encoded, key_of(id, text.size()), 500, 100));
      co_return whole == text&& part == text.substr(500, 100) ? Result<void>{} : Result<void>(posix(EBADMSG));
    };
    std::vector<Async<void>> all;
    for (int id = 0; id < 300; ++id) all.push_back(one(store, id));
    CO_ASSERT_OK(co_await fan_out(std::move(all), 100));
  });
}

INSTANTIATE_TEST_SUITE_P(Codecs, EncodedStoreTest,
                         testing::Values(Case{"lz4", Compression::lz4, nullptr},
                                         Case{"zstd", Compression::zstd, nullptr},
                                         Case{"aes", Compression::none, "aes256gcm-rsa"},
                                         Case{"chacha", Compression::none, "chacha20-rsa"},
                                         Case{"lz4_aes", Compression::lz4, "aes256gcm-rsa"},
                                         Case{"zstd_chacha", Compression::zstd, "chacha20-rsa"}),
                         [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace kiseki::object
