#pragma once

#include <gtest/gtest.h>

#include "core/async.hpp"
#include "net/http_client.hpp"
#include "net/net_error.hpp"
#include "support/fake_http_server.hpp"
#include "support/run.hpp"

namespace kiseki::net {

/// A client of a server that does as the test says.
class HttpClientTest : public ::testing::Test {
 protected:
  HttpClient& client_of(test::FakeHttpServer& server, HttpClient::Options options = {}) {
    client_ = std::make_unique<HttpClient>(HttpEndpoint{false, "127.0.0.1", server.port()}, std::move(options), pool_);
    return *client_;
  }
  static HttpRequest get(std::string target = "/") {
    HttpRequest request;
    request.target = std::move(target);
    return request;
  }
  static HttpRequest put(std::span<const std::byte> body) {
    HttpRequest request;
    request.method = "PUT";
    request.body.push_back(body);
    return request;
  }
  static HttpTimeouts quick() {
    HttpTimeouts timeouts;
    timeouts.connect = timeouts.handshake = timeouts.first_byte = timeouts.stall = timeouts.go_ahead =
        std::chrono::milliseconds(300);
    return timeouts;
  }

  BlockingPool pool_{"name-lookup", 1};
  std::unique_ptr<HttpClient> client_;
};

}  // namespace kiseki::net
