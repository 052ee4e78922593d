#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/runtime.hpp"

namespace kiseki::net {

/// A socket address, as the kernel has it.
struct SocketAddress {
  alignas(8) unsigned char bytes[128] = {};
  std::uint32_t size = 0;
};

/// Host names to addresses. Answers are kept for a minute, given in random order with IPv6 and IPv4 taking turns;
/// numeric addresses are never asked about. One question per name at a time, however many ask. Any thread.
class NameLookup {
 public:
  explicit NameLookup(BlockingPool& pool);
  ~NameLookup();
  /// Errors: NetErrc::unknown_host; ECANCELED when the caller was cancelled (the question goes on for others).
  Async<std::vector<SocketAddress>> find(std::string host, std::uint16_t port);
  void forget(const std::string& host);  ///< none of its addresses could be connected to: ask again

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace kiseki::net
