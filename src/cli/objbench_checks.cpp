#include "cli/objbench_checks.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <ctime>
#include <functional>
#include <random>

#include "core/async.hpp"

namespace kiseki::cli {
namespace {

using object::ObjectStore;

constexpr const char* kKey = "put_test_file";
constexpr std::size_t kBigBytes = std::size_t{256} << 20, kPieceBytes = std::size_t{4} << 20;

/// Empty: passed; otherwise what went wrong.
using Verdict = asio::awaitable<std::string>;

object::Body body_of(std::string text) {
  auto owner = std::make_shared<std::string>(std::move(text));
  object::Body body;
  body.pieces.push_back(std::as_bytes(std::span(*owner)));
  body.owner = owner;
  return body;
}

Async<std::string> read(ObjectStore& store, std::string key, std::uint64_t offset, std::size_t size) {
  std::string out(size, '?');
  CO_TRY(auto got, co_await store.get(std::move(key), offset, std::as_writable_bytes(std::span(out))));
  out.resize(got);
  co_return out;
}

/// `what`, with the store's own word for it.
std::string trouble(std::string_view what, std::error_code why) { return fmt::format("{}: {}", what, why.message()); }

#define MUST(what, ...) \
  if (auto must_ = __VA_ARGS__; !must_) co_return trouble(what, must_.error())

Verdict creates(ObjectStore& store) {
  if (auto put = co_await store.put(kKey, body_of("1")); !put) MUST("create a bucket", co_await store.create());
  MUST("create a bucket that exists", co_await store.create());
  co_return "";
}

Verdict puts(ObjectStore& store) {
  MUST("put", co_await store.put(kKey, body_of("something longer")));
  MUST("put again", co_await store.put(kKey, body_of("hello")));
  auto info = co_await store.head(kKey);
  if (!info) co_return trouble("head", info.error());
  co_return info->size == 5 ? "" : "putting again does not replace";
}

Verdict gets(ObjectStore& store) {
  MUST("put", co_await store.put(kKey, body_of("hello")));
  for (std::size_t size : {std::size_t{100}, std::size_t{5}}) {
    auto text = co_await read(store, kKey, 0, size);
    if (!text) co_return trouble("get", text.error());
    if (*text != "hello") co_return fmt::format("expect \"hello\", but got \"{}\"", *text);
  }
  co_return "";
}

Verdict gets_nothing(ObjectStore& store) {
  auto text = co_await read(store, "not_exists_file", 0, 1);
  if (text) co_return "an absent object can be read";
  bool told = text.error() == make_error_code(object::ObjectErrc::not_found);
  co_return told ? "" : trouble("not told as absent", text.error());
}

Verdict gets_parts(ObjectStore& store) {
  struct Part {
    std::uint64_t offset;
    std::size_t size;
    std::string_view text;
  };
  MUST("put", co_await store.put(kKey, body_of("hello")));
  for (auto part :
       {Part{0, 1, "h"}, Part{4, 1, "o"}, Part{2, 3, "llo"}, Part{2, 2, "ll"}, Part{4, 2, "o"}, Part{6, 2, ""}}) {
    auto text = co_await read(store, kKey, part.offset, part.size);
    if (!text) co_return trouble(fmt::format("{} bytes at {}", part.size, part.offset), text.error());
    if (*text != part.text) co_return fmt::format("at {}: expect \"{}\", got \"{}\"", part.offset, part.text, *text);
  }
  co_return "";
}

Verdict heads(ObjectStore& store) {
  MUST("put", co_await store.put(kKey, body_of("hello")));
  auto info = co_await store.head(kKey);
  if (!info) co_return trouble("head", info.error());
  if (info->key != kKey) co_return fmt::format("another key: {}", info->key);
  if (info->size != 5) co_return fmt::format("expect size 5, but got {}", info->size);
  co_return "";
}

Verdict removes(ObjectStore& store) {
  MUST("put", co_await store.put(kKey, body_of("hello")));
  MUST("delete", co_await store.remove(kKey));
  if (co_await store.head(kKey)) co_return "it is still there";
  MUST("delete again", co_await store.remove(kKey));
  std::vector<std::string> both{kKey, "put_test_file2"};
  for (const auto& key : both) MUST("put", co_await store.put(key, body_of("hello")));
  MUST("delete two at once", co_await store.remove_all(both));
  for (const auto& key : both)
    if (co_await store.head(key)) co_return "of two deleted at once one is still there";
  co_return "";
}

Verdict removes_nothing(ObjectStore& store) {
  MUST("delete", co_await store.remove("not_exists_file"));
  co_return "";
}

/// Every key below `prefix`, a few at a time.
Async<std::vector<object::ObjectInfo>> list_all(ObjectStore& store, std::string prefix, std::size_t page_size) {
  std::vector<object::ObjectInfo> all;
  for (std::string after;;) {
    CO_TRY(auto page, co_await store.list(prefix, after, page_size, ""));
    all.insert(all.end(), page.objects.begin(), page.objects.end());
    if (!page.more || page.objects.empty()) co_return all;
    after = page.objects.back().key;
  }
}

Verdict lists_one(ObjectStore& store) {
  MUST("put", co_await store.put(kKey, body_of("hello")));
  auto page = co_await store.list(kKey, "", 10, "");
  if (!page) co_return trouble("list", page.error());
  if (page->objects.size() != 1) co_return fmt::format("expect 1 key, but got {}", page->objects.size());
  const auto& only = page->objects.front();
  if (only.key != kKey || only.size != 5)
    co_return fmt::format("expect {} of 5, got {} of {}", kKey, only.key, only.size);
  if (std::abs(only.modified - ::time(nullptr)) > 30) co_return "its time is more than 30 seconds off";
  auto past = co_await store.list("", "test2", 10, "");
  if (!past) co_return trouble("list", past.error());
  co_return past->objects.empty() ? "" : "keys before the marker are listed";
}

Verdict lists_many(ObjectStore& store) {
  std::vector<std::string> keys;
  for (int i = 0; i < 100; ++i) keys.push_back(fmt::format("hashKey{}", i));
  for (const auto& key : keys) MUST("put", co_await store.put(key, body_of("hello")));
  std::ranges::sort(keys);
  std::string wrong;
  for (std::size_t page_size : {std::size_t{1000}, std::size_t{7}}) {
    auto all = co_await list_all(store, "hashKey", page_size);
    if (!all) {
      wrong = trouble("list", all.error());
    } else if (!std::ranges::equal(*all, keys, {}, &object::ObjectInfo::key)) {
      wrong = fmt::format("in pages of {} not the keys in their order", page_size);
    }
  }
  for (const auto& key : keys) std::ignore = co_await store.remove(key);
  co_return wrong;
}

Verdict lists(ObjectStore& store) {
  auto wrong = co_await lists_one(store);
  if (wrong.empty()) wrong = co_await lists_many(store);
  co_return wrong;
}

Verdict special_key(ObjectStore& store) {
  std::string start = "测试编码文件", key = start + "{\"name\":\"juicefs\"}\x1F%uFF081%uFF09.jpg";
  MUST("put", co_await store.put(key, body_of("1")));
  auto text = co_await read(store, key, 0, 10);
  auto page = co_await store.list(start, "", 10, "");
  std::ignore = co_await store.remove(key);
  if (!text) co_return trouble("get", text.error());
  if (!page) co_return trouble("list", page.error());
  co_return page->objects.size() == 1 && page->objects.front().key == key ? "" : "listed under another key";
}

/// 256 MiB out of the same 4 MiB over and over; read back here and there.
Verdict big_object(ObjectStore& store) {
  auto piece = std::make_shared<std::string>(kPieceBytes, '\0');
  std::mt19937_64 random(std::random_device{}());
  for (auto& c : *piece) c = static_cast<char>(random());
  object::Body body;
  for (std::size_t i = 0; i < kBigBytes / kPieceBytes; ++i) body.pieces.push_back(std::as_bytes(std::span(*piece)));
  body.owner = piece;
  MUST("put", co_await store.put(kKey, std::move(body)));
  std::string wrong;
  for (std::uint64_t offset : {std::uint64_t{0}, kBigBytes / 2 + 12345, kBigBytes - 100}) {
    auto text = co_await read(store, kKey, offset, 100);
    if (!text) {
      wrong = trouble("get", text.error());
    } else if (*text != (*piece + *piece).substr(offset % kPieceBytes, 100)) {
      wrong = fmt::format("other bytes at {}", offset);
    }
  }
  co_return wrong;
}

Verdict empty_object(ObjectStore& store) {
  MUST("put", co_await store.put("empty_test_file", body_of("")));
  auto info = co_await store.head("empty_test_file");
  std::ignore = co_await store.remove("empty_test_file");
  if (!info) co_return trouble("head", info.error());
  if (info->size != 0) co_return fmt::format("expect size 0, but got {}", info->size);
  MUST("put a key ending in /", co_await store.put("slash_test_file/", body_of("1")));
  MUST("delete a key ending in /", co_await store.remove("slash_test_file/"));
  co_return "";
}

#undef MUST

struct Check {
  const char* category;
  const char* test;
  Verdict (*run)(ObjectStore&);  ///< null: nothing in this version needs it of a store
};
constexpr Check kChecks[] = {
    {"basic", "create a bucket", creates},
    {"basic", "put an object", puts},
    {"basic", "get an object", gets},
    {"basic", "get non-exist", gets_nothing},
    {"basic", "get partial object", gets_parts},
    {"basic", "head an object", heads},
    {"basic", "delete an object", removes},
    {"basic", "delete non-exist", removes_nothing},
    {"basic", "list objects", lists},
    {"sync", "special key", special_key},
    {"sync", "put a big object", big_object},
    {"sync", "put an empty object", empty_object},
    {"sync", "multipart upload", nullptr},
    {"sync", "change owner/group", nullptr},
    {"sync", "change permission", nullptr},
    {"sync", "change mtime", nullptr},
};

asio::awaitable<std::string> run_check(const Check& check, ObjectStore& store) {
  auto wrong = co_await check.run(store);
  std::ignore = co_await store.remove(kKey);
  co_return wrong;
}

}  // namespace

std::vector<CheckOutcome> check_store(ObjectStore& store, Runtime& runtime) {
  std::vector<CheckOutcome> outcomes;
  for (const auto& check : kChecks) {
    auto wrong = check.run ? runtime.wait(run_check(check, store)) : std::string();
    outcomes.push_back({check.category, check.test,
                        !check.run      ? "not support"
                        : wrong.empty() ? "pass"
                                        : wrong.substr(0, 45),
                        !wrong.empty()});
  }
  return outcomes;
}

}  // namespace kiseki::cli
