#pragma once

#include <cstdint>
#include <map>
#include <utility>
#include <vector>

namespace kiseki::meta {

/// Who of this mount waits for whose record lock, so that a wait that could never end is refused (EDEADLK) instead. An
/// owner is a process to the kernel: the same number on every file. Other clients' waits are not known. Not
/// thread-safe.
class LockWaits {
 public:
  /// One blocked request: whose, and which of the owner's.
  struct Request {
    std::uint64_t owner, number;
    friend auto operator<=>(const Request&, const Request&) = default;
  };
  /// From now on `request` waits until every one of `holders` has let go, and for nobody else. False if one of them
  /// waits for its owner, be it through others: then nothing is noted of the request.
  bool wait(Request request, std::vector<std::uint64_t> holders);
  /// The request waits for nobody.
  void end(Request request);

 private:
  bool leads_to(std::uint64_t from, std::uint64_t to) const;

  std::map<Request, std::vector<std::uint64_t>> waits_;  // as many as blocked requests
};

}  // namespace kiseki::meta
