#include "net/redis/client.hpp"

#include <boost/asio/recycling_allocator.hpp>
#include <utility>

#include "core/async.hpp"
#include "net/redis/checks.hpp"
#include "net/redis/lane.hpp"
#include "net/redis/master_watch.hpp"
#include "net/redis/replication.hpp"

namespace kiseki::net::redis {
namespace {

constexpr auto kOpenPatience = std::chrono::milliseconds(2000);

}  // namespace

void throw_exception_from_error(const Failure& failure, const boost::source_location&) {
  throw std::system_error(failure.code, failure.message);
}

struct Client::State {
  State(Address address, std::shared_ptr<const TlsContext> tls, ClientOptions options, Runtime& r)
      : runtime(r),
        names(r.pool("resolve", 1)),
        around(std::move(address), std::move(tls), names, options),
        tasks(r.executor(0)) {
    // The server tells a connection of what others change: with one for each loop our own changes would come back as
    // others', and cost another look.
    tracks = options.tracking && around.topology.address().client_cache.value_or(true);
    for (unsigned i = 0; i < (tracks ? 1 : runtime.loops()); ++i) {
      lanes.push_back(std::make_shared<Lane>(around, i, runtime.executor(i)));
    }
  }

  /// The lane of the loop that runs us; the first one for everybody else.
  Lane& lane() {
    auto index = Runtime::current_loop();
    auto ours = index >= 0 && static_cast<unsigned>(index) < lanes.size() &&
                runtime.loop(static_cast<unsigned>(index)).get_executor().running_in_this_thread();
    return *lanes[ours ? static_cast<std::size_t>(index) : 0];
  }

  /// One batch, by this lane (none: that of the loop which runs us).
  Async<Replies> run(Lane* by, Commands commands, Resend resend, bool waits);

  void start_tracking();
  void start_replication();
  void reconnect() {
    for (auto& lane : lanes) lane->reconnect();
    if (rounds) rounds->reconnect();
  }

  Runtime& runtime;
  NameLookup names;
  Surroundings around;
  bool tracks = false;
  std::shared_ptr<Tracker> tracker;  ///< none: no tracking
  std::vector<std::shared_ptr<Lane>> lanes;
  std::shared_ptr<Lane> rounds;  ///< of `replication`; none: no replica is waited for
  std::unique_ptr<Replication> replication;
  std::atomic<bool> closed{false};
  TaskGroup tasks;
};

Async<Replies> Client::State::run(Lane* by, Commands commands, Resend resend, bool waits) {
  if (commands.empty()) co_return Replies();
  auto request = std::allocate_shared<Request>(asio::recycling_allocator<Request>(), std::move(commands), resend,
                                               std::chrono::steady_clock::now() + around.options.deadline, waits);
  auto already = co_await asio::this_coro::cancellation_state;
  if (already.cancelled() != asio::cancellation_type::none) co_return posix(ECANCELED);
  auto& carrier = by ? *by : lane();
  auto woken = co_await detail::park(request->waiter, [&carrier, request] { carrier.send(request); });
  if (!woken) co_return posix(ECANCELED);
  if (request->error) co_return request->error;
  co_return std::move(request->replies);
}

void Client::State::start_tracking() {
  auto retrack = [this](Tracker::Redirect redirect) {
    for (auto& lane : lanes) lane->retrack(redirect);
  };
  auto count = static_cast<unsigned>(lanes.size());
  tracker = std::make_shared<Tracker>(around.topology, runtime.executor(0), count, std::move(retrack));
  tasks.spawn(tracker->run());
}

void Client::State::start_replication() {
  const auto& address = around.topology.address();
  if (address.wait_replicas == 0) return;
  rounds = std::make_shared<Lane>(around, static_cast<unsigned>(lanes.size()), runtime.executor(0));
  rounds->start();
  auto run_round = [this](Commands commands) {
    return run(rounds.get(), std::move(commands), Resend::when_lost, true);
  };
  replication = std::make_unique<Replication>(address, around.unreplicated, std::move(run_round));
  tasks.spawn(replication->run());
}

Client::Client(std::unique_ptr<State> state) : state_(std::move(state)) {}

Client::~Client() {
  if (!state_->closed) state_->runtime.wait(close());
}

Explained<std::shared_ptr<Client>> Client::open(Address address, ClientOptions options, Runtime& runtime) {
  std::shared_ptr<const TlsContext> tls;
  if (address.tls.on) {
    auto loaded = TlsContext::load(address.tls);
    if (!loaded) return loaded.error();
    tls = std::move(*loaded);
  }
  auto state = std::make_unique<State>(std::move(address), std::move(tls), options, runtime);
  auto& around = state->around;
  auto found = runtime.wait(examine(around.topology, kOpenPatience, options.read_only));
  if (!found) return found.error();
  if (found->cluster) around.topology.become_cluster();
  state->start_replication();
  if (state->tracks) state->start_tracking();
  if (around.topology.address().kind == Address::Kind::sentinel) {
    auto changes = [&all = *state] { all.reconnect(); };
    for (const auto& sentinel : around.topology.address().hosts)
      state->tasks.spawn(watch_master(around.topology, sentinel, changes));
  }
  for (auto& lane : state->lanes) lane->start(state->tracker);
  return std::shared_ptr<Client>(new Client(std::move(state)));
}

Async<Replies> Client::run(Commands commands, Resend resend) {
  return state_->run(nullptr, std::move(commands), resend, false);
}

Async<Reply> Client::run_one(Command command, Resend resend) {
  Commands commands;
  commands.push_back(std::move(command));
  CO_TRY(auto replies, co_await run(std::move(commands), resend));
  co_return std::move(replies.front());
}

Async<Reply> Client::eval(const Script& script, const Strings& keys, const Strings& args, Resend resend) {
  return run_one(Command::eval(script, keys, args), resend);
}

Async<void> Client::replicated(const Script& proof, const Strings& keys, const Strings& args) {
  if (!state_->replication) co_return Result<void>{};
  co_return co_await state_->replication->reached(Command::eval(proof, keys, args));
}

const std::string& Client::key_prefix() const noexcept { return state_->around.topology.key_prefix(); }

void Client::listen(InvalidationListener* listener) noexcept {
  if (state_->tracker) state_->tracker->listen(listener);
}

bool Client::tracking() const noexcept { return state_->tracker && state_->tracker->tracking(); }

Async<void> Client::hear_all() {
  if (!state_->tracker) co_return Result<void>{};
  co_return co_await state_->tracker->hear_all();
}
bool Client::away() const noexcept { return state_->around.topology.away(); }

const Address& Client::address() const noexcept { return state_->around.topology.address(); }

asio::awaitable<void> Client::close() {
  state_->closed = true;
  co_await state_->tasks.close();
  if (state_->replication) state_->replication->close();
  if (state_->rounds) co_await state_->rounds->close();
  for (auto& lane : state_->lanes) co_await lane->close();
}

}  // namespace kiseki::net::redis
