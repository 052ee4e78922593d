#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string_view>

struct ssl_st;      // OpenSSL's SSL
struct ssl_ctx_st;  // OpenSSL's SSL_CTX

namespace nulls3 {

/// Bytes per second that all connections together may move; 0: as many as they can.
class Pace {
 public:
  explicit Pace(std::uint64_t bytes_per_second) : rate_(bytes_per_second) {}
  bool limited() const { return rate_ > 0; }
  void spend(std::size_t bytes);  ///< sleeps until these bytes may pass

 private:
  std::uint64_t rate_;
  std::mutex mutex_;  // guards free_at_
  std::chrono::steady_clock::time_point free_at_{};
};

/// One accepted connection on a blocking socket, plain or TLS. Calls answer false when it has ended.
class Wire {
 public:
  /// With `tls`: shakes hands at the first use.
  Wire(int fd, ssl_ctx_st* tls, Pace& pace);
  ~Wire();
  Wire(const Wire&) = delete;

  std::size_t receive(std::span<std::byte> into);  ///< at least one byte; 0: ended
  bool receive_all(std::span<std::byte> into);
  bool discard(std::size_t bytes);  ///< without copying them out of the kernel, where that is possible
  /// A plain copying send. (Measured: sendfile of a file in memory hands out single pages, on which the receiver spends
  /// twice the processor time, and saves the sender nothing.)
  bool send_all(std::string_view head, std::span<const std::byte> body);

 private:
  struct FreeTls {
    void operator()(ssl_st* tls) const;
  };
  bool write(std::span<const std::byte> bytes, int flags);
  int fd_;
  std::unique_ptr<ssl_st, FreeTls> tls_;
  Pace& pace_;
};

/// A TLS context for the certificate chain and key in these PEM files. Ends the process when they are no good.
ssl_ctx_st* tls_context(const char* certificate, const char* key);

}  // namespace nulls3
