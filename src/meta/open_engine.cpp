#include "meta/open_engine.hpp"

#include <spdlog/fmt/fmt.h>

#include "meta/memory/engine.hpp"
#include "meta/redis/engine.hpp"
#include "meta/sqlite/engine.hpp"

namespace kiseki::meta {

Explained<std::shared_ptr<MetaEngine>> open_engine(const std::string& url, OpenMode mode, Runtime& runtime) {
  if (url.starts_with("memory://")) return std::shared_ptr<MetaEngine>(std::make_shared<MemoryEngine>());
  if (url.starts_with("sqlite3://")) {
    auto location = sqlite::Location::parse(url);
    if (!location) return location.error();
    return sqlite::Engine::open(*location, mode, runtime.pool("sqlite-read", 2));
  }
  for (auto scheme : {"redis://", "rediss://", "unix://"})
    if (url.starts_with(scheme)) return redis::Engine::open(url, mode, runtime);
  return Failure{std::make_error_code(std::errc::not_supported),
                 fmt::format("no metadata engine for {}: sqlite3://PATH and redis://HOST[:PORT]/DB are supported",
                             redacted_url(url))};
}

std::string redacted_url(const std::string& url) {
  auto scheme = url.find("://");
  if (scheme == std::string::npos) return url;
  auto from = scheme + 3, at = url.rfind('@');
  if (at == std::string::npos || at < from) return url;
  auto colon = url.find(':', from);
  if (colon == std::string::npos || colon > at) return url;
  return url.substr(0, colon + 1) + "****" + url.substr(at);
}

}  // namespace kiseki::meta
