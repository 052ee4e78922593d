#pragma once

#include <memory>
#include <string>

#include "core/runtime.hpp"
#include "object/codec/open_codec.hpp"
#include "object/limited_store.hpp"
#include "object/metered_store.hpp"
#include "object/replaceable_store.hpp"
#include "object/retrying_store.hpp"
#include "object/store.hpp"
#include "object/timed_store.hpp"

namespace kiseki::object {

/// What a volume's format says of its bucket, and how a mount wants to use it.
struct StoreSpec {
  std::string storage = "file";  ///< "file", "s3", "minio" or "mem"
  std::string bucket;            ///< file: a directory with its trailing '/'; s3: a URL; with shards it holds one %d
  std::string access_key, secret_key, session_token;  ///< s3; none: those of the environment or machine
  std::string storage_class, tag;                     ///< s3: of new objects; empty: the bucket's default
  std::string volume;                                 ///< name of the volume: every key stands below `<volume>/`
  unsigned shards = 0;                                ///< over 1: that many buckets
  RetryPolicy retries;
  TryTimeouts timeouts;
  CodecSpec codec;
  Limits limits;
  double hedge_percentile = 0;          ///< reads slower than this share of reads (0.99) are begun again; 0: never
  std::shared_ptr<RequestMeter> meter;  ///< may be null
};

/// Result of opening: the store, or one sentence for the person at the terminal.
struct OpenedStore {
  StorePtr store = {};                             ///< null on failure
  std::string error = {};                          ///< names what is allowed
  std::size_t memory_bytes = 0;                    ///< what its codecs may take
  std::shared_ptr<ReplaceableStore> buckets = {};  ///< its innermost part
};

/// The store of a volume, with codecs, retries, limits, metrics, prefix and shards in the order objects.md 4.6 says.
/// Does no I/O.
OpenedStore open_store(const StoreSpec& spec, Runtime& runtime);

/// Whether both reach the same buckets with the same keys, and store new objects alike.
bool same_buckets(const StoreSpec& a, const StoreSpec& b);
/// Puts the buckets of `spec` in the place of those of a store opened before; all around them stays. Answers a sentence
/// when that cannot be, and then nothing has changed. May read files of certificates: not on a loop.
std::string reopen_buckets(ReplaceableStore& buckets, const StoreSpec& spec, Runtime& runtime);

}  // namespace kiseki::object
