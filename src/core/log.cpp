#include "core/log.hpp"

#include <atomic>
#include <chrono>
#include <ctime>
#include <memory>
#include <mutex>

#include "core/log_output.hpp"
#include "core/utf8.hpp"

namespace kiseki::log {
namespace {

struct Sink {
  OutputPtr output;
  bool json = false;
};

std::shared_ptr<const Sink> make_sink(const Options& options) {
  return std::make_shared<const Sink>(Sink{std::make_shared<const Output>(options.file), options.json});
}

std::atomic<Level> g_level{Level::info};
std::mutex g_mutex;  // guards g_sink
std::shared_ptr<const Sink> g_sink;

std::shared_ptr<const Sink> current() {
  std::lock_guard lock(g_mutex);
  if (!g_sink) g_sink = make_sink({});
  return g_sink;
}

using Line = fmt::memory_buffer;

void add(Line& line, std::string_view text) { line.append(text.data(), text.data() + text.size()); }

std::string_view level_name(Level level) {
  switch (level) {
    case Level::debug:
      return "DEBUG";
    case Level::info:
      return "INFO";
    case Level::warn:
      return "WARN";
    case Level::error:
      return "ERROR";
  }
  return "?";
}

/// "2026-11-21 10:00:00.123" in local time, or with `json` "2026-11-21T10:00:00.123Z".
void add_time(Line& line, bool json) {
  auto now = std::chrono::system_clock::now();
  auto seconds = std::chrono::system_clock::to_time_t(now);
  auto millis = std::chrono::duration_cast<std::chrono::milliseconds>(now.time_since_epoch()).count() % 1000;
  std::tm tm{};
  json ? ::gmtime_r(&seconds, &tm) : ::localtime_r(&seconds, &tm);
  fmt::format_to(std::back_inserter(line), "{:04}-{:02}-{:02}{}{:02}:{:02}:{:02}.{:03}{}", tm.tm_year + 1900,
                 tm.tm_mon + 1, tm.tm_mday, json ? 'T' : ' ', tm.tm_hour, tm.tm_min, tm.tm_sec, millis,
                 json ? "Z" : "");
}

/// The inside of a quoted string. File names are any bytes: what is not UTF-8 shows as U+FFFD in JSON, as \xNN in text.
void add_escaped(Line& line, std::string_view text, bool json) {
  while (!text.empty()) {
    auto c = static_cast<unsigned char>(text.front());
    auto length = utf8_length(text);
    if (c == '"' || c == '\\') {
      line.push_back('\\');
      line.push_back(static_cast<char>(c));
    } else if (c == '\n') {
      add(line, "\\n");
    } else if (c == '\t') {
      add(line, "\\t");
    } else if (c == '\r') {
      add(line, "\\r");
    } else if (c < 0x20 || c == 0x7F) {
      fmt::format_to(std::back_inserter(line), fmt::runtime(json ? "\\u{:04x}" : "\\x{:02x}"), c);
    } else if (length == 0) {
      json ? add(line, "\\ufffd") : (void)fmt::format_to(std::back_inserter(line), "\\x{:02x}", c);
    } else {
      add(line, text.substr(0, length));
    }
    text.remove_prefix(length ? length : 1);
  }
}

void add_quoted(Line& line, std::string_view text, bool json) {
  line.push_back('"');
  add_escaped(line, text, json);
  line.push_back('"');
}

/// Whether a value reads unambiguously without quotes.
bool is_plain(std::string_view text) {
  if (text.empty()) return false;
  for (char raw : text) {
    auto c = static_cast<unsigned char>(raw);
    if (c <= 0x20 || c >= 0x7F || c == '"' || c == '\\' || c == '=') return false;
  }
  return true;
}

void format_text(Line& line, Level level, std::string_view event, Fields fields) {
  add_time(line, false);
  fmt::format_to(std::back_inserter(line), " {:<5} ", level_name(level));
  add(line, event);
  for (const auto& field : fields) {
    line.push_back(' ');
    add(line, field.key);
    line.push_back('=');
    is_plain(field.value) ? add(line, field.value) : add_quoted(line, field.value, false);
  }
}

void format_json(Line& line, Level level, std::string_view event, Fields fields) {
  add(line, "{\"time\":\"");
  add_time(line, true);
  fmt::format_to(std::back_inserter(line), "\",\"level\":\"{}\",\"event\":", level_name(level));
  add_quoted(line, event, true);
  for (const auto& field : fields) {
    line.push_back(',');
    add_quoted(line, field.key, true);
    line.push_back(':');
    add_quoted(line, field.value, true);
  }
  line.push_back('}');
}

}  // namespace

void configure(const Options& options) {
  auto sink = make_sink(options);
  std::lock_guard lock(g_mutex);
  g_sink = std::move(sink);
  g_level = options.level;
}

bool enabled(Level level) noexcept { return level >= g_level.load(std::memory_order_relaxed); }

void write(Level level, std::string_view event, Fields fields) {
  if (!enabled(level)) return;
  auto sink = current();
  Line line;
  sink->json ? format_json(line, level, event, fields) : format_text(line, level, event, fields);
  line.push_back('\n');
  std::string_view text(line.data(), line.size());
  if (!queue_line(sink->output, text)) sink->output->write(text);
}

}  // namespace kiseki::log
