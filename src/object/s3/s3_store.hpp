#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/runtime.hpp"
#include "net/http_client.hpp"
#include "object/s3/answer.hpp"
#include "object/s3/credentials.hpp"
#include "object/s3/location.hpp"
#include "object/store.hpp"

namespace kiseki::object::s3 {

/// A bucket that speaks S3 (AWS, MinIO, Ceph RGW, R2, ...), as JuiceFS uses it: SigV4 with UNSIGNED-PAYLOAD, CRC-32C of
/// each object in its metadata, verified whenever a whole object is read. One try per call and no retry but for three
/// reasons, each at most once: the clock was wrong, the credentials have expired, the bucket is in another region.
class S3Store final : public ObjectStore {
 public:
  struct Options {
    std::string storage_class, tag;           ///< of new objects; empty: the bucket's default
    std::chrono::milliseconds get_timeout{};  ///< of one try, also of head and list; 0: none
    std::chrono::milliseconds put_timeout{};  ///< also of remove
    net::HttpTimeouts timeouts;
    net::EnvironmentLookup environment = nullptr;  ///< for proxies; null: none
  };
  S3Store(Location location, std::shared_ptr<CredentialSource> credentials, Options options, BlockingPool& pool);
  ~S3Store() override;

  Async<std::size_t> get(ObjectKey key, std::uint64_t offset, std::span<std::byte> into) override;
  Async<void> put(ObjectKey key, Body body) override;
  Async<void> remove(ObjectKey key) override;
  Async<void> remove_all(std::vector<ObjectKey> keys) override;
  Async<ObjectInfo> head(ObjectKey key) override;
  Async<ObjectPage> list(std::string prefix, std::string after, std::size_t limit, std::string delimiter) override;
  Async<void> create() override;
  std::string describe() const override { return location_.shown(); }

  /// Empty, or a sentence: a certificate file that does not do.
  std::string unusable() const;

 private:
  struct Call;
  struct Reach;    // client and signer of a region
  struct Attempt;  // who asks whom, and by which clock
  std::shared_ptr<Reach> reach() const;
  std::shared_ptr<Reach> make_reach(const Location& location) const;
  using Fields = std::vector<std::pair<std::string, std::string>>;
  Async<net::HttpResponse> ask(Call call);
  Async<void> remove_batch(std::span<const ObjectKey> keys);
  Async<void> put_large(const ObjectKey& key, const Body& body, Fields fields);
  Async<void> put_parts(std::string path, std::string upload, const Body& body);
  Async<void> put_part(std::string path, std::string upload, std::size_t number,
                       std::vector<std::span<const std::byte>> pieces, std::string& tag);
  net::HttpRequest signed_request(const Call& call, const Attempt& attempt) const;
  Async<CredentialsPtr> credentials();
  bool mend(const Refusal& refusal, const net::HttpResponse& response, const Attempt& attempt);
  bool mend_clock(const net::HttpResponse& response, const Attempt& attempt);
  bool mend_region(const std::string& region, const Attempt& attempt);
  void note_pause(const net::HttpResponse& response);
  asio::awaitable<void> keep_pause() const;

  Location location_;
  std::shared_ptr<CredentialSource> credentials_;
  Options options_;
  BlockingPool& pool_;
  mutable std::mutex mutex_;  // guards reach_
  std::shared_ptr<Reach> reach_;
  std::atomic<bool> removes_many_{true};         // until the server says that it does not know DeleteObjects
  std::atomic<std::int64_t> skew_seconds_{0};    // the server's clock minus ours
  std::atomic<std::int64_t> pause_until_ns_{0};  // of the steady clock: the server asked for peace until then
};

}  // namespace kiseki::object::s3
