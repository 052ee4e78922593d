// Stored records and kernel requests: bytes to types and back.
#include <benchmark/benchmark.h>

#include <cstring>
#include <vector>

#include "fuse/decode.hpp"
#include "meta/codec.hpp"

namespace kiseki {
namespace {

meta::Attr some_attr() {
  meta::Attr attr;
  attr.mode = 0644, attr.nlink = 1, attr.parent = kRootIno, attr.length = 123'456;
  attr.atime = attr.mtime = attr.ctime = {1'800'000'000, 123};
  return attr;
}

Slices some_slices(std::int64_t count) {
  Slices slices;
  for (std::uint32_t i = 0; i < static_cast<std::uint32_t>(count); ++i)
    slices.push_back({i * 4096, SliceId{i + 1}, 4096, 0, 4096});
  return slices;
}

void encode_attr(benchmark::State& state) {
  auto attr = some_attr();
  for (auto _ : state) benchmark::DoNotOptimize(meta::codec::encode(attr));
}
BENCHMARK(encode_attr);

void decode_attr(benchmark::State& state) {
  auto bytes = meta::codec::encode(some_attr());
  for (auto _ : state) benchmark::DoNotOptimize(meta::codec::decode_attr(bytes));
}
BENCHMARK(decode_attr);

void encode_slices(benchmark::State& state) {
  auto slices = some_slices(state.range(0));
  for (auto _ : state) benchmark::DoNotOptimize(meta::codec::encode(slices));
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(encode_slices)->Arg(1)->Arg(1000);

void decode_slices(benchmark::State& state) {
  auto bytes = meta::codec::encode(some_slices(state.range(0)));
  for (auto _ : state) benchmark::DoNotOptimize(meta::codec::decode_slices(bytes));
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(decode_slices)->Arg(1)->Arg(1000);

void decode_lock_ranges(benchmark::State& state) {
  std::vector<meta::RangeLock> ranges;
  for (std::uint64_t i = 0; i < 16; ++i) ranges.push_back({1, 42, i * 100, i * 100 + 9});
  auto bytes = meta::codec::encode(ranges);
  for (auto _ : state) benchmark::DoNotOptimize(meta::codec::decode_ranges(bytes));
}
BENCHMARK(decode_lock_ranges);

/// A request as the kernel writes it: header, fixed part, names.
std::vector<std::byte> message(std::uint32_t opcode, std::size_t fixed, std::string_view names) {
  std::vector<std::byte> bytes(sizeof(fuse_in_header) + fixed + names.size());
  fuse_in_header header{};
  header.len = static_cast<std::uint32_t>(bytes.size());
  header.opcode = opcode, header.unique = 7, header.nodeid = 1;
  std::memcpy(bytes.data(), &header, sizeof header);
  std::memcpy(bytes.data() + sizeof header + fixed, names.data(), names.size());
  return bytes;
}

void decode_request(benchmark::State& state, std::uint32_t opcode, std::size_t fixed, std::string_view names) {
  auto bytes = message(opcode, fixed, names);
  for (auto _ : state) {
    auto request = fuse::frame(bytes);
    auto body = fuse::decode(*request, {});
    if (!body) return state.SkipWithError("not decoded");
    benchmark::DoNotOptimize(body);
  }
}
using namespace std::string_view_literals;
BENCHMARK_CAPTURE(decode_request, lookup, FUSE_LOOKUP, 0, "some-file-name\0"sv);
BENCHMARK_CAPTURE(decode_request, getattr, FUSE_GETATTR, sizeof(fuse_getattr_in), ""sv);
BENCHMARK_CAPTURE(decode_request, create, FUSE_CREATE, sizeof(fuse_create_in), "some-file-name\0"sv);
BENCHMARK_CAPTURE(decode_request, read, FUSE_READ, sizeof(fuse_read_in), ""sv);

}  // namespace
}  // namespace kiseki
