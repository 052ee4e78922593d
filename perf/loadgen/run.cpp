#include "run.hpp"

#include <algorithm>
#include <barrier>
#include <chrono>
#include <thread>
#include <vector>

namespace loadgen {
namespace {

using Clock = std::chrono::steady_clock;

std::uint64_t nanoseconds_between(Clock::time_point from, Clock::time_point to) {
  return static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(to - from).count());
}

// One thread's share; aligned so that no two threads write one cache line.
struct alignas(128) Share {
  Outcome outcome;
};

struct Plan {
  Clock::time_point end;
  std::uint64_t count;
  std::atomic<std::uint64_t> next{0};
};

void work(Plan& plan, unsigned thread, const Operation& operation, Outcome& mine) {
  auto before = Clock::now();
  while (before < plan.end) {
    const auto index = plan.next.fetch_add(1, std::memory_order_relaxed);
    if (index >= plan.count) return;
    const int problem = operation(thread, index);
    const auto after = Clock::now();
    mine.latency.add(nanoseconds_between(before, after));
    ++mine.operations;
    if (problem != 0 && mine.errors++ == 0) mine.first_errno = problem;
    before = after;
  }
}

}  // namespace

Outcome run_threads(const Options& options, const Operation& operation) {
  Plan plan;
  plan.count = options.count != 0 ? options.count : ~std::uint64_t{0};
  std::vector<Share> shares(options.threads);
  std::barrier start(static_cast<std::ptrdiff_t>(options.threads) + 1);
  std::vector<std::thread> threads;
  for (unsigned t = 0; t < options.threads; ++t) {
    threads.emplace_back([&, t] {
      start.arrive_and_wait();  // all threads exist
      start.arrive_and_wait();  // the end is known
      work(plan, t, operation, shares[t].outcome);
    });
  }
  start.arrive_and_wait();
  const auto begin = Clock::now();
  const auto limit = std::chrono::duration<double>(options.seconds > 0 ? options.seconds : 3600.0);
  plan.end = begin + std::chrono::duration_cast<Clock::duration>(limit);
  start.arrive_and_wait();
  for (auto& thread : threads) thread.join();

  Outcome sum;
  sum.seconds = static_cast<double>(nanoseconds_between(begin, Clock::now())) / 1e9;
  for (auto& share : shares) {
    sum.operations += share.outcome.operations;
    sum.errors += share.outcome.errors;
    sum.first_errno = std::max(sum.first_errno, share.outcome.first_errno);
    sum.latency.merge(share.outcome.latency);
  }
  return sum;
}

}  // namespace loadgen
