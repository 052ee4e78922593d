#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <mutex>
#include <string>
#include <vector>

namespace kiseki::meta::redis {

/// Numbers for commits, by which one that is sent again is known. Each commit under way has a slot: a field of the
/// hash `Kiseki:<client>`, where the script notes the sequence number and the result. So a lost reply is answered from
/// there by sending the same commit again; and a copy of the request that the server meets late, when the slot serves
/// another commit, is refused. The hash has as many fields as commits ever ran at once. It dies an hour after its
/// client's last commit, and with the client's orderly end.
class Receipts {
 public:
  static constexpr std::chrono::seconds kLifetime{3600};

  Receipts();

  /// What identifies this client: 16 hex digits.
  const std::string& client() const { return client_; }

  struct Number {
    std::size_t slot = 0;
    std::uint64_t sequence = 0;
    std::string slot_text() const { return std::to_string(slot); }
    std::string sequence_text() const;  ///< 16 digits, as the script expects
  };
  Number take();
  void give_back(std::size_t slot);
  /// True about six times in a lifetime: then the commit prolongs it.
  bool prolong();

 private:
  const std::string client_;
  std::mutex mutex_;  ///< guards the rest
  std::vector<std::size_t> free_;
  std::size_t slots_ = 0;
  std::uint64_t sequence_ = 0;
  std::chrono::steady_clock::time_point prolonged_{};
};

}  // namespace kiseki::meta::redis
