#include "cli/meta_access.hpp"

#include "cli/io_backend.hpp"
#include "cli/locations.hpp"
#include "meta/volume_format.hpp"

namespace kiseki::cli {

bool is_missing_database(const std::string& url) {
  constexpr std::string_view kScheme = "sqlite3://";
  if (!url.starts_with(kScheme)) return false;
  return !file_exists(url.substr(kScheme.size(), url.find('?') - kScheme.size()));
}

MetaAccess::MetaAccess(unsigned loops) : runtime_({.loops = loops, .pin = loops > 1}) { runtime_.start(); }

MetaAccess::~MetaAccess() {
  client_.reset();
  if (engine_) runtime_.wait(engine_->close());
  engine_.reset();
}

Try<std::unique_ptr<MetaAccess>> MetaAccess::open(const std::string& url, meta::OpenMode mode, unsigned loops) {
  TRY_CHECK(ensure_io_backend());
  std::unique_ptr<MetaAccess> out(new MetaAccess(loops));
  auto engine = meta::open_engine(url, mode, out->runtime_);
  if (!engine) return as_failure(engine.error());
  out->engine_ = std::move(*engine);
  return out;
}

Try<meta::Format> MetaAccess::read_format() {
  auto format = runtime_.wait(meta::read_format(*engine_));
  if (!format) return as_failure(format.error());
  return std::move(*format);
}

meta::Client& MetaAccess::client(const meta::Format& format) {
  if (!client_)
    client_ = std::make_unique<meta::Client>(engine_, format, clock_,
                                             meta::ClientOptions{.read_only = true, .cache_records = 1000});
  return *client_;
}

}  // namespace kiseki::cli
