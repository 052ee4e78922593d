#include "cli/logging.hpp"

#include <fmt/format.h>

#include <stdexcept>

#include "cli/settings.hpp"

namespace kiseki::cli {
namespace {

log::Level level_of(const Settings& settings) {
  auto exact = settings.text("log-level");
  if (exact == "trace" || exact == "debug") return log::Level::debug;
  if (exact == "info") return log::Level::info;
  if (exact == "warn" || exact == "warning") return log::Level::warn;
  if (!exact.empty()) return log::Level::error;
  if (settings.on("trace") || settings.on("verbose")) return log::Level::debug;
  return settings.on("quiet") ? log::Level::warn : log::Level::info;
}

}  // namespace

log::Options log_options(const Settings& settings, const std::string& file) {
  return {.level = level_of(settings), .json = settings.text("log-format") == "json", .file = file};
}

Try<void> start_logging(const Settings& settings, const std::string& file) {
  try {
    log::configure(log_options(settings, file));
  } catch (const std::runtime_error& error) {
    return Failure{Exit::failed,
                   fmt::format("cannot log to {}: {}", file.empty() ? "standard error" : file, error.what())};
  }
  return boost::system::in_place_value;
}

}  // namespace kiseki::cli
