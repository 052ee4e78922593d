#include "cli/objbench_load.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <functional>
#include <mutex>
#include <random>

#include "cli/progress.hpp"
#include "core/async.hpp"

namespace kiseki::cli {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::size_t kCheckedBytes = 10;  // of what is read, beside its length

/// Bytes of every object of one size: those of a seed, turned by the number of the object.
class Content {
 public:
  explicit Content(std::size_t size) : seed_(std::make_shared<std::vector<std::byte>>(size)) {
    std::mt19937_64 random(std::random_device{}());
    for (auto& byte : *seed_) byte = static_cast<std::byte>(random());
  }
  object::Body body(std::uint64_t number) const {
    auto turn = number % seed_->size();
    object::Body body;
    body.pieces.push_back(std::span(*seed_).subspan(turn));
    if (turn > 0) body.pieces.push_back(std::span(*seed_).first(turn));
    body.owner = seed_;
    return body;
  }
  bool fits(std::uint64_t number, std::span<const std::byte> read) const {
    if (read.size() != seed_->size()) return false;
    for (std::size_t i = 0; i < std::min(kCheckedBytes, read.size()); ++i)
      if (read[i] != (*seed_)[(number + i) % seed_->size()]) return false;
    return true;
  }
  std::size_t size() const { return seed_->size(); }

 private:
  std::shared_ptr<std::vector<std::byte>> seed_;
};

/// One request; `scratch` is the worker's own.
using Request = std::function<Async<void>(std::uint64_t number, std::vector<std::byte>& scratch)>;

/// The numbers still to be done, and what came of them.
struct Work {
  std::uint64_t next, end;
  std::mutex mutex;  // guards all
  LoadOutcome& outcome;

  bool take(std::uint64_t& number) {
    std::lock_guard lock(mutex);
    number = next;
    return next < end ? (++next, true) : false;
  }
  void ended(double milliseconds, const Result<void>& result) {
    std::lock_guard lock(mutex);
    outcome.latencies_ms.push_back(milliseconds);
    if (result) return;
    ++outcome.failures;
    outcome.error = result.error().message();
  }
};

asio::awaitable<void> worker(Work& work, const Request& request, Progress& progress) {
  std::vector<std::byte> scratch;
  for (std::uint64_t number = 0; work.take(number);) {
    auto begun = Clock::now();
    auto result = co_await request(number, scratch);
    work.ended(std::chrono::duration<double, std::milli>(Clock::now() - begun).count(), result);
    progress.add();
  }
}

class Bench {
 public:
  Bench(object::ObjectStore& store, Runtime& runtime, const LoadOptions& options)
      : store_(store), runtime_(runtime), options_(options), big_(options.block_bytes), small_(options.small_bytes) {}

  LoadOutcome put(bool big) {
    const auto& content = big ? big_ : small_;
    auto first = big ? options_.small_count : 0;
    return run(big ? "upload objects" : "put small objects", first, first + count(big),
               [this, &content, first](std::uint64_t number, std::vector<std::byte>&) {
                 return store_.put(std::to_string(number), content.body(number - first));
               });
  }

  LoadOutcome get(bool big) {
    auto first = big ? options_.small_count : 0;
    return run(big ? "download objects" : "get small objects", first, first + count(big),
               [this, big, first](std::uint64_t number, std::vector<std::byte>& scratch) {
                 return get_one(big ? big_ : small_, number, first, scratch);
               });
  }

  LoadOutcome list() {
    auto outcome = run("list objects", 0, options_.threads,
                       [this](std::uint64_t, std::vector<std::byte>&) { return list_once(); });
    outcome.per_second = static_cast<double>(options_.list_count() * options_.threads) / outcome.seconds;
    outcome.cost_ms = outcome.seconds * 1000;
    outcome.cost_unit = fmt::format("ms/ {} objects", options_.list_count());
    return outcome;
  }

  LoadOutcome head() {
    return run("head objects", 0, all(), [this](std::uint64_t number, std::vector<std::byte>&) -> Async<void> {
      CO_TRY(auto info, co_await store_.head(std::to_string(number)));
      co_return info.size > 0 ? Result<void>{} : Result<void>(posix(EIO));
    });
  }

  LoadOutcome remove() {
    return run("delete objects", 0, all(),
               [this](std::uint64_t number, std::vector<std::byte>&) { return store_.remove(std::to_string(number)); });
  }

 private:
  std::uint64_t count(bool big) const { return big ? options_.big_count : options_.small_count; }
  std::uint64_t all() const { return options_.small_count + options_.big_count; }

  Async<void> get_one(const Content& content, std::uint64_t number, std::uint64_t first,
                      std::vector<std::byte>& scratch) {
    scratch.resize(content.size());
    CO_TRY(auto got, co_await store_.get(std::to_string(number), 0, scratch));
    bool fits = content.fits(number - first, std::span(scratch).first(got));
    co_return fits ? Result<void>{} : Result<void>(make_error_code(object::ObjectErrc::corrupt));
  }

  Async<void> list_once() {
    std::uint64_t seen = 0;
    for (std::string after;;) {
      CO_TRY(auto page, co_await store_.list("", after, options_.list_count() - seen, ""));
      seen += page.objects.size();
      if (seen >= options_.list_count()) co_return Result<void>{};
      if (!page.more || page.objects.empty()) co_return posix(ENODATA);  // objects are missing
      after = page.objects.back().key;
    }
  }

  LoadOutcome run(std::string title, std::uint64_t first, std::uint64_t end, Request request) {
    LoadOutcome outcome;
    outcome.title = std::move(title);
    outcome.requests = end - first;
    outcome.unit = "objects/s";
    outcome.cost_unit = "ms/object";
    auto begun = Clock::now();
    runtime_.wait(run_workers(outcome, first, end, request));
    outcome.seconds = std::chrono::duration<double>(Clock::now() - begun).count();
    auto requests = static_cast<double>(outcome.requests);
    outcome.per_second = requests / outcome.seconds;
    outcome.cost_ms = static_cast<double>(options_.threads) * outcome.seconds * 1000 / requests;
    std::ranges::sort(outcome.latencies_ms);
    return outcome;
  }

  asio::awaitable<void> run_workers(LoadOutcome& outcome, std::uint64_t first, std::uint64_t end,
                                    const Request& request) {
    Work work{first, end, {}, outcome};
    Progress progress(outcome.title, end - first);
    TaskGroup drawing(runtime_.executor(0)), workers(runtime_.executor(0));
    drawing.spawn(progress.keep_drawing());
    for (unsigned i = 0; i < options_.threads; ++i)
      workers.spawn(runtime_.executor(i % runtime_.loops()), worker(work, request, progress));
    co_await workers.join();
    co_await drawing.close();
    progress.finish();
  }

  object::ObjectStore& store_;
  Runtime& runtime_;
  LoadOptions options_;
  Content big_, small_;
};

LoadOutcome unsupported(std::string title) {
  LoadOutcome outcome;
  outcome.title = std::move(title);
  outcome.supported = false;
  return outcome;
}

LoadOutcome in_mib(LoadOutcome outcome, std::size_t object_bytes) {
  outcome.per_second *= static_cast<double>(object_bytes) / (1 << 20);
  outcome.unit = "MiB/s";
  return outcome;
}

}  // namespace

double LoadOutcome::latency_ms(double share) const {
  if (latencies_ms.empty()) return 0;
  auto rank = std::ceil(share * static_cast<double>(latencies_ms.size()));
  return latencies_ms[std::min(latencies_ms.size(), std::max<std::size_t>(1, static_cast<std::size_t>(rank))) - 1];
}

std::vector<LoadOutcome> load_store(object::ObjectStore& store, Runtime& runtime, const LoadOptions& options) {
  Bench bench(store, runtime, options);
  auto small_put = bench.put(false), small_get = bench.get(false);
  auto put = in_mib(bench.put(true), options.block_bytes), get = in_mib(bench.get(true), options.block_bytes);
  auto list = bench.list(), head = bench.head(), remove = bench.remove();
  return {std::move(put),
          std::move(get),
          std::move(small_put),
          std::move(small_get),
          std::move(list),
          std::move(head),
          std::move(remove),
          unsupported("change permissions"),
          unsupported("change owner/group"),
          unsupported("update mtime")};
}

}  // namespace kiseki::cli
