#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <memory>
#include <span>
#include <string>

#include "core/result.hpp"
#include "net/name_lookup.hpp"

namespace boost::asio::ssl {
class context;
}
struct iovec;

namespace kiseki::net {

/// A socket to a server, TCP or Unix, in the clear or under TLS. Lives on one loop; one read and one write at a time.
///
/// What the kernel can do at once is done at once, in one system call; only when it cannot is it waited for. A request
/// so leaves without a turn of the loop, and a body that has arrived is taken without one.
class ByteStream {
 public:
  explicit ByteStream(asio::any_io_executor executor);
  ~ByteStream();  ///< closes
  ByteStream(const ByteStream&) = delete;

  /// Errors here and below: an errno; ECANCELED when the wait was cut short by `close` or by cancellation.
  Async<void> connect(SocketAddress to);
  /// TLS from now on. Errors: also NetErrc::untrusted and tls_failed; `why` then says it in words.
  Async<void> secure(std::shared_ptr<asio::ssl::context> tls, const std::string& host, std::string& why);
  bool is_secure() const;

  /// At least one byte; 0 when the peer has said that no more come. `coming` bytes are known to follow: a wait may last
  /// until many of them are there.
  Async<std::size_t> read_some(std::span<char> into, std::size_t coming = 1);
  /// At least one byte, from the first of the pieces on.
  Async<std::size_t> write_some(std::span<const iovec> pieces);
  Async<std::size_t> write_some(std::span<const char> from);
  /// Ends it: what waits comes back with an error. Idempotent.
  void close() noexcept;

  /// From now on no acknowledgement is put off while more is waited for: a peer that sends in small pieces waits 40 ms
  /// for one before the next.
  void acknowledge_at_once();
  Async<void> readable();  ///< waits for the first byte, takes none
  int descriptor() const;
  int unread_bytes() const;  ///< that are here: they grow while a wait for many lasts

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace kiseki::net
