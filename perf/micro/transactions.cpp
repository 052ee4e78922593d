// Whole metadata operations over the engine in memory: what Txn, the record cache and the operation itself cost, with
// no database and no loop to hop to.
#include <benchmark/benchmark.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <memory>
#include <string>

#include "meta/client.hpp"
#include "meta/memory/engine.hpp"
#include "meta/ops.hpp"
#include "meta/volume_format.hpp"

namespace kiseki::meta {
namespace {

constexpr Who kRoot{0, 0, false};

struct Volume {
  std::shared_ptr<MemoryEngine> engine = std::make_shared<MemoryEngine>();
  std::shared_ptr<ManualClock> clock = std::make_shared<ManualClock>();
  std::unique_ptr<Client> client;

  Async<void> open() {
    Format plain;
    plain.name = "micro";
    plain.trash_days = 0;
    auto made = co_await format_volume(*engine, plain, *clock);
    if (!made) co_return posix(EIO);
    client = std::make_unique<Client>(engine, *made, clock, ClientOptions{});
    client->set_session(SessionId{1});
    co_return Result<void>{};
  }
};

Async<Ino> make_file(Client& client, std::string name) {
  NewInode what{FileType::file, 0644, 0, 0, {}};
  CO_TRY(auto made, co_await make(client, kRoot, kRootIno, std::move(name), std::move(what)));
  co_return made.ino;
}

/// Runs `body` over a new volume: the loop over `state` is inside the coroutine, so that starting it is not measured.
template <class Body>
void over_volume(benchmark::State& state, Body body) {
  asio::io_context io(1);
  Volume volume;
  auto all = [&]() -> asio::awaitable<void> {
    auto done = co_await volume.open();
    if (done) done = co_await body(*volume.client);
    if (!done) state.SkipWithError(done.error().message().c_str());
  };
  asio::co_spawn(io, all(), asio::detached);  // io.run() awaits it
  io.run();
}

void create_and_unlink(benchmark::State& state) {
  over_volume(state, [&state](Client& client) -> Async<void> {
    for (auto _ : state) {
      CO_CHECK(co_await make_file(client, "f"));
      CO_CHECK(co_await unlink(client, kRoot, kRootIno, "f"));
    }
    co_return Result<void>{};
  });
}
BENCHMARK(create_and_unlink);

void lookup_cached(benchmark::State& state) {
  over_volume(state, [&state](Client& client) -> Async<void> {
    CO_CHECK(co_await make_file(client, "f"));
    for (auto _ : state) benchmark::DoNotOptimize(client.cached_lookup(kRootIno, "f"));
    co_return Result<void>{};
  });
}
BENCHMARK(lookup_cached);

void chmod(benchmark::State& state) {
  over_volume(state, [&state](Client& client) -> Async<void> {
    CO_TRY(auto ino, co_await make_file(client, "f"));
    std::uint16_t bits = 0;
    for (auto _ : state) {
      AttrChange change;
      change.set = kMode;
      change.to.mode = 0600 | (++bits & 077);
      CO_CHECK(co_await setattr(client, kRoot, ino, change));
    }
    co_return Result<void>{};
  });
}
BENCHMARK(chmod);

void rename_to_and_fro(benchmark::State& state) {
  over_volume(state, [&state](Client& client) -> Async<void> {
    CO_CHECK(co_await make_file(client, "a"));
    for (auto _ : state) {
      CO_CHECK(co_await rename(client, kRoot, kRootIno, "a", kRootIno, "b", 0));
      CO_CHECK(co_await rename(client, kRoot, kRootIno, "b", kRootIno, "a", 0));
    }
    co_return Result<void>{};
  });
}
BENCHMARK(rename_to_and_fro);

}  // namespace
}  // namespace kiseki::meta
