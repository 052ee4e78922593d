// From a chunk's slice list to what it shows, and finding a place in that.
#include <benchmark/benchmark.h>

#include <random>

#include "chunk/chunk_view.hpp"

namespace kiseki::chunk {
namespace {

/// What `count` writes leave behind.
enum class Pattern { appended, scattered, overwritten };

Slices records(Pattern pattern, std::int64_t count) {
  std::mt19937 random(1);
  Slices slices;
  for (std::uint32_t i = 0; i < static_cast<std::uint32_t>(count); ++i) {
    std::uint32_t len = pattern == Pattern::overwritten ? 1 + static_cast<std::uint32_t>(random() % (1 << 20)) : 4096;
    std::uint32_t pos = pattern == Pattern::appended ? i * len : static_cast<std::uint32_t>(random() % (63 << 20));
    slices.push_back({pos, SliceId{i + 1}, len, 0, len});
  }
  return slices;
}

void make_view(benchmark::State& state, Pattern pattern) {
  auto slices = records(pattern, state.range(0));
  for (auto _ : state) benchmark::DoNotOptimize(ChunkView::of(slices));
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK_CAPTURE(make_view, appended, Pattern::appended)->Arg(1)->Arg(16)->Arg(350)->Arg(2500);
BENCHMARK_CAPTURE(make_view, scattered, Pattern::scattered)->Arg(16)->Arg(350)->Arg(2500);
BENCHMARK_CAPTURE(make_view, overwritten, Pattern::overwritten)->Arg(16)->Arg(350)->Arg(2500);

void find_place(benchmark::State& state) {
  auto view = ChunkView::of(records(Pattern::scattered, state.range(0)));
  std::uint32_t pos = 0;
  for (auto _ : state) {
    pos = pos * 1'664'525 + 1'013'904'223;
    benchmark::DoNotOptimize(view.first_after(pos % (1 << 26)));
  }
}
BENCHMARK(find_place)->Arg(1)->Arg(350);

}  // namespace
}  // namespace kiseki::chunk
