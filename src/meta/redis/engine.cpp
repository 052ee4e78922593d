#include "meta/redis/engine.hpp"

#include <boost/asio/this_coro.hpp>

#include "core/async.hpp"
#include "core/guard.hpp"
#include "core/log.hpp"
#include "meta/codec.hpp"
#include "meta/redis/commit_steps.hpp"
#include "meta/redis/fetch_plan.hpp"
#include "meta/redis/scripts.hpp"

namespace kiseki::meta::redis {

using net::redis::Command;
using net::redis::Resend;
using net::redis::Strings;

namespace {

constexpr std::size_t kKeysAtOnce = 1024;             ///< in one command: more would hold up the server's other clients
constexpr std::size_t kOptions = 2, kReceipts = 3;    ///< arguments of the commit script; before them its number
constexpr std::size_t kAgain = 2;                     ///< digit of the options
constexpr auto kPatience = std::chrono::seconds(30);  ///< with a commit whose reply is lost again and again
constexpr auto kPause = std::chrono::milliseconds(10), kLongestPause = std::chrono::milliseconds(500);

}  // namespace

Engine::Engine(std::shared_ptr<net::redis::Client> client, OpenMode mode)
    : client_(std::move(client)), names_(client_->key_prefix()), read_only_(mode == OpenMode::read_only) {
  client_->listen(this);
}

Engine::~Engine() = default;

Async<void> Engine::prepare() { co_return Result<void>(); }  // keys come with their values

asio::awaitable<void> Engine::close() {
  if (wrote_.exchange(false)) {
    auto gone = co_await client_->run_one(Command("DEL", names_.named("Kiseki:" + receipts_.client())));
    if (!gone) log::debug("meta.redis.receipts", {{"error", gone.error()}});  // they die by themselves
  }
  co_await client_->close();
}

// ---- hearing of changes -----------------------------------------------------------------------------------------

void Engine::observe(ChangeObserver* observer) noexcept {
  std::lock_guard lock(hearing_);
  observer_ = observer;
}

void Engine::changed(std::string_view key) noexcept {
  std::lock_guard lock(hearing_);
  if (auto* observer = observer_.load()) names_.tell(key, *observer);
}

void Engine::everything() noexcept {
  std::lock_guard lock(hearing_);
  ++epoch_;
  if (auto* observer = observer_.load()) observer->everything_may_have_changed();
}

void Engine::out_of_touch() noexcept {
  std::lock_guard lock(hearing_);
  ++epoch_;
  if (auto* observer = observer_.load()) observer->out_of_touch();
}

// ---- reading ----------------------------------------------------------------------------------------------------

Async<Records> Engine::fetch(Keys keys) { return fetch(std::move(keys), Resend::when_lost); }

Async<Records> Engine::fetch_if_reachable(Keys keys) {
  auto records = co_await fetch(std::move(keys), Resend::while_reachable);
  auto unreachable = !records && records.error() == net::redis::make_error_code(net::redis::Errc::unavailable);
  if (unreachable) co_return posix(EHOSTUNREACH);
  co_return records;
}

Async<Records> Engine::fetch(Keys keys, Resend resend) {
  auto loop = Runtime::current_loop();
  if (loop < 0 || !FetchGather::takes(keys)) co_return co_await fetch_alone(std::move(keys), resend);
  auto& gathers = resend == Resend::while_reachable ? reachable_gathers_ : gathers_;
  auto& gather = gathers[static_cast<std::size_t>(loop) % gathers.size()];
  CO_TRY(auto records, co_await gather.fetch(connected(), keys, resend));
  if (records) co_return std::move(*records);
  co_return co_await fetch_alone(std::move(keys), resend);
}

Async<Records> Engine::fetch_alone(Keys keys, Resend resend) {
  std::vector<FetchPlan> plans;
  net::redis::Commands commands;
  for (std::size_t at = 0; at < keys.size(); at += kKeysAtOnce) {
    auto end = std::min(keys.size(), at + kKeysAtOnce);
    plans.emplace_back(names_, keys.data() + at, keys.data() + end);
    commands.push_back(plans.back().command());
  }
  Records records;
  if (plans.empty()) co_return records;
  CO_TRY(auto replies, co_await ask_all(*client_, std::move(commands), resend));
  if (replies.size() != plans.size()) co_return posix(EIO);
  for (std::size_t i = 0; i < plans.size(); ++i) {
    CO_TRY(auto some, plans[i].decode(replies[i]));
    std::move(some.begin(), some.end(), std::back_inserter(records));
  }
  co_return records;
}

Async<EntryPage> Engine::scan_entries(Ino dir, std::string cursor, std::size_t limit, bool with_attrs) {
  return redis::scan_entries(connected(), dir, std::move(cursor), limit, with_attrs);
}
Async<std::vector<StoredChunk>> Engine::scan_chunks(Ino ino, std::uint64_t length) {
  return redis::scan_chunks(connected(), ino, length);
}
Async<std::vector<ChunkIndex>> Engine::find_chunks(Ino ino, ChunkIndex first, ChunkIndex end) {
  return redis::find_chunks(connected(), ino, first, end);
}
Async<std::vector<std::pair<SessionId, Session>>> Engine::scan_sessions() { return redis::scan_sessions(connected()); }
Async<SessionLocks> Engine::scan_locks(SessionId sid) { return redis::scan_locks(connected(), sid); }
Async<std::vector<DeletedFile>> Engine::scan_deleted_files(std::int64_t removed_before, std::size_t limit) {
  return redis::scan_deleted_files(connected(), removed_before, limit);
}
Async<std::vector<std::pair<SliceId, SliceRef>>> Engine::scan_dead_slices(std::size_t limit) {
  return redis::scan_dead_slices(connected(), limit);
}
Async<std::vector<DelayedSlices>> Engine::scan_delayed_slices(std::int64_t replaced_before, std::size_t limit) {
  return redis::scan_delayed_slices(connected(), replaced_before, limit);
}
Async<std::vector<std::pair<QuotaKey, Quota>>> Engine::scan_quotas() { return redis::scan_quotas(connected()); }
Async<std::vector<std::pair<std::uint32_t, AclRule>>> Engine::scan_acls() { return redis::scan_acls(connected()); }

// ---- writing ----------------------------------------------------------------------------------------------------

Async<Outcome> Engine::commit(Commit commit) {
  auto epoch = epoch_.load();
  bool writes = !commit.writes.empty();
  if (writes && read_only_) co_return posix(EROFS);
  CommitSteps steps(names_, commit);
  Receipts::Number number;
  if (writes) number = receipts_.take(), wrote_ = true;
  auto slot = Guard([this, writes, number] {
    if (writes) receipts_.give_back(number.slot);
  });
  auto receipts = names_.named("Kiseki:" + receipts_.client());
  auto keys = steps.keys();
  if (names_.clustered()) keys.push_back(receipts);
  std::string options{writes && receipts_.prolong() ? '1' : '0', client_->tracking() ? '1' : '0', '0'};
  Strings args{writes ? number.slot_text() : "",
               number.sequence_text(),
               std::move(options),
               std::move(receipts),
               names_.prefix(),
               std::to_string(steps.attributes.size()),
               std::to_string(steps.counters.size())};
  for (auto* part : {&steps.attributes, &steps.counters, &steps.args})
    std::move(part->begin(), part->end(), std::back_inserter(args));

  // A commit is never given up half-way: an outcome that nobody waits for must still reach the cache.
  auto here = co_await asio::this_coro::executor;
  auto sending = send(std::move(keys), std::move(args), writes);
  auto answer = co_await on(here, std::move(sending));
  auto* observer = observer_.load();
  if (!answer) {
    if (writes && observer && !net::redis::certainly_not_executed(answer.error()))
      observer->everything_may_have_changed();
    co_return answer.error();
  }
  auto outcome = outcome_of(commit, steps, *answer);
  if (outcome && outcome->applied && writes && observer) {
    observer->committed(commit, *outcome);
    // Tracking began anew meanwhile: what this commit wrote is not tracked.
    if (epoch != epoch_) observer->everything_may_have_changed();
  }
  co_return outcome;
}

Async<std::string> Engine::send(Strings keys, Strings args, bool writes) {
  auto end = std::chrono::steady_clock::now() + kPatience;
  auto pause = kPause;
  for (int tries = 1;; ++tries) {
    auto reply = co_await client_->eval(commit_script(), keys, args, writes ? Resend::never : Resend::when_lost);
    if (reply && writes && client_->address().wait_replicas > 0 && reply->text.starts_with('+')) {
      Strings receipts(1, args[kReceipts]), number(args.begin(), args.begin() + kOptions);
      auto kept = co_await client_->replicated(receipt_script(), receipts, number);
      if (!kept) reply = kept.error();
    }
    if (reply && !reply->is_error()) co_return std::move(reply->text);
    if (reply) co_return error_of(*reply);
    // With the same number again: if it was applied, its receipt answers.
    auto lost = net::redis::make_error_code(net::redis::Errc::reply_lost);
    // Whatever the last try came to: an earlier one may have been executed.
    if (reply.error() != lost || std::chrono::steady_clock::now() > end) co_return tries > 1 ? lost : reply.error();
    log::info("meta.redis.commit_again", {{"try", tries}});
    args[kOptions][kAgain] = '1';
    if (tries > 1) co_await sleep_for(std::exchange(pause, std::min(2 * pause, kLongestPause)));
  }
}

Result<Outcome> Engine::outcome_of(const Commit& commit, const CommitSteps& steps, std::string_view answer) const {
  Outcome outcome;
  outcome.applied = answer.starts_with('+');
  if (answer.empty()) return posix(EIO);
  answer.remove_prefix(1);
  if (outcome.applied) {
    auto values = steps.returned(answer);
    if (!values) return posix(EIO);
    outcome.returned = std::move(*values);
    return outcome;
  }
  while (!answer.empty()) {
    auto cut = answer.find(',');
    auto index = codec::decode_number(answer.substr(0, cut));
    if (!index || static_cast<std::size_t>(*index) >= commit.checks.size()) return posix(EIO);
    auto failed = static_cast<std::size_t>(*index);
    if (outcome.failed.empty() || outcome.failed.back() != failed) outcome.failed.push_back(failed);
    answer = cut == answer.npos ? std::string_view() : answer.substr(cut + 1);
  }
  return outcome;
}

// ---- opening ----------------------------------------------------------------------------------------------------

Explained<std::shared_ptr<MetaEngine>> Engine::open(const std::string& url, OpenMode mode, Runtime& runtime) {
  auto address = net::redis::Address::parse(url);
  if (!address) return Failure{address.error().code, address.error().message};
  net::redis::ClientOptions options;
  options.tracking = address->client_cache.value_or(true);
  options.read_only = mode == OpenMode::read_only;
  auto client = net::redis::Client::open(*address, options, runtime);
  if (!client) return Failure{client.error().code, client.error().message};
  return std::shared_ptr<MetaEngine>(std::make_shared<Engine>(std::move(*client), mode));
}

}  // namespace kiseki::meta::redis
