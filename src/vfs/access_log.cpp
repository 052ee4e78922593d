#include "vfs/access_log.hpp"

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <cctype>
#include <ctime>

namespace kiseki::vfs {
namespace {

constexpr auto kGathering = std::chrono::seconds(1);

/// "2026.01.31 08:00:00.123456", local time.
std::string time_of_now() {
  auto now = std::chrono::system_clock::now().time_since_epoch();
  auto micros = std::chrono::duration_cast<std::chrono::microseconds>(now).count();
  std::time_t seconds = micros / 1'000'000;
  std::tm tm{};
  ::localtime_r(&seconds, &tm);
  return fmt::format("{:04}.{:02}.{:02} {:02}:{:02}:{:02}.{:06}", tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday,
                     tm.tm_hour, tm.tm_min, tm.tm_sec, micros % 1'000'000);
}

std::string status(std::error_code outcome) {
  if (!outcome) return "OK";
  auto text = posix(to_errno(outcome)).message();
  if (!text.empty()) text[0] = static_cast<char>(std::tolower(static_cast<unsigned char>(text[0])));
  return text;
}

}  // namespace

// ---- readers ----------------------------------------------------------------------------------------------------

AccessLogReader::AccessLogReader(AccessLog& log) : log_(log) { log_.come(*this); }

AccessLogReader::~AccessLogReader() { log_.go(*this); }

void AccessLogReader::add(const std::string& line) {
  std::lock_guard lock(mutex_);
  if (lines_.size() >= kMostLines) return;
  lines_.push_back(line);
  bytes_ += line.size();
  if (bytes_ >= wanted_) enough_.notify_all();
}

bool AccessLogReader::full(std::size_t most) const {
  std::lock_guard lock(mutex_);
  return bytes_ >= most;
}

std::string AccessLogReader::take(std::size_t most) {
  std::lock_guard lock(mutex_);
  std::string out;
  while (!lines_.empty() && out.size() < most) {
    auto& line = lines_.front();
    auto part = std::min(line.size(), most - out.size());
    out.append(line, 0, part);
    line.erase(0, part);
    if (line.empty()) lines_.pop_front();
  }
  bytes_ -= out.size();
  return out;
}

Async<std::string> AccessLogReader::read(std::shared_ptr<AccessLogReader> reader, std::size_t most) {
  auto ticket = reader->enough_.ticket();
  {
    std::lock_guard lock(reader->mutex_);
    reader->wanted_ = most;
  }
  if (!reader->full(most)) {
    Async<void> enough = [](Signal& signal, std::uint64_t seen) -> Async<void> {
      co_await signal.wait(seen);
      co_return Result<void>{};
    }(reader->enough_, ticket);
    (void)co_await with_timeout<void>(kGathering, std::move(enough));
  }
  auto out = reader->take(most);
  co_return out.empty() ? std::string("#\n").substr(0, most) : out;
}

// ---- lines ------------------------------------------------------------------------------------------------------

void AccessLog::come(AccessLogReader& reader) {
  std::lock_guard lock(mutex_);
  readers_.push_back(&reader);
  ++count_;
}

void AccessLog::go(AccessLogReader& reader) {
  std::lock_guard lock(mutex_);
  std::erase(readers_, &reader);
  --count_;
}

void AccessLog::write(Caller who, std::string_view operation, std::chrono::nanoseconds took, std::error_code outcome) {
  auto line = fmt::format("{} [uid:{},gid:{},pid:{}] {} - {} <{:.6f}>\n", time_of_now(), who.uid, who.gid, who.pid,
                          operation, status(outcome), std::chrono::duration<double>(took).count());
  std::lock_guard lock(mutex_);
  for (auto* reader : readers_) reader->add(line);
}

}  // namespace kiseki::vfs
