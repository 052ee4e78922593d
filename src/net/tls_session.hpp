#pragma once

// Heavy: for .cpp files of net only.

#include <openssl/ssl.h>

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <system_error>

namespace kiseki::net {

/// TLS as a client over a connected descriptor that is never waited for: each call goes as far as the kernel lets it
/// and says what to wait for. One thread at a time; the descriptor must stay open as long.
class TlsSession {
 public:
  enum class State { done, wants_read, wants_write, ended, failed };
  struct Step {
    State state;
    std::size_t bytes = 0;       ///< moved, when done
    std::error_code error = {};  ///< when failed: an errno, NetErrc::untrusted or tls_failed
  };

  /// `host` is whom we ask for, and whom the certificate must be made for if the context verifies any.
  TlsSession(SSL_CTX& context, int fd, const std::string& host);
  ~TlsSession();
  TlsSession(const TlsSession&) = delete;

  Step handshake();
  Step read(std::span<char> into);  ///< `ended`: the peer said so; a cut connection is ECONNRESET
  /// A part may do; after wants_* the same bytes again. `more`: others follow at once, so that the kernel may put them
  /// into one segment.
  Step write(std::span<const char> from, bool more = false);
  const std::string& reason() const { return reason_; }  ///< of the last failure, in words

 private:
  Step judge(int outcome);
  Step fail(std::error_code error, std::string reason);

  int fd_;
  int io_error_ = 0;           // errno of the descriptor, 0 when it was not the one that failed
  bool cut_off_ = false;       // it ended without TLS having said so
  std::size_t unwritten_ = 0;  // of what is being written, records still to be made
  bool more_ = false;          // and more follow
  std::string reason_;
  std::unique_ptr<SSL, void (*)(SSL*)> ssl_;

  friend struct TlsWire;
};

}  // namespace kiseki::net
