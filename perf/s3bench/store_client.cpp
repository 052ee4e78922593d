#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <random>
#include <vector>

#include "core/async.hpp"
#include "core/runtime.hpp"
#include "load.hpp"
#include "object/open_store.hpp"

namespace s3bench {

namespace {

using namespace kiseki;
using Clock = std::chrono::steady_clock;

struct Run {
  object::ObjectStore& store;
  const Load& load;
  std::shared_ptr<std::vector<std::byte>> content;
  Clock::time_point end{};
  std::atomic<std::uint64_t> next{0};
  std::mutex mutex;  // guards outcome
  Outcome outcome;
};

Async<void> put_one(Run& run, std::uint64_t number) {
  object::Body body;
  body.pieces.push_back(*run.content);
  body.owner = run.content;
  co_return co_await run.store.put(short_key_of(run.load, number), std::move(body));
}

Async<void> get_one(Run& run, std::uint64_t number, std::span<std::byte> into) {
  CO_TRY(auto got, co_await run.store.get(short_key_of(run.load, number), 0, into));
  co_return got == into.size() ? Result<void>{} : Result<void>(posix(EIO));
}

asio::awaitable<void> worker(Run& run) {
  std::vector<std::byte> into(run.load.get ? run.load.size : 0);
  Outcome mine;
  while (Clock::now() < run.end) {
    auto number = run.next++ % run.load.objects;
    auto begun = Clock::now();
    auto done = run.load.get ? co_await get_one(run, number, into) : co_await put_one(run, number);
    mine.latency.add(static_cast<std::uint64_t>((Clock::now() - begun).count()));
    ++mine.requests;
    if (!done) ++mine.failures, mine.error = done.error().message();
  }
  std::lock_guard lock(run.mutex);
  run.outcome.requests += mine.requests;
  run.outcome.failures += mine.failures;
  run.outcome.latency.merge(mine.latency);
  if (!mine.error.empty()) run.outcome.error = mine.error;
}

asio::awaitable<void> run_all(Run& run, Runtime& runtime) {
  TaskGroup workers(runtime.executor(0));
  for (unsigned i = 0; i < run.load.at_once; ++i) workers.spawn(runtime.executor(i % runtime.loops()), worker(run));
  co_await workers.join();
}

asio::awaitable<void> prepare(Run& run) {
  if (auto made = co_await run.store.create(); !made)
    std::fprintf(stderr, "s3bench: making the bucket: %s\n", made.error().message().c_str());
  for (std::uint64_t i = 0; run.load.get && i < run.load.objects; ++i) {
    if (auto put = co_await put_one(run, i); put) continue;
    std::fprintf(stderr, "s3bench: the objects cannot be made\n");
    std::exit(1);
  }
}

}  // namespace

Outcome run_store(const Load& load) {
  ::setenv("AWS_REGION", load.region.c_str(), 1);
  Runtime runtime({.loops = load.loops, .pin = true});
  runtime.start();
  object::StoreSpec spec;
  spec.storage = "s3";
  spec.bucket = load.endpoint;
  spec.access_key = load.access_key;
  spec.secret_key = load.secret_key;
  spec.volume = "s3bench";
  spec.limits.uploads = spec.limits.downloads = load.at_once;
  auto opened = object::open_store(spec, runtime);
  if (!opened.store) {
    std::fprintf(stderr, "s3bench: %s\n", opened.error.c_str());
    std::exit(1);
  }
  Run run{*opened.store, load, std::make_shared<std::vector<std::byte>>(load.size), {}, 0, {}, {}};
  std::mt19937_64 random(1);
  for (auto& byte : *run.content) byte = static_cast<std::byte>(random());
  runtime.wait(prepare(run));
  auto begun = Clock::now();
  auto cpu = cpu_seconds();
  run.end = begun + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(load.seconds));
  runtime.wait(run_all(run, runtime));
  run.outcome.cpu_seconds = cpu_seconds() - cpu;
  run.outcome.seconds = std::chrono::duration<double>(Clock::now() - begun).count();
  opened.store.reset();
  return std::move(run.outcome);
}

}  // namespace s3bench
