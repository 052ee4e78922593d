#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "object/s3/s3_store.hpp"

namespace kiseki::object::s3 {

/// One request before it is signed; may be signed and sent more than once.
struct S3Store::Call {
  explicit Call(std::string verb, std::string below = "") : method(std::move(verb)), path(std::move(below)) {}
  std::string method;
  std::string path;                                         ///< encoded, below the bucket
  std::string query;                                        ///< encoded, sorted by name
  std::vector<std::pair<std::string, std::string>> fields;  ///< names in lower case; x-amz-* are signed
  std::vector<std::span<const std::byte>> body;
  std::span<std::byte> into;
  decltype(net::HttpRequest::arrived) arrived;  ///< told of each part of `into`
  std::size_t text_limit = 1 << 20;
  std::chrono::nanoseconds limit{};
};

/// How a region is spoken to.
struct S3Store::Reach {
  Reach(net::HttpEndpoint endpoint, net::HttpClient::Options options, std::string region, BlockingPool& pool)
      : client(std::move(endpoint), std::move(options), pool), signer(std::move(region), "s3") {
    authority = client.server().authority();
  }
  net::HttpClient client;
  Signer signer;
  std::string authority;
  std::string base_path;
};

/// What one sending of a request went by. Others may find out meanwhile that it no longer holds.
struct S3Store::Attempt {
  std::shared_ptr<Reach> reach;
  CredentialsPtr who;
  std::int64_t skew_seconds;
};

}  // namespace kiseki::object::s3
