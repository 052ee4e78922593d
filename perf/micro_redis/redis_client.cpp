// How many small requests our Redis client moves through one loop's connection, and what one costs in CPU.
//   micro_redis redis://127.0.0.1:6379/15 [SECONDS]
// Writes one key, `kiseki-micro`, and removes it.
#include <sys/resource.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>

#include "core/async.hpp"
#include "net/redis/client.hpp"

namespace {

using namespace kiseki;
using namespace kiseki::net::redis;
using Clock = std::chrono::steady_clock;

constexpr const char* kKey = "kiseki-micro";

double cpu_seconds() {
  rusage used{};
  ::getrusage(RUSAGE_SELF, &used);
  auto seconds = [](const timeval& t) { return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6; };
  return seconds(used.ru_utime) + seconds(used.ru_stime);
}

Async<void> get_until(Client& client, Clock::time_point end, std::size_t& done) {
  while (Clock::now() < end) {
    CO_TRY(auto reply, co_await client.run_one(Command("GET", kKey)));
    if (reply.is_error()) co_return posix(EBADMSG);
    ++done;
  }
  co_return Result<void>{};
}

Async<void> eval_until(Client& client, const Script& script, Clock::time_point end, std::size_t& done) {
  while (Clock::now() < end) {
    Strings keys(1, kKey), args(1, "value");
    CO_TRY(auto reply, co_await client.eval(script, keys, args));
    if (reply.is_error()) co_return posix(EBADMSG);
    ++done;
  }
  co_return Result<void>{};
}

template <class Make>
void measure(Runtime& runtime, const char* what, std::size_t coroutines, double seconds, Make make) {
  std::size_t done = 0;
  auto all = [&]() -> Async<void> {
    std::vector<Async<void>> ops;
    auto end = Clock::now() + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
    for (std::size_t i = 0; i < coroutines; ++i) ops.push_back(make(end, done));
    co_return co_await fan_out(std::move(ops), coroutines);
  };
  auto cpu = cpu_seconds();
  auto begin = Clock::now();
  auto result = runtime.wait(all());
  auto time = std::chrono::duration<double>(Clock::now() - begin).count();
  cpu = cpu_seconds() - cpu;
  if (!result) std::printf("%s: %s\n", what, result.error().message().c_str());
  auto count = static_cast<double>(done);
  std::printf("%-8s %4zu coroutines  %10.0f /s  %6.2f us CPU each\n", what, coroutines, count / time,
              cpu / count * 1e6);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) return std::printf("micro_redis URL [SECONDS]\n"), 2;
  Runtime runtime({.loops = 1, .pin = false});
  runtime.start();
  auto address = Address::parse(argv[1]);
  if (!address) return std::printf("%s\n", address.error().message.c_str()), 1;
  auto opened = Client::open(*address, {.tracking = false}, runtime);
  if (!opened) return std::printf("%s\n", opened.error().message.c_str()), 1;
  auto client = std::move(*opened);
  auto set = runtime.wait(client->run_one(Command("SET", kKey, "0123456789")));
  if (!set) return std::printf("%s\n", set.error().message().c_str()), 1;
  auto seconds = argc > 2 ? std::atof(argv[2]) : 2.0;
  const Script script("redis.call('SET', KEYS[1], ARGV[1]) return 1");
  for (auto coroutines : std::initializer_list<std::size_t>{1, 8, 64, 256}) {
    measure(runtime, "GET", coroutines, seconds,
            [&](Clock::time_point end, std::size_t& done) { return get_until(*client, end, done); });
    measure(runtime, "EVALSHA", coroutines, seconds,
            [&](Clock::time_point end, std::size_t& done) { return eval_until(*client, script, end, done); });
  }
  auto removed = runtime.wait(client->run_one(Command("DEL", kKey)));
  runtime.wait(client->close());
  return removed ? 0 : 1;
}
