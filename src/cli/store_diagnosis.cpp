#include "cli/store_diagnosis.hpp"

#include "object/store.hpp"

namespace kiseki::cli {

std::string store_remedy(std::error_code why) {
  using object::ObjectErrc;
  if (why == std::make_error_code(std::errc::timed_out))
    return "nobody answered in time: check the address in --bucket, the network and the proxy (HTTPS_PROXY, NO_PROXY)";
  if (why.category() != object::object_category()) return "";
  switch (static_cast<ObjectErrc>(why.value())) {
    case ObjectErrc::unknown_key:
      return "check --access-key (also ACCESS_KEY, AWS_ACCESS_KEY_ID), and that it belongs to this server";
    case ObjectErrc::wrong_signature:
      return "check --secret-key (also SECRET_KEY, AWS_SECRET_ACCESS_KEY)";
    case ObjectErrc::expired_token:
      return "get new temporary keys, and give --access-key, --secret-key and --session-token together";
    case ObjectErrc::no_credentials:
      return "give --access-key and --secret-key, or \"--access-key anonymous\" for a public bucket; the environment, "
             "~/.aws/credentials and the machine's metadata service were asked in vain";
    case ObjectErrc::access_denied:
      return "allow this key to get, put and delete objects and to list the bucket, or use another key";
    case ObjectErrc::wrong_region:
      return "put the bucket's region, which the line above may tell, into --bucket "
             "(https://BUCKET.s3.REGION.amazonaws.com) or into AWS_REGION";
    case ObjectErrc::clock_skew:
      return "set the clock of this machine (timedatectl set-ntp true)";
    case ObjectErrc::no_bucket:
      return "make the bucket, or check its name in --bucket";
    case ObjectErrc::untrusted:
      return "add the authority that signed it: --bucket '...?ca-certs=/path/ca.pem'; or, if you must, take any "
             "certificate: '...?tls-insecure-skip-verify=true'; or, for a server without TLS, use http://";
    case ObjectErrc::unreachable:
      return "check the host and port in --bucket, and the proxy (HTTPS_PROXY, NO_PROXY)";
    case ObjectErrc::no_space:
      return "make room there, or raise its quota";
    default:
      return "";
  }
}

}  // namespace kiseki::cli
