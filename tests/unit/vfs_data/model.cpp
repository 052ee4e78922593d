// Random writes, reads, truncates, flushes and faults against a plain byte vector.
#include <cstdlib>

#include "fakes.hpp"

namespace kiseki::vfs {
namespace {

using fake::Rig;

struct Oracle {
  std::vector<std::byte> bytes;
  void write(std::uint64_t at, std::span<const std::byte> data) {
    if (bytes.size() < at + data.size()) bytes.resize(at + data.size());
    std::copy(data.begin(), data.end(), bytes.begin() + static_cast<std::ptrdiff_t>(at));
  }
};

/// What truncate does to slice lists, apart from the attribute.
Async<void> truncate(Rig& rig, Ino ino, std::uint64_t from, std::uint64_t to) {
  CO_CHECK(co_await rig.flush(ino));
  auto begin = std::min(from, to), end = std::max(from, to);
  while (begin < end) {
    auto stop = std::min(end, begin - begin % kChunkBytes + kChunkBytes);
    rig.meta->punch(ino, ChunkIndex{static_cast<std::uint32_t>(begin / kChunkBytes)},
                    static_cast<std::uint32_t>(begin % kChunkBytes), static_cast<std::uint32_t>(stop - begin));
    begin = stop;
  }
  rig.data->invalidate(ino);
  co_return Result<void>{};
}

asio::awaitable<void> play(Rig& rig, unsigned seed) {
  std::mt19937_64 random(seed);
  auto below = [&random](std::uint64_t n) { return random() % n; };
  std::map<Ino, Oracle> oracles;
  // Around a chunk border, so that records of two chunks and one slice meet.
  std::uint64_t base = below(2) ? kChunkBytes - 300'000 : 0;
  auto place = [&]() -> std::uint64_t {
    return base + below(3) * 100'000 + (below(2) ? below(300'000) : below(70) * 4096);
  };
  for (int step = 0; step < 150; ++step) {
    Ino ino{1 + below(3)};
    auto& oracle = oracles[ino];
    switch (below(10)) {
      case 0:
      case 1:
      case 2:
      case 3: {
        auto data = fake::pattern(1 + (below(4) == 0 ? below(400'000) : below(5000)), random());
        bool at_end = below(3) == 0 && !oracle.bytes.empty();
        auto at = at_end ? oracle.bytes.size() : place();
        CO_ASSERT_OK(at_end && below(2) ? co_await rig.append(ino, at, data) : co_await rig.write(ino, at, data));
        oracle.write(at, data);
        EXPECT_GE(std::max(rig.data->pending_length(ino).value_or(0), rig.meta->lengths_[ino]), at + data.size());
        break;
      }
      case 4:
      case 5:
      case 6:
      case 7: {
        if (oracle.bytes.empty()) break;
        auto at = below(2) ? place() : below(oracle.bytes.size());
        auto size = static_cast<std::uint32_t>(1 + below(200'000));
        auto got = co_await rig.read(ino, at, size, oracle.bytes.size());
        CO_ASSERT_OK(got);
        auto end = std::min<std::uint64_t>(oracle.bytes.size(), at + size);
        auto want = at >= end ? std::span<std::byte>() : std::span(oracle.bytes).subspan(at, end - at);
        CO_ASSERT_TRUE(got->size() == want.size());
        CO_ASSERT_TRUE(std::ranges::equal(*got, want));
        break;
      }
      case 8:
        CO_ASSERT_OK(co_await rig.flush(ino));
        break;
      default: {
        if (below(3) == 0) {
          rig.store->fail_next(object::Method::put, make_error_code(object::ObjectErrc::unavailable),
                               1 + static_cast<unsigned>(below(2)));
        } else if (below(2) == 0) {
          rig.store->fail_next(object::Method::get, make_error_code(object::ObjectErrc::throttled), 1);
        } else {
          auto to = below(2) ? place() : below(oracle.bytes.size() + 1);
          CO_ASSERT_OK(co_await truncate(rig, ino, oracle.bytes.size(), to));
          oracle.bytes.resize(to);
          rig.meta->lengths_[ino] = to;
        }
        break;
      }
    }
  }
  for (auto& [ino, oracle] : oracles) {
    CO_ASSERT_OK(co_await rig.flush(ino));
    for (std::uint64_t at = base > 500'000 ? base - 500'000 : 0; at < oracle.bytes.size(); at += 1 << 20) {
      auto got = co_await rig.read(ino, at, 1 << 20, oracle.bytes.size());
      CO_ASSERT_OK(got);
      CO_ASSERT_TRUE(std::ranges::equal(*got, std::span(oracle.bytes).subspan(at, got->size())));
    }
  }
}

TEST(FileDataModel, AgreesWithAByteVector) {
  unsigned from = 1, count = 20;
  if (const char* seed = std::getenv("KISEKI_SEED")) from = static_cast<unsigned>(std::atoi(seed)), count = 1;
  for (unsigned seed = from; seed < from + count; ++seed) {
    SCOPED_TRACE("KISEKI_SEED=" + std::to_string(seed));
    Rig rig(32, seed % 2 ? 65536 : 1 << 20, seed % 3 ? 8 : 0);
    fake::with(rig, [&]() -> asio::awaitable<void> { return play(rig, seed); });
    if (testing::Test::HasFailure()) return;
  }
}

}  // namespace
}  // namespace kiseki::vfs
