#include "object/s3/s3_store.hpp"

#include <algorithm>
#include <ctime>
#include <optional>
#include <vector>

#include "core/async.hpp"
#include "core/log.hpp"
#include "core/numbers.hpp"
#include "net/text_coding.hpp"
#include "object/block_name.hpp"
#include "object/crc32c.hpp"
#include "object/s3/call.hpp"

namespace kiseki::object::s3 {

namespace {

using SteadyClock = std::chrono::steady_clock;
constexpr std::string_view kUnsigned = "UNSIGNED-PAYLOAD";
constexpr std::string_view kChecksumField = "x-amz-meta-crc32c";
constexpr std::size_t kGoAheadBytes = 1 << 20;  // smaller bodies are sent unasked
constexpr std::size_t kLargeBytes = 64 << 20;   // larger bodies go up in parts
constexpr auto kLongestPause = std::chrono::seconds(30);

std::string_view content_type_of(std::string_view key) {
  if (key.ends_with(".json")) return "application/json";
  if (key.ends_with(".gz")) return "application/gzip";
  return "application/octet-stream";
}

std::uint32_t checksum_of(const Body& body) {
  std::uint32_t crc = 0;
  for (auto piece : body.pieces) crc = crc32c(piece, crc);
  return crc;
}

}  // namespace

S3Store::S3Store(Location location, std::shared_ptr<CredentialSource> credentials, Options options, BlockingPool& pool)
    : location_(std::move(location)),
      credentials_(std::move(credentials)),
      options_(std::move(options)),
      pool_(pool),
      reach_(make_reach(location_)) {}

S3Store::~S3Store() = default;

std::string S3Store::unusable() const { return reach()->client.unusable(); }

std::shared_ptr<S3Store::Reach> S3Store::make_reach(const Location& location) const {
  net::HttpClient::Options options;
  options.timeouts = options_.timeouts;
  options.tls = location.tls;
  if (options_.environment) options.proxy = net::proxy_for(location.endpoint, options_.environment);
  auto made = std::make_shared<Reach>(location.endpoint, std::move(options), location.region, pool_);
  made->base_path = location.base_path();
  return made;
}

std::shared_ptr<S3Store::Reach> S3Store::reach() const {
  std::lock_guard lock(mutex_);
  return reach_;
}

net::HttpRequest S3Store::signed_request(const Call& call, const Attempt& attempt) const {
  const auto& reach = *attempt.reach;
  const auto& who = *attempt.who;
  net::HttpRequest request;
  request.method = call.method;
  request.target = reach.base_path + call.path;
  auto path_size = request.target.size();
  if (!call.query.empty()) request.target.append("?").append(call.query);
  request.body = call.body;
  request.into = call.into;
  request.arrived = call.arrived;
  request.text_limit = call.text_limit;
  request.limit = call.limit;
  request.expect_continue = location_.go_ahead && request.body_size() >= kGoAheadBytes;

  auto date = amz_date(std::time(nullptr) + attempt.skew_seconds);
  std::vector<SignedField> fields{{"host", reach.authority}, {"x-amz-content-sha256", kUnsigned}, {"x-amz-date", date}};
  if (!who.session_token.empty()) fields.push_back({"x-amz-security-token", who.session_token});
  for (const auto& [name, value] : call.fields)
    if (name.starts_with("x-amz-")) fields.push_back({name, value});
  std::ranges::sort(fields, {}, &SignedField::name);
  for (const auto& [name, value] : call.fields) request.fields.add(name, value);
  if (who.anonymous) return request;
  for (const auto& field : fields)
    if (field.name != "host" && !request.fields.has(field.name)) request.fields.add(field.name, field.value);
  ToSign what;
  what.method = call.method;
  what.path = std::string_view(request.target).substr(0, path_size);
  what.query = call.query;
  what.fields = std::move(fields);
  what.payload_hash = kUnsigned;
  request.fields.add("Authorization", reach.signer.authorization(what, who, date));
  return request;
}

Async<CredentialsPtr> S3Store::credentials() {
  if (auto ready = credentials_->ready()) co_return ready;
  co_return co_await credentials_->fetch();
}

Async<net::HttpResponse> S3Store::ask(Call call) {
  co_await keep_pause();
  constexpr int kMends = 3;
  for (int mended = 0;; ++mended) {
    CO_TRY(auto who, co_await credentials());
    Attempt attempt{reach(), std::move(who), skew_seconds_.load(std::memory_order_relaxed)};
    auto request = signed_request(call, attempt);
    auto response = co_await attempt.reach->client.send(std::move(request));
    if (!response) {
      auto error = object_error_of(response.error());
      if (error != posix(ECANCELED))
        log::warn("s3.failed",
                  {{"method", call.method}, {"server", attempt.reach->authority}, {"why", response.error()}});
      co_return error;
    }
    if (response->ok() || response->status == 416) co_return response;
    auto refusal = refusal_of(*response);
    if (mended < kMends && mend(refusal, *response, attempt)) continue;
    bool expected = refusal.error == ObjectErrc::not_found || refusal.error == ObjectErrc::already_there ||
                    refusal.error == ObjectErrc::throttled;
    if (!expected) {
      log::warn("s3.refused", {{"method", call.method},
                               {"path", call.path},
                               {"status", refusal.status},
                               {"code", refusal.code},
                               {"message", refusal.message},
                               {"request_id", refusal.request_id}});
    }
    note_pause(*response);
    co_return refusal.error;
  }
}

/// Whether the request is worth sending again, differently: another clock, other keys, another region.
bool S3Store::mend(const Refusal& refusal, const net::HttpResponse& response, const Attempt& attempt) {
  if (refusal.error == ObjectErrc::clock_skew) return mend_clock(response, attempt);
  if (refusal.error == ObjectErrc::wrong_region) return mend_region(refusal.region, attempt);
  if (refusal.error != ObjectErrc::expired_token) return false;
  credentials_->reject(attempt.who);
  return credentials_->ready() != attempt.who;
}

bool S3Store::mend_clock(const net::HttpResponse& response, const Attempt& attempt) {
  auto theirs = http_date(response.fields.find("date"));
  if (!theirs) return false;
  auto skew = *theirs - std::time(nullptr);
  auto off = [skew](std::int64_t known) { return std::abs(known - skew) >= 60; };
  if (off(skew_seconds_.exchange(skew))) log::warn("s3.clock_skew", {{"server_ahead_s", skew}});
  return off(attempt.skew_seconds);  // else that was not it
}

bool S3Store::mend_region(const std::string& region, const Attempt& attempt) {
  if (!location_.aws || region.empty() || attempt.reach->signer.region() == region) return false;
  std::lock_guard lock(mutex_);
  if (reach_->signer.region() == region) return true;  // another request has found out
  auto moved = location_;
  move_to_region(moved, region);
  log::info("s3.region", {{"bucket", moved.bucket}, {"region", region}});
  reach_ = make_reach(moved);
  return true;
}

/// `Retry-After` of an answer: nobody asks again before.
void S3Store::note_pause(const net::HttpResponse& response) {
  auto seconds = whole_number<unsigned>(response.fields.find("retry-after")).value_or(0);
  if (seconds == 0 || (response.status != 503 && response.status != 429)) return;
  auto pause = std::min<SteadyClock::duration>(std::chrono::seconds(seconds), kLongestPause);
  pause_until_ns_ = (SteadyClock::now() + pause).time_since_epoch().count();
}

asio::awaitable<void> S3Store::keep_pause() const {
  auto until = pause_until_ns_.load(std::memory_order_relaxed);
  if (until == 0) co_return;
  auto wait = SteadyClock::duration(until) - SteadyClock::now().time_since_epoch();
  if (wait.count() > 0) co_await sleep_for(wait);
}

namespace {

/// The CRC32C of a body as it arrives, where the object states one.
class RunningSum {
 public:
  explicit RunningSum(const std::byte* begin) : begin_(begin) {}

  void add(const net::HttpResponse& response, std::span<const std::byte> part) {
    if (part.data() == begin_) read_stated(response);  // also when the request was sent again
    if (stated_) sum_ = crc32c(part, sum_);
  }
  /// The body's size, or `corrupt`. The whole object must have come.
  Result<std::size_t> checked(const net::HttpResponse& response, const ObjectKey& key) const {
    if (unreadable_)
      log::warn("s3.checksum_unreadable", {{"key", key}, {"crc32c", response.fields.find(kChecksumField)}});
    if (!stated_ || *stated_ == sum_ || response.size == 0) return response.size;
    log::error("s3.checksum", {{"key", key}, {"bytes", response.size}, {"stored", *stated_}, {"received", sum_}});
    return ObjectErrc::corrupt;
  }

 private:
  void read_stated(const net::HttpResponse& response) {
    auto text = response.fields.find(kChecksumField);
    stated_ = whole_number<std::uint32_t>(text);
    unreadable_ = !stated_ && !text.empty();
    sum_ = 0;
  }

  const std::byte* begin_;
  std::optional<std::uint32_t> stated_;
  bool unreadable_ = false;
  std::uint32_t sum_ = 0;
};

/// Whether that much is all of a block, which is asked for without a range then, as JuiceFS does: Ceph answers a range
/// a quarter slower.
bool holds_block(const ObjectKey& key, std::size_t bytes) {
  auto length = length_in_block_path(key);
  return length && bytes >= *length;
}

/// What a GET brought, checked against what was asked.
Result<std::size_t> checked_get(const net::HttpResponse& response, const ObjectKey& key, std::uint64_t offset,
                                const std::optional<RunningSum>& sum) {
  if (response.status == 416) return std::size_t{0};  // begins past the end
  auto range = content_range(response.fields.find("content-range"));
  bool whole = offset == 0;
  if (response.status == 206) {
    if (!range || range->begin != offset || range->end - range->begin != response.size) return ObjectErrc::corrupt;
    whole = whole && range->total == response.size;
  } else if (offset > 0) {
    log::warn("s3.range_ignored", {{"key", key}, {"status", response.status}});
    return ObjectErrc::corrupt;
  }
  return whole && sum ? sum->checked(response, key) : Result<std::size_t>(response.size);
}

}  // namespace

Async<std::size_t> S3Store::get(ObjectKey key, std::uint64_t offset, std::span<std::byte> into) {
  if (into.empty()) co_return std::size_t{0};
  Call call("GET", net::percent_encoded(key, true));
  if (offset > 0 || !holds_block(key, into.size()))
    call.fields.emplace_back("range", fmt::format("bytes={}-{}", offset, offset + into.size() - 1));
  call.into = into;
  call.limit = options_.get_timeout;
  std::optional<RunningSum> sum;
  if (offset == 0 && location_.checksums) {
    sum.emplace(into.data());
    call.arrived = [&sum](const auto& response, auto part) { sum->add(response, part); };
  }
  CO_TRY(auto response, co_await ask(std::move(call)));
  co_return checked_get(response, key, offset, sum);
}

Async<void> S3Store::put(ObjectKey key, Body body) {
  Call call("PUT", net::percent_encoded(key, true));
  call.fields.emplace_back("content-type", content_type_of(key));
  if (location_.checksums) call.fields.emplace_back(kChecksumField, std::to_string(checksum_of(body)));
  if (!options_.storage_class.empty()) call.fields.emplace_back("x-amz-storage-class", options_.storage_class);
  if (!options_.tag.empty()) call.fields.emplace_back("x-amz-tagging", options_.tag);
  if (body.size() > kLargeBytes) co_return co_await put_large(key, body, std::move(call.fields));
  call.body = body.pieces;
  call.limit = options_.put_timeout;
  CO_TRY(auto response, co_await ask(std::move(call)));
  (void)response;
  co_return Result<void>{};
}

Async<ObjectInfo> S3Store::head(ObjectKey key) {
  Call call("HEAD", net::percent_encoded(key, true));
  call.limit = options_.get_timeout;
  CO_TRY(auto response, co_await ask(std::move(call)));
  ObjectInfo info;
  info.size = whole_number<std::uint64_t>(response.fields.find("content-length")).value_or(0);
  info.modified = http_date(response.fields.find("last-modified")).value_or(0);
  info.key = std::move(key);
  co_return info;
}

}  // namespace kiseki::object::s3
