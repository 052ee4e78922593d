#include "object/open_store.hpp"

#include <algorithm>
#include <tuple>

#include "object/codec/encoded_store.hpp"
#include "object/file_store.hpp"
#include "object/hedged_store.hpp"
#include "object/limited_store.hpp"
#include "object/memory_store.hpp"
#include "object/prefixed_store.hpp"
#include "object/s3/open_s3.hpp"
#include "object/sharded_store.hpp"

namespace kiseki::object {

namespace {

constexpr unsigned kMaxShards = 256;
constexpr unsigned kFileThreads = 4;

OpenedStore failure(std::string why) { return {.error = std::move(why)}; }

OpenedStore open_bucket(const StoreSpec& spec, const std::string& bucket, Runtime& runtime) {
  const auto& storage = spec.storage;
  if (s3::is_s3(storage)) return s3::open_s3(spec, bucket, runtime);
  auto timed = [&](StorePtr store) {
    return OpenedStore{.store = std::make_shared<TimedStore>(std::move(store), spec.timeouts)};
  };
  if (storage == "mem") return timed(std::make_shared<MemoryStore>());
  if (storage != "file")
    return failure(
        "storage \"" + storage +
        "\" is not supported by this version; supported are: file (a directory), s3, minio, mem (for tests)");
  if (!bucket.starts_with('/')) return failure("bucket \"" + bucket + "\": storage file needs an absolute path");
  return timed(std::make_shared<FileStore>(bucket, runtime.pool("object-file", kFileThreads)));
}

OpenedStore open_shards(const StoreSpec& spec, Runtime& runtime) {
  if (spec.shards <= 1) return open_bucket(spec, spec.bucket, runtime);
  if (spec.shards > kMaxShards) return failure("shards: at most " + std::to_string(kMaxShards) + " are allowed");
  auto at = spec.bucket.find("%d");
  if (at == std::string::npos)
    return failure("bucket \"" + spec.bucket + "\": with shards it must hold %d, the number of the shard");
  std::vector<StorePtr> shards;
  for (unsigned i = 0; i < spec.shards; ++i) {
    auto bucket = spec.bucket;
    auto opened = open_bucket(spec, bucket.replace(at, 2, std::to_string(i)), runtime);
    if (!opened.store) return opened;
    shards.push_back(std::move(opened.store));
  }
  return {.store = std::make_shared<ShardedStore>(std::move(shards))};
}

/// Codecs stand above the retries: a block is encoded once, however often it is sent.
OpenedStore encoded(StorePtr store, const CodecSpec& spec, Runtime& runtime) {
  auto opened = open_codec(spec);
  if (!opened.codec) return failure(opened.error);
  if (opened.codec->changes_nothing()) return {.store = std::move(store)};
  auto threads = std::clamp(runtime.loops(), 2u, 8u);
  auto& pool = runtime.pool("codec", threads);
  auto made = std::make_shared<EncodedStore>(std::move(store), std::move(*opened.codec), spec.block_bytes, pool,
                                             threads, spec.memory_bytes);
  auto memory = made->memory_bytes();
  return {.store = std::move(made), .memory_bytes = memory};
}

}  // namespace

OpenedStore open_store(const StoreSpec& spec, Runtime& runtime) {
  auto opened = open_shards(spec, runtime);
  if (!opened.store) return opened;
  auto buckets = std::make_shared<ReplaceableStore>(std::move(opened.store));
  StorePtr store = std::make_shared<PrefixedStore>(buckets, spec.volume + "/");
  if (spec.meter) store = std::make_shared<MeteredStore>(std::move(store), spec.meter);
  // Limits stand below the retries: who waits to try again holds no permit.
  store = std::make_shared<LimitedStore>(std::move(store), spec.limits);
  if (spec.hedge_percentile > 0) store = std::make_shared<HedgedStore>(std::move(store), spec.hedge_percentile);
  store = std::make_shared<RetryingStore>(std::move(store), spec.retries);
  auto whole = encoded(std::move(store), spec.codec, runtime);
  whole.buckets = std::move(buckets);
  return whole;
}

bool same_buckets(const StoreSpec& a, const StoreSpec& b) {
  auto identity = [](const StoreSpec& spec) {
    return std::tie(spec.storage, spec.bucket, spec.access_key, spec.secret_key, spec.session_token, spec.storage_class,
                    spec.tag, spec.shards);
  };
  return identity(a) == identity(b);
}

std::string reopen_buckets(ReplaceableStore& buckets, const StoreSpec& spec, Runtime& runtime) {
  auto opened = open_shards(spec, runtime);
  if (!opened.store) return opened.error;
  buckets.replace(std::move(opened.store));
  return "";
}

}  // namespace kiseki::object
