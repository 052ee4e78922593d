#include "cli/progress.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string_view>

namespace kiseki::cli {
namespace {

constexpr std::size_t kBarWidth = 40;

bool wanted() {
  const char* told = std::getenv("DISPLAY_PROGRESSBAR");
  return ::isatty(STDOUT_FILENO) && !(told && std::string_view(told) == "false");
}

}  // namespace

Progress::Progress(std::string title, std::uint64_t total)
    : title_(std::move(title)), total_(std::max<std::uint64_t>(total, 1)), shown_(wanted()) {}

void Progress::draw() const {
  auto done = std::min(done_.load(), total_);
  auto filled = static_cast<std::size_t>(done * kBarWidth / total_);
  fmt::print("\r{:>20} [{}{}] {:>3}% {}/{} ", title_, std::string(filled, '='), std::string(kBarWidth - filled, ' '),
             done * 100 / total_, done, total_);
  std::fflush(stdout);
}

asio::awaitable<void> Progress::keep_drawing() const {
  while (shown_) {
    draw();
    co_await sleep_for(std::chrono::milliseconds(100));
  }
}

void Progress::finish() const {
  if (!shown_) return;
  draw();
  fmt::print("\n");
}

}  // namespace kiseki::cli
