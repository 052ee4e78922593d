#include "cli/storage_check.hpp"

#include <fmt/format.h>

#include <cctype>
#include <cstdlib>
#include <random>

#include "cli/locations.hpp"
#include "cli/store_diagnosis.hpp"
#include "core/log.hpp"
#include "object/open_store.hpp"

namespace kiseki::cli {
namespace {

constexpr const char* kUuidKey = "juicefs_uuid";

object::Body body_of(std::string bytes) {
  auto owner = std::make_shared<std::string>(std::move(bytes));
  object::Body body;
  body.pieces.push_back(std::as_bytes(std::span(*owner)));
  body.owner = owner;
  return body;
}

std::string random_text(std::size_t length) {
  static constexpr std::string_view kLetters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
  std::random_device random;
  std::string out;
  for (std::size_t i = 0; i < length; ++i) out += kLetters[random() % kLetters.size()];
  return out;
}

Failure store_failure(const object::ObjectStore& store, std::string_view what, std::error_code why) {
  auto sentence = fmt::format("the object store {} cannot be used: {}: {}", store.describe(), what, why.message());
  if (auto remedy = store_remedy(why); !remedy.empty()) sentence += "; " + remedy;
  return Failure{Exit::failed, std::move(sentence)};
}

asio::awaitable<Try<void>> compare(object::ObjectStore& store, std::string key, std::string written) {
  std::string read(written.size() + 1, '\0');
  auto got = co_await store.get(key, 0, std::as_writable_bytes(std::span(read)));
  if (!got) co_return store_failure(store, "reading a test object back", got.error());
  read.resize(*got);
  if (read != written) co_return store_failure(store, "a test object came back different", posix(EIO));
  co_return boost::system::in_place_value;
}

}  // namespace

Try<std::string> stored_bucket(const std::string& storage, const std::string& bucket) {
  if (storage != "file") return bucket;
  if (bucket.find("://") != std::string::npos)
    return Failure{Exit::failed, fmt::format("{} is no directory; did you forget --storage?", bucket)};
  auto path = absolute_path(bucket);
  return path.ends_with('/') ? path : path + "/";
}

object::CodecSpec codec_of(const meta::Format& format, std::size_t memory_bytes) {
  const char* passphrase = std::getenv("JFS_RSA_PASSPHRASE");
  return {.compression = format.compression,
          .key_pem = format.encrypt_key,
          .passphrase = passphrase ? passphrase : "",
          .algorithm = format.encrypt_algo,
          .block_bytes = static_cast<std::uint32_t>(format.block_bytes()),
          .memory_bytes = memory_bytes};
}

Try<void> check_data_features(const meta::Format& format) {
  auto opened = object::open_codec(codec_of(format, 0));
  if (!opened.codec) return Failure{Exit::failed, fmt::format("volume {}: {}", format.name, opened.error)};
  return boost::system::in_place_value;
}

object::StoreSpec store_spec(const meta::Format& format) {
  object::StoreSpec spec;
  spec.storage = format.storage;
  spec.bucket = format.bucket;
  spec.volume = format.name;
  spec.shards = format.shards;
  spec.codec = codec_of(format, 0);
  spec.access_key = format.access_key;
  spec.secret_key = format.secret_key;
  spec.session_token = format.session_token;
  spec.storage_class = format.storage_class;
  if (auto tier = format.tiers.find("0"); tier != format.tiers.end()) {
    spec.storage_class = tier->second.storage_class;
    spec.tag = tier->second.tag;
  }
  return spec;
}

Try<object::StorePtr> open_volume_store(const meta::Format& format, Runtime& runtime) {
  auto spec = store_spec(format);
  spec.retries = {.tries = 3, .put_step = std::chrono::milliseconds(100), .get_step = std::chrono::milliseconds(100)};
  auto opened = object::open_store(spec, runtime);
  if (!opened.store) return Failure{Exit::failed, opened.error};
  return opened.store;
}

asio::awaitable<Try<void>> test_store(object::ObjectStore& store) {
  auto key = "testing/" + random_text(10);
  auto bytes = random_text(100);
  auto put = co_await store.put(key, body_of(bytes));
  bool missing = !put && (put.error() == object::ObjectErrc::no_bucket || put.error() == object::ObjectErrc::not_found);
  if (missing) {
    auto made = co_await store.create();
    if (!made) co_return store_failure(store, "the bucket is not there, and making it failed", made.error());
    put = co_await store.put(key, body_of(bytes));
  }
  if (!put) co_return store_failure(store, "writing a test object", put.error());
  auto same = co_await compare(store, key, bytes);
  if (auto gone = co_await store.remove(key); !gone) {
    log::warn("format.test_object_left", {{"key", key}, {"why", gone.error()}});
  }
  std::ignore = co_await store.remove("testing/");  // on a file store the directory; it may hold other tests
  co_return same;
}

asio::awaitable<Try<void>> check_is_empty(object::ObjectStore& store) {
  std::string after;
  for (bool more = true; more;) {
    auto page = co_await store.list("", after, 1000, "");
    if (!page) co_return store_failure(store, "listing it", page.error());
    for (const auto& object : page->objects) {
      bool counts = !object.is_prefix && object.size > 0 && !object.key.starts_with("testing");
      if (counts) {
        co_return Failure{
            Exit::failed,
            fmt::format("the object store {} is not empty ({} is there): it may belong to another volume; "
                        "choose another --bucket or name",
                        store.describe(), object.key)};
      }
    }
    more = page->more && !page->objects.empty();
    if (more) after = page->objects.back().key;
  }
  co_return boost::system::in_place_value;
}

asio::awaitable<Try<void>> put_uuid(object::ObjectStore& store, std::string uuid) {
  auto put = co_await store.put(kUuidKey, body_of(std::move(uuid)));
  if (!put) co_return store_failure(store, "writing juicefs_uuid", put.error());
  co_return boost::system::in_place_value;
}

asio::awaitable<void> remove_uuid(object::ObjectStore& store) { std::ignore = co_await store.remove(kUuidKey); }

}  // namespace kiseki::cli
