#include "vfs/read_stream.hpp"

#include <gtest/gtest.h>

namespace kiseki::vfs {
namespace {

constexpr std::uint64_t kMiB = 1 << 20, kPlenty = 1024 * kMiB, kPiece = 128 << 10;

std::unique_ptr<ReadStream> stream_of(std::uint64_t most) {
  return std::make_unique<ReadStream>(ReadaheadLimits{.block_bytes = 4 * kMiB, .most = most},
                                      std::make_shared<std::atomic<int>>(0));
}

TEST(ReadStream, AFewBlocksReadInOrderOpenTheWholeWindow) {
  auto stream = stream_of(32 * kMiB);
  std::uint64_t fetched = 0;
  for (std::uint64_t at = 0; at < 8 * kMiB; at += kPiece) {
    auto ahead = stream->advance(at, kPiece, kPlenty, {kPlenty, kPlenty});
    if (!ahead.empty()) fetched = ahead.end();
    EXPECT_LE(fetched, std::max(4 * kMiB + kPiece, 5 * (at + kPiece))) << "most of it may never be read";
  }
  EXPECT_GE(fetched, 38 * kMiB) << "32 in front of the reader, in steps of two";
}

TEST(ReadStream, WhatThereIsNoRoomForNowComesLaterAndInOrder) {
  auto stream = stream_of(128 * kMiB);
  std::uint64_t fetched = 0, most = 0;
  for (std::uint64_t at = 0; at < 64 * kMiB; at += kPiece) {
    bool room = at / kPiece % 3 == 0;
    auto ahead = stream->advance(at, kPiece, kPlenty, {kPlenty, room ? 16 * kMiB : 0});
    if (ahead.empty()) continue;
    if (fetched > 0) {
      EXPECT_EQ(ahead.begin(), fetched) << "a hole in what is read ahead";
    }
    EXPECT_TRUE(room);
    most = std::max(most, ahead.size());
    fetched = ahead.end();
  }
  EXPECT_EQ(most, 16 * kMiB);
  EXPECT_GE(fetched, 190 * kMiB);
}

TEST(ReadStream, TheWindowIsNoLargerThanWhatMemoryHolds) {
  auto stream = stream_of(128 * kMiB);
  for (std::uint64_t at = 0; at < 64 * kMiB; at += kPiece) {
    auto ahead = stream->advance(at, kPiece, kPlenty, {8 * kMiB, kPlenty});
    if (!ahead.empty()) {
      EXPECT_LE(ahead.end(), at + kPiece + 8 * kMiB);
    }
  }
}

TEST(ReadStream, ARandomReaderIsNotReadAheadFor) {
  auto stream = stream_of(32 * kMiB);
  for (std::uint64_t at : {700u, 20u, 400u, 5u, 950u})
    EXPECT_TRUE(stream->advance(at * kMiB, kPiece, kPlenty, {kPlenty, kPlenty}).empty());
}

}  // namespace
}  // namespace kiseki::vfs
