#include "net/redis/address.hpp"

#include <gtest/gtest.h>

#include <map>

namespace kiseki::net::redis {
namespace {

std::optional<std::string> nothing(const char*) { return std::nullopt; }

Address parsed(const std::string& url) {
  auto address = Address::parse(url, nothing);
  EXPECT_TRUE(address) << url << ": " << (address ? "" : address.error().message);
  return address ? *address : Address();
}

TEST(RedisAddress, Standalone) {
  auto plain = parsed("redis://localhost");
  EXPECT_EQ(plain.kind, Address::Kind::standalone);
  EXPECT_EQ(plain.hosts, std::vector<Endpoint>({{.host = "localhost", .port = 6379}}));
  EXPECT_EQ(plain.db, 0u);
  EXPECT_FALSE(plain.tls.on);
  auto full = parsed("rediss://us%40er:p%2Fw@[::1]:7000/3?db=5");
  EXPECT_EQ(full.user, "us@er");
  EXPECT_EQ(full.password, "p/w");
  EXPECT_EQ(full.hosts[0], (Endpoint{.host = "::1", .port = 7000}));
  EXPECT_EQ(full.db, 5u);
  EXPECT_TRUE(full.tls.on);
  EXPECT_EQ(parsed("127.0.0.1:6400/1").hosts[0].port, 6400);
  EXPECT_EQ(parsed("redis://:secret@/2").hosts[0].host, "localhost");
  EXPECT_EQ(parsed("redis://:secret@/2").shown().find("secret"), std::string::npos);
}

TEST(RedisAddress, UnixSocket) {
  auto address = parsed("unix://u:p@/run/redis.sock?db=4");
  EXPECT_EQ(address.hosts[0].path, "/run/redis.sock");
  EXPECT_EQ(address.user, "u");
  EXPECT_EQ(address.db, 4u);
}

TEST(RedisAddress, Sentinels) {
  auto address = parsed("redis://:pw@mymaster,s1,s2:5000/1");
  EXPECT_EQ(address.kind, Address::Kind::sentinel);
  EXPECT_EQ(address.master_name, "mymaster");
  EXPECT_EQ(address.hosts, std::vector<Endpoint>({{.host = "s1", .port = 5000}, {.host = "s2", .port = 5000}}));
  auto mixed = parsed("redis://mymaster,s1:1,s2");
  EXPECT_EQ(mixed.hosts[0].port, 1);
  EXPECT_EQ(mixed.hosts[1].port, 26379);
}

TEST(RedisAddress, Cluster) {
  auto ports = parsed("redis://h1:1,h2:2/7");
  EXPECT_EQ(ports.kind, Address::Kind::cluster);
  EXPECT_EQ(ports.db, 7u);
  EXPECT_EQ(ports.hosts.size(), 2u);
  EXPECT_EQ(parsed("redis://h1,h2,h3").kind, Address::Kind::cluster);
}

TEST(RedisAddress, Options) {
  auto address = parsed(
      "rediss://h?min-retry-backoff=5ms&max-retry-backoff=2s&read-timeout=1m30s&write_timeout=7s&dial_timeout=3&"
      "insecure-skip-verify=1&tls-server-name=x&tls-ca-cert-file=/ca&tls-cert-file=/c&tls-key-file=/k&"
      "client-cache=false&client-cache-size=5&client_name=me&pool_size=10&route-read=replica");
  using std::chrono::milliseconds;
  EXPECT_EQ(address.min_backoff, milliseconds(5));
  EXPECT_EQ(address.max_backoff, milliseconds(2000));
  EXPECT_EQ(address.read_timeout, milliseconds(90'000));
  EXPECT_EQ(address.write_timeout, milliseconds(7000));
  EXPECT_EQ(address.connect_timeout, milliseconds(3000));
  EXPECT_FALSE(address.tls.verify);
  EXPECT_EQ(address.tls.server_name, "x");
  EXPECT_EQ(address.tls.ca_file, "/ca");
  EXPECT_EQ(address.client_cache, false);
  EXPECT_EQ(address.client_name, "me");
  EXPECT_EQ(address.route_read, "replica");
  EXPECT_EQ(parsed("redis://h?client-cache=true").client_cache, true);
  EXPECT_EQ(parsed("redis://h").client_cache, std::nullopt);
}

TEST(RedisAddress, RefusesWhatItDoesNotKnowWithASentence) {
  for (auto url : {"http://h", "redis://h/x", "redis://h/1/2", "redis://h:0", "redis://h:99999", "redis://h:1x",
                   "redis://[::1", "redis://h?no_such=1", "redis://h?read-timeout=soon", "redis://h?db=-1", "unix://",
                   "rediss://h?tls-cert-file=/c", "redis://h?route-read=mars"}) {
    auto address = Address::parse(url, nothing);
    EXPECT_FALSE(address) << url;
    if (!address) EXPECT_GT(address.error().message.size(), 10u) << url;
  }
  auto unknown = Address::parse("redis://h?no_such=1", nothing);
  EXPECT_NE(unknown.error().message.find("no_such"), std::string::npos);
}

TEST(RedisAddress, PasswordsFromTheEnvironment) {
  std::map<std::string, std::string> set = {{"META_PASSWORD", "meta"}, {"SENTINEL_PASSWORD", "guard"}};
  auto env = [&set](const char* name) -> std::optional<std::string> {
    auto found = set.find(name);
    return found == set.end() ? std::nullopt : std::optional(found->second);
  };
  EXPECT_EQ(Address::parse("redis://h", env)->password, "meta");
  EXPECT_EQ(Address::parse("redis://h", env)->sentinel_password, "guard");
  EXPECT_EQ(Address::parse("redis://:own@h", env)->password, "own");
  set["REDIS_PASSWORD"] = "redis";
  EXPECT_EQ(Address::parse("redis://h", env)->password, "redis");
  set = {{"META_PASSWORD_FILE", "/no/such/file"}};
  EXPECT_FALSE(Address::parse("redis://h", env));
}

}  // namespace
}  // namespace kiseki::net::redis
