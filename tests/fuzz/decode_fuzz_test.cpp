// A million hostile requests, the same ones every time: random bytes, and valid requests bent a little. Each lies in a
// block of exactly its size, so that under AddressSanitizer one byte too far is fatal.
#include "decode_fuzz.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <memory>
#include <random>
#include <vector>

#include "fuse/abi.hpp"

namespace {

constexpr int kRuns = 1'000'000;

class Mutator {
 public:
  explicit Mutator(std::uint64_t seed) : random_(seed) {}

  std::span<const std::byte> next() {
    auto size = length();
    block_ = std::make_unique<std::byte[]>(size);
    fill({block_.get(), size});
    if (size >= sizeof(fuse_in_header)) set_header(size);
    return {block_.get(), size};
  }

 private:
  std::size_t length() {
    if (one_in(8)) return below(sizeof(fuse_in_header));
    return sizeof(fuse_in_header) + below(one_in(20) ? 5000 : 160);
  }

  void fill(std::span<std::byte> bytes) {
    auto style = below(4);
    for (std::size_t i = 0; i < bytes.size(); ++i) {
      static constexpr std::array<unsigned char, 6> kEdges{0, 0xFF, 0x7F, 0x80, '/', 'a'};
      switch (style) {
        case 0:
          bytes[i] = std::byte(random_() & 0xFF);
          break;
        case 1:
          bytes[i] = std::byte(kEdges[below(kEdges.size())]);
          break;
        case 2:
          bytes[i] = std::byte(i % 9 == 8 ? 0 : 'n');
          break;  // short names
        default:
          bytes[i] = std::byte(i % 8 == 0 ? below(64) : 0);  // small numbers
      }
    }
  }

  void set_header(std::size_t size) {
    fuse_in_header header;
    std::memcpy(&header, block_.get(), sizeof header);
    if (!one_in(50)) header.opcode = static_cast<std::uint32_t>(below(56));
    header.len = one_in(10) ? header.len : static_cast<std::uint32_t>(size);
    header.total_extlen = one_in(10) ? header.total_extlen : static_cast<std::uint16_t>(one_in(10) ? below(30) : 0);
    std::memcpy(block_.get(), &header, sizeof header);
  }

  std::size_t below(std::size_t n) { return random_() % n; }
  bool one_in(std::size_t n) { return below(n) == 0; }

  std::mt19937_64 random_;
  std::unique_ptr<std::byte[]> block_;
};

TEST(DecodeFuzz, AMillionHostileRequests) {
  Mutator mutator(20'261'121);
  for (int i = 0; i < kRuns; ++i) fuzz_decode(mutator.next());
}

}  // namespace
