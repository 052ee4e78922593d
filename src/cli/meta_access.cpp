#include "cli/meta_access.hpp"

#include <fmt/format.h>

#include "cli/io_backend.hpp"
#include "cli/locations.hpp"
#include "core/shell_word.hpp"

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

meta::Explained<void> MetaAccess::open_engine(const std::string& url, meta::OpenMode mode) {
  auto engine = meta::open_engine(url, mode, runtime_);
  if (!engine) return engine.error();
  engine_ = std::move(*engine);
  url_ = url;
  return {};
}

Try<std::unique_ptr<MetaAccess>> MetaAccess::open(const std::string& url, meta::OpenMode mode, unsigned loops) {
  TRY_CHECK(ensure_io_backend());
  std::unique_ptr<MetaAccess> out(new MetaAccess(loops));
  if (auto opened = out->open_engine(url, mode); !opened) return as_failure(opened.error());
  return out;
}

Try<std::unique_ptr<MetaAccess>> MetaAccess::find(const std::string& url) {
  TRY_CHECK(ensure_io_backend());
  std::unique_ptr<MetaAccess> out(new MetaAccess(1));
  auto opened = out->open_engine(url, meta::OpenMode::existing);
  if (!opened && opened.error().code == posix(ENOENT)) return std::unique_ptr<MetaAccess>();
  if (!opened) return as_failure(opened.error());
  return out;
}

Failure no_format(const meta::Failure& why, const std::string& url) {
  if (why.code != posix(ENOENT)) return as_failure(why);
  auto shown = shown_meta_url(url);
  return Failure{Exit::failed,
                 fmt::format("no volume at {}; create one with `kiseki format {} NAME`", shown, shell_word(shown))};
}

Try<meta::Format> MetaAccess::read_format(meta::Versions versions) {
  auto format = runtime_.wait(meta::read_format(*engine_, versions));
  if (!format) return no_format(format.error(), url_);
  return std::move(*format);
}

meta::Client& MetaAccess::client(const meta::Format& format) {
  if (!client_)
    client_ = std::make_unique<meta::Client>(engine_, format, clock_,
                                             meta::ClientOptions{.read_only = true, .cache_records = 1000});
  return *client_;
}

}  // namespace kiseki::cli
