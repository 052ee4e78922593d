#include <cstdio>

#include "cli/settings.hpp"
#include "core/runtime.hpp"

namespace kiseki::cli {

Try<int> run_version(const Settings&) {
  std::puts(version_line().c_str());
  return 0;
}

Try<int> run_probe(const Settings&) {
  if (io_backend_usable()) return 0;
  return Failure{Exit::failed, "io_uring is forbidden on this host"};
}

}  // namespace kiseki::cli
