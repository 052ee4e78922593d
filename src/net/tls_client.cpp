#include "net/tls_client.hpp"

#include <boost/asio/ssl/context.hpp>

namespace kiseki::net {

namespace {

using asio::ssl::context;
using boost::system::error_code;

/// Taken from the kernel at once and decrypted in place: four records and a little.
constexpr std::size_t kReadAhead = 68 << 10;

/// Of TLS 1.3, the cheapest first (as browsers have it): a key of 128 bits costs a quarter less than one of 256.
constexpr const char* kCiphers = "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256";

std::string load(context& tls, const TlsOptions& options) {
  auto failed = [](const std::string& what, const std::string& file, const error_code& ec) {
    return "the " + what + " " + file + " cannot be used: " + ec.message();
  };
  error_code ec;
  if (options.ca_file.empty()) {
    tls.set_default_verify_paths(ec);
    if (ec) return "the system's certificate authorities cannot be read: " + ec.message();
  } else if (tls.load_verify_file(options.ca_file, ec); ec) {
    return failed("certificate authority", options.ca_file, ec);
  }
  if (options.certificate.empty() != options.key.empty())
    return "a client certificate needs its key and a key its certificate";
  if (options.certificate.empty()) return "";
  if (tls.use_certificate_chain_file(options.certificate, ec); ec)
    return failed("client certificate", options.certificate, ec);
  if (tls.use_private_key_file(options.key, context::pem, ec); ec) return failed("client key", options.key, ec);
  return "";
}

}  // namespace

TlsContext make_tls_context(const TlsOptions& options) {
  auto tls = std::make_shared<context>(context::tls_client);
  SSL_CTX_set_min_proto_version(tls->native_handle(), TLS1_2_VERSION);
  SSL_CTX_set_ciphersuites(tls->native_handle(), kCiphers);
  SSL_CTX_set_mode(tls->native_handle(), SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_CTX_set_read_ahead(tls->native_handle(), 1);
  SSL_CTX_set_default_read_buffer_len(tls->native_handle(), kReadAhead);
  tls->set_verify_mode(options.skip_verification ? asio::ssl::verify_none : asio::ssl::verify_peer);
  if (auto error = load(*tls, options); !error.empty()) return {nullptr, std::move(error)};
  return {std::move(tls), ""};
}

}  // namespace kiseki::net
