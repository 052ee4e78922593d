#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "core/async.hpp"
#include "core/big_endian.hpp"
#include "object/crc32c.hpp"
#include "object/faulty_store.hpp"
#include "object/memory_store.hpp"
#include "object/open_store.hpp"
#include "object/replaceable_store.hpp"
#include "object/retrying_store.hpp"
#include "object/sharded_store.hpp"
#include "object/staged_fallback_store.hpp"
#include "support/run.hpp"

namespace kiseki::object {
namespace {

namespace fs = std::filesystem;

Body body_of(const std::string& text) {
  auto owner = std::make_shared<std::string>(text);
  Body body;
  body.pieces.push_back(std::as_bytes(std::span(*owner)));
  body.owner = owner;
  return body;
}

TEST(Crc32c, MatchesThePublishedValues) {
  auto of = [](const std::string& text) { return crc32c(std::as_bytes(std::span(text))); };
  EXPECT_EQ(of("hello"), 2591144780u);
  EXPECT_EQ(of("123456789"), 0xE3069283u);
  EXPECT_EQ(of(""), 0u);
}

// A request that was begun before the change is held until after it.
TEST(ReplaceableStore, RequestsGoToTheStoreGivenLastAndOldOnesEndWhereTheyBegan) {
  auto before = std::make_shared<MemoryStore>(), after = std::make_shared<MemoryStore>();
  auto held = std::make_shared<FaultyStore>(before);
  std::weak_ptr<ObjectStore> old = held;
  ReplaceableStore store(held);
  held->gate([&](Method method, ObjectKey) -> asio::awaitable<void> {
    if (method == Method::put) store.replace(after);
    co_return;
  });
  held.reset();
  test::run([&]() -> asio::awaitable<void> {
    CO_ASSERT_OK(co_await store.put("begun before", body_of("1")));
    CO_ASSERT_OK(co_await store.put("begun after", body_of("22")));
    EXPECT_TRUE(old.expired());
    CO_ASSERT_OK(co_await before->head("begun before"));
    EXPECT_FALSE(co_await after->head("begun before"));
    CO_ASSERT_OK(co_await after->head("begun after"));
  });
}

TEST(ShardedStore, HashesKeysAsJuiceFSDoes) { EXPECT_EQ(shard_hash("myjfs/chunks/0/0/1_0_4194304"), 2521471656u); }

TEST(RetryingStore, TriesWhatMaySucceedAndNothingElse) {
  auto faulty = std::make_shared<FaultyStore>(std::make_shared<MemoryStore>());
  RetryPolicy policy;
  policy.tries = 4;
  policy.put_step = policy.get_step = std::chrono::milliseconds(1);
  RetryingStore store(faulty, policy);
  test::run([&]() -> asio::awaitable<void> {
    faulty->fail_next(Method::put, make_error_code(ObjectErrc::unavailable), 3);
    CO_ASSERT_OK(co_await store.put("k", body_of("v")));
    EXPECT_EQ(faulty->requests(Method::put), 4u);
    faulty->fail_next(Method::put, make_error_code(ObjectErrc::throttled), 9);
    auto worn_out = co_await store.put("k", body_of("v"));
    CO_ASSERT_TRUE(!worn_out);
    EXPECT_EQ(to_errno(worn_out.error()), EAGAIN);
    EXPECT_EQ(faulty->requests(Method::put), 8u);
    std::vector<std::byte> into(1);
    auto absent = co_await store.get("nothing", 0, into);
    CO_ASSERT_TRUE(!absent);
    EXPECT_EQ(faulty->requests(Method::get), 1u);
  });
}

TEST(RetryingStore, KnowsWhichErrorsMayPass) {
  auto faulty = std::make_shared<FaultyStore>(std::make_shared<MemoryStore>());
  RetryPolicy policy;
  policy.tries = 2;
  policy.put_step = std::chrono::milliseconds(1);
  RetryingStore store(faulty, policy);
  auto tries_with = [&](std::error_code error) -> asio::awaitable<std::size_t> {
    auto before = faulty->requests(Method::put);
    faulty->fail_next(Method::put, error);
    std::ignore = co_await store.put("k", body_of("v"));
    co_return faulty->requests(Method::put) - before;
  };
  test::run([&]() -> asio::awaitable<void> {
    using enum ObjectErrc;
    for (auto error : {throttled, unavailable, unreachable, corrupt})
      EXPECT_EQ(co_await tries_with(error), 2u) << make_error_code(error).message();
    for (auto error : {not_found, access_denied, no_space, bad_request, no_bucket, unknown_key, wrong_signature,
                       expired_token, no_credentials, wrong_region, clock_skew, untrusted})
      EXPECT_EQ(co_await tries_with(error), 1u) << make_error_code(error).message();
    EXPECT_EQ(co_await tries_with(posix(ETIMEDOUT)), 2u);
    EXPECT_EQ(co_await tries_with(posix(EIO)), 2u);
    EXPECT_EQ(co_await tries_with(posix(ECANCELED)), 1u);
  });
}

TEST(RetryingStore, GivesUpInTime) {
  auto faulty = std::make_shared<FaultyStore>(std::make_shared<MemoryStore>());
  RetryPolicy policy;
  policy.tries = 1000;
  policy.put_step = policy.longest = std::chrono::milliseconds(20);
  policy.deadline = std::chrono::milliseconds(200);
  RetryingStore store(faulty, policy);
  faulty->fail_next(Method::put, make_error_code(ObjectErrc::unavailable), 1000);
  test::run([&]() -> asio::awaitable<void> {
    auto begun = std::chrono::steady_clock::now();
    auto put = co_await store.put("k", body_of("v"));
    EXPECT_FALSE(put);
    EXPECT_LT(std::chrono::steady_clock::now() - begun, std::chrono::seconds(5));
    EXPECT_GE(faulty->requests(Method::put), 2u);
    EXPECT_LT(faulty->requests(Method::put), 500u);
  });
}

TEST(OpenStore, NamesWhatIsSupported) {
  Runtime::Options options;
  options.loops = 1;
  options.pin = false;
  Runtime runtime(options);
  StoreSpec spec;
  spec.storage = "gopher";
  auto opened = open_store(spec, runtime);
  EXPECT_FALSE(opened.store);
  EXPECT_NE(opened.error.find("gopher"), std::string::npos);
  EXPECT_NE(opened.error.find("file"), std::string::npos);
  spec.storage = "file";
  spec.bucket = "relative/";
  EXPECT_FALSE(open_store(spec, runtime).store);
  spec.bucket = "/tmp/";
  spec.volume = "vol";
  EXPECT_TRUE(open_store(spec, runtime).store);
}

class StagedFallback : public testing::Test {
 protected:
  StagedFallback() { fs::create_directories(dir_); }
  ~StagedFallback() override { fs::remove_all(dir_); }
  /// A cache file: data, then a checksum of each 32 KiB.
  void stage(const std::string& sub, const std::string& key, const std::string& data, bool broken = false) {
    auto path = dir_ / sub / key;
    fs::create_directories(path.parent_path());
    std::string sums;
    BigEndianWriter out(sums);
    for (std::size_t at = 0; at < data.size(); at += 32768)
      out.u32(crc32c(std::as_bytes(std::span(data)).subspan(at, std::min<std::size_t>(32768, data.size() - at))) +
              (broken ? 1 : 0));
    std::ofstream(path, std::ios::binary) << data << sums;
  }
  Async<std::string> text(ObjectKey key, std::uint64_t offset, std::size_t size) {
    std::string out(size, '?');
    auto into = std::as_writable_bytes(std::span(out));
    CO_TRY(auto got, co_await store_.get(std::move(key), offset, into));
    out.resize(got);
    co_return out;
  }
  fs::path dir_ = fs::temp_directory_path() / ("kiseki-staged-" + std::to_string(::getpid()));
  BlockingPool pool_{"object-file", 2};
  std::shared_ptr<MemoryStore> memory_ = std::make_shared<MemoryStore>();
  StagedFallbackStore store_{memory_, {dir_.string()}, pool_};
};

TEST_F(StagedFallback, ReadsBlocksThatOnlyACacheDirectoryHas) {
  std::string data(40'000, 'x');
  data[39'999] = 'y';
  stage("rawstaging", "chunks/0/0/1_0_40000", data);
  stage("raw", "chunks/0/0/2_0_3", "abc");
  stage("raw", "chunks/0/0/3_0_3", "abc", true);
  test::run([&]() -> asio::awaitable<void> {
    auto whole = co_await text("chunks/0/0/1_0_40000", 0, 40'000);
    CO_ASSERT_OK(whole);
    EXPECT_TRUE(*whole == data) << "without the checksums behind it";
    auto tail = co_await text("chunks/0/0/1_0_40000", 39'998, 100);
    CO_ASSERT_OK(tail);
    EXPECT_EQ(*tail, "xy");
    auto cached = co_await text("chunks/0/0/2_0_3", 0, 3);
    CO_ASSERT_OK(cached);
    EXPECT_EQ(*cached, "abc");
    auto broken = co_await text("chunks/0/0/3_0_3", 0, 3);
    CO_ASSERT_TRUE(!broken);
    EXPECT_EQ(broken.error(), make_error_code(ObjectErrc::corrupt));
    auto nowhere = co_await text("chunks/0/0/9_0_3", 0, 3);
    CO_ASSERT_TRUE(!nowhere);
    EXPECT_EQ(nowhere.error(), make_error_code(ObjectErrc::not_found));
  });
}

TEST_F(StagedFallback, UploadsWhatIsStagedAndKeepsWhatIsNoBlock) {
  stage("rawstaging", "chunks/0/0/1_0_5", "hello");
  stage("rawstaging", "chunks/0/0/2_0_5", "hello", true);
  stage("rawstaging", "chunks/0/0/stranger", "hello");
  test::run([&]() -> asio::awaitable<void> {
    auto done = co_await store_.recover();
    EXPECT_EQ(done.uploaded, 1u);
    EXPECT_EQ(done.left, 2u);
    EXPECT_EQ(memory_->count(), 1u);
    EXPECT_FALSE(fs::exists(dir_ / "rawstaging/chunks/0/0/1_0_5"));
    EXPECT_TRUE(fs::exists(dir_ / "rawstaging/chunks/0/0/2_0_5"));
    auto info = co_await memory_->head("chunks/0/0/1_0_5");
    CO_ASSERT_OK(info);
    EXPECT_EQ(info->size, 5u);
  });
}

}  // namespace
}  // namespace kiseki::object
