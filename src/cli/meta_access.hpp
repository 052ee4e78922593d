#pragma once

#include <memory>
#include <string>

#include "cli/failure.hpp"
#include "core/clock.hpp"
#include "core/runtime.hpp"
#include "meta/client.hpp"
#include "meta/engine.hpp"
#include "meta/failure.hpp"
#include "meta/format.hpp"
#include "meta/open_engine.hpp"
#include "meta/volume_format.hpp"

/// The metadata of a volume for one run of a verb: loops, engine, client without a session.
namespace kiseki::cli {

inline Failure as_failure(meta::Failure why) { return Failure{Exit::failed, std::move(why.message)}; }

/// The sentence for settings that cannot be read: a database without a volume gets the command that makes one.
Failure no_format(const meta::Failure& why, const std::string& url);

/// Whether the database of this URL is a file that is not there. (Opening would make it.)
bool is_missing_database(const std::string& url);

class MetaAccess {
 public:
  /// Opens the engine. Fails when the URL is bad, or the database cannot be opened or is missing though it may not be
  /// made. `loops`: threads that serve it.
  static Try<std::unique_ptr<MetaAccess>> open(const std::string& url, meta::OpenMode mode, unsigned loops = 1);
  /// The same for a volume that may be there; nullptr: no database, or one without the tables of a volume.
  static Try<std::unique_ptr<MetaAccess>> find(const std::string& url);
  ~MetaAccess();

  Runtime& runtime() { return runtime_; }
  meta::MetaEngine& engine() { return *engine_; }
  const std::shared_ptr<meta::MetaEngine>& shared_engine() const { return engine_; }
  const SystemClock& clock() const { return *clock_; }
  /// The volume's settings. Fails with the sentence of what is wrong: not formatted, too new, damaged.
  Try<meta::Format> read_format(meta::Versions versions = meta::Versions::checked);
  /// A read-only client over the engine, for operations that look only. Lives as long as this.
  meta::Client& client(const meta::Format& format);

 private:
  explicit MetaAccess(unsigned loops);
  meta::Explained<void> open_engine(const std::string& url, meta::OpenMode mode);
  std::string url_;
  Runtime runtime_;
  std::shared_ptr<SystemClock> clock_ = std::make_shared<SystemClock>();
  std::shared_ptr<meta::MetaEngine> engine_;
  std::unique_ptr<meta::Client> client_;
};

}  // namespace kiseki::cli
