// The client against every kind of server it can be pointed at.
#include <gtest/gtest.h>

#include "connected.hpp"
#include "net/redis/slot.hpp"
#include "support/redis_sets.hpp"
#include "support/run.hpp"

namespace kiseki::net::redis {
namespace {

Failure refusal(const std::string& url) {
  Runtime runtime({.loops = 1, .pin = false});
  runtime.start();
  auto address = Address::parse(url);
  if (!address) return address.error();
  auto opened = Client::open(*address, {}, runtime);
  if (!opened) return opened.error();
  runtime.wait((*opened)->close());
  return Failure{};
}

TEST(RedisServers, UnixSocketWithPasswordAndDatabase) {
  test::RedisServer::Options options;
  options.config = {"requirepass s3cret"};
  options.password = "s3cret";
  test::RedisServer server(options);
  {
    Connected client("unix://:s3cret@" + server.socket_path() + "?db=3");
    ASSERT_TRUE(client.one(Command("SET", "k", "v")));
    EXPECT_NE(client.one(Command("INFO", "keyspace"))->text.find("db3:keys=1"), std::string::npos);
  }
  auto wrong = refusal("unix://:wrong@" + server.socket_path());
  EXPECT_EQ(wrong.code, Errc::denied) << wrong.message;
  EXPECT_NE(wrong.message.find("WRONGPASS"), std::string::npos) << wrong.message;
  EXPECT_EQ(wrong.message.find("wrong@"), std::string::npos) << wrong.message;
  EXPECT_NE(wrong.message.find("META_PASSWORD"), std::string::npos) << wrong.message;
  auto none = refusal("unix://" + server.socket_path());
  EXPECT_EQ(none.code, Errc::denied) << none.message;
}

TEST(RedisServers, UserOfAnAccessList) {
  test::RedisServer::Options options;
  options.config = {"user ann on >pw ~* &* +@all -config"};
  test::RedisServer server(options);
  auto place = "127.0.0.1:" + std::to_string(server.port());
  Connected client("redis://ann:pw@" + place);
  EXPECT_EQ(client.one(Command("ACL", "WHOAMI"))->text, "ann");
  EXPECT_EQ(meaning_of(*client.one(Command("CONFIG", "GET", "save"))), Errc::denied);
  EXPECT_EQ(refusal("redis://ann:no@" + place).code, Errc::denied);
}

TEST(RedisServers, NobodyThereIsASentence) {
  auto nobody = refusal("redis://127.0.0.1:" + std::to_string(test::free_port()));
  EXPECT_NE(nobody.message.find("cannot connect to 127.0.0.1"), std::string::npos) << nobody.message;
}

TEST(RedisServers, Tls) {
  test::TlsServer set(false);
  auto ca = "tls-ca-cert-file=" + (set.files() / "ca.pem");
  {
    Heard heard;
    Connected client(set.url("localhost", ca));
    client->listen(&heard);
    auto big = std::string(3 << 20, 'x');
    ASSERT_TRUE(client.one(Command("SET", "big", big)));
    EXPECT_EQ(client.one(Command("GET", "big"))->text, big);
    ASSERT_TRUE(soon([&] { return client->tracking(); }));
    ASSERT_TRUE(client.one(Command("GET", "k")));
    set.server().command("SET k 1");
    EXPECT_TRUE(soon([&] { return heard.has("k"); }));
  }
  EXPECT_TRUE(Connected(set.url("127.0.0.1", ca)).one(Command("PING")));
  EXPECT_TRUE(Connected(set.url("localhost", "insecure-skip-verify=1")).one(Command("PING")));
  EXPECT_TRUE(Connected(set.url("localhost", ca + "&tls-server-name=redis.test")).one(Command("PING")));
  EXPECT_NE(refusal(set.url("localhost", "")).code, std::error_code());  // signed by nobody the system knows
  EXPECT_NE(refusal(set.url("localhost", "tls-ca-cert-file=" + (set.files() / "other.pem"))).code, std::error_code());
  EXPECT_NE(refusal(set.url("localhost", ca + "&tls-server-name=elsewhere")).code, std::error_code());
  auto missing = refusal(set.url("localhost", "tls-ca-cert-file=/no/such.pem"));
  EXPECT_NE(missing.message.find("/no/such.pem"), std::string::npos) << missing.message;
}

TEST(RedisServers, TlsWithACertificateOfTheClient) {
  test::TlsServer set(true);
  auto ca = "tls-ca-cert-file=" + (set.files() / "ca.pem");
  auto own = "&tls-cert-file=" + (set.files() / "client.pem") + "&tls-key-file=" + (set.files() / "client.key");
  EXPECT_TRUE(Connected(set.url("localhost", ca + own)).one(Command("PING")));
  EXPECT_NE(refusal(set.url("localhost", ca)).code, std::error_code());
}

/// Greets everybody as a server of this version does, and says nothing else.
class ServerOfVersion {
 public:
  explicit ServerOfVersion(const std::string& version) : port_(test::free_port()) {
    auto info = "# Server\r\nredis_version:" + version + "\r\nredis_mode:standalone\r\naof_enabled:1\r\n";
    greeting_ = "+PONG\r\n$" + std::to_string(info.size()) + "\r\n" + info +
                "\r\n-ERR This instance has cluster support disabled\r\n";
    listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (listener_ < 0) throw std::runtime_error("the fake server gets no socket");
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_port = htons(port_);
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (::bind(listener_, reinterpret_cast<sockaddr*>(&at), sizeof at) != 0 || ::listen(listener_, 8) != 0)
      throw std::runtime_error("the fake server cannot listen");
    thread_ = std::thread([this] { greet(); });
  }
  ~ServerOfVersion() {
    ::shutdown(listener_, SHUT_RDWR);
    thread_.join();
    ::close(listener_);
  }
  std::string url() const { return "redis://127.0.0.1:" + std::to_string(port_) + "/0"; }

 private:
  void greet() {
    for (int client; (client = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC)) >= 0; ::close(client)) {
      char asked[4096];  // the whole greeting comes in one piece
      if (::recv(client, asked, sizeof asked, 0) <= 0) continue;
      (void)::send(client, greeting_.data(), greeting_.size(), MSG_NOSIGNAL);
      while (::recv(client, asked, sizeof asked, 0) > 0) continue;
    }
  }
  std::uint16_t port_;
  std::string greeting_;
  int listener_ = -1;
  std::thread thread_;
};

TEST(RedisServers, OneThatIsTooOldIsRefused) {
  for (std::string version : {"2.8.24", "3.2.13"}) {
    ServerOfVersion server(version);
    auto old = refusal(server.url());
    EXPECT_EQ(old.code, posix(ENOTSUP)) << old.message;
    EXPECT_NE(old.message.find("is version " + version + ": at least 4.0 is needed"), std::string::npos) << old.message;
  }
  for (std::string version : {"4.0.14", "10.2.0"}) {
    ServerOfVersion server(version);
    EXPECT_EQ(refusal(server.url()).code, std::error_code());
  }
}

TEST(RedisServers, ChecksSayWhatAnOperatorShouldKnow) {
  test::RedisServer::Options options;
  options.config = {"maxmemory-policy allkeys-lru"};
  test::RedisServer server(options);
  testing::internal::CaptureStderr();
  {
    Connected client(server.url());
  }
  auto log = testing::internal::GetCapturedStderr();
  EXPECT_NE(log.find("redis.no_aof"), std::string::npos) << log;
  EXPECT_NE(log.find("redis.maxmemory_policy"), std::string::npos) << log;
  EXPECT_NE(server.command("CONFIG GET maxmemory-policy", 40).find("noeviction"), std::string::npos);
}

TEST(RedisServers, SentinelsNameTheMasterAndItsSuccessor) {
  test::SentinelSet set;
  Heard heard;
  Connected client(set.url(1));
  client->listen(&heard);
  ASSERT_TRUE(client.one(Command("SET", "k", "1")));
  ASSERT_TRUE(soon([&] { return client->tracking(); }));
  ASSERT_EQ(client.one(Command("WAIT", 1, 2000))->integer, 1);
  set.first_master().kill();
  auto reply = client.one(Command("SET", "k", "2"));
  for (int i = 0; i < 3 && !reply && reply.error() == Errc::reply_lost; ++i)
    reply = client.one(Command("SET", "k", "2"));
  ASSERT_TRUE(reply) << reply.error().message();
  EXPECT_EQ(client.one(Command("GET", "k"))->text, "2");
  EXPECT_NE(set.first_replica().command("INFO replication", 20).find("role:master"), std::string::npos);
  EXPECT_TRUE(soon([&] { return client->tracking(); }));
  ASSERT_TRUE(client.one(Command("GET", "k"), Resend::when_lost));
  set.first_replica().command("SELECT 1\r\nSET k 3");
  EXPECT_TRUE(soon([&] { return heard.has("k"); }));
}

TEST(RedisServers, ASwitchOfMastersByTheSentinelsIsFollowed) {
  test::SentinelSet set;
  Connected client(set.url());
  ASSERT_TRUE(client.one(Command("SET", "k", "1")));
  set.sentinel(0).command("SENTINEL FAILOVER boss");
  EXPECT_TRUE(soon(
      [&] {
        auto role = client.one(Command("CONFIG", "GET", "port"), Resend::when_lost);
        return role && role->elements.size() == 2 &&
               role->elements[1].text == std::to_string(set.first_replica().port());
      },
      std::chrono::seconds(20)));
  auto written = client.one(Command("SET", "k", "2"));
  EXPECT_TRUE(written && written->text == "OK");
  auto wrong = refusal("redis://nobody,127.0.0.1:" + std::to_string(set.sentinel(0).port()));
  EXPECT_NE(wrong.message.find("nobody"), std::string::npos) << wrong.message;
}

TEST(RedisServers, ASentinelThatWantsAPasswordSaysSo) {
  test::RedisServer master;
  test::RedisServer::Options options;
  options.sentinel = true;
  options.password = "guard";
  options.config = {"requirepass guard", "sentinel monitor boss 127.0.0.1 " + std::to_string(master.port()) + " 1"};
  test::RedisServer sentinel(std::move(options));
  auto url = "redis://boss,127.0.0.1:" + std::to_string(sentinel.port());
  for (auto* password : {"", "wrong"}) {
    ::setenv("SENTINEL_PASSWORD", password, 1);
    auto none = refusal(url);
    EXPECT_EQ(none.code, Errc::denied) << none.message;
    EXPECT_NE(none.message.find("SENTINEL_PASSWORD"), std::string::npos) << none.message;
  }
  ::setenv("SENTINEL_PASSWORD", "guard", 1);
  EXPECT_TRUE(Connected(url).one(Command("PING")));
  ::unsetenv("SENTINEL_PASSWORD");
}

TEST(RedisServers, ClusterPutsAVolumeIntoOneSlot) {
  test::ClusterSet set;
  for (int db : {0, 1, 10}) {
    Connected client(set.url(db));
    EXPECT_EQ(client->key_prefix(), "{" + std::to_string(db) + "}");
    auto key = client->key_prefix() + "i1";
    ASSERT_EQ(client.one(Command("SET", key, "v"))->text, "OK");
    auto owner = test::ClusterSet::owner_of(slot_of(key));
    EXPECT_NE(set.node(owner).command("GET " + key, 7).find("v"), std::string::npos);
  }
  // One node alone is recognised as what it is, whichever it is.
  for (std::size_t i = 0; i < 3; ++i) {
    Connected client(set.node(i).url(1));
    EXPECT_EQ(client->key_prefix(), "{1}");
    EXPECT_EQ(client.one(Command("GET", "{1}i1"))->text, "v");
  }
}

TEST(RedisServers, ClusterMovesTheSlotAway) {
  test::ClusterSet set;
  Connected client(set.url());
  auto slot = slot_of("{0}");
  auto from = test::ClusterSet::owner_of(slot), to = (from + 1) % 3;
  auto number = std::to_string(slot);
  ASSERT_EQ(client.one(Command("SET", "{0}a", "1"))->text, "OK");
  ASSERT_EQ(client.one(Command("SET", "{0}b", "1"))->text, "OK");
  set.node(to).command("CLUSTER SETSLOT " + number + " IMPORTING " + set.id_of(from));
  set.node(from).command("CLUSTER SETSLOT " + number + " MIGRATING " + set.id_of(to));
  auto move = [&](const std::string& key) {
    set.node(from).command("MIGRATE 127.0.0.1 " + std::to_string(set.node(to).port()) + " " + key + " 0 1000");
  };
  move("{0}a");
  Script both("return {redis.call('GET', KEYS[1]), redis.call('INCR', KEYS[1])}");
  auto there = client.runtime().wait(client->eval(both, {"{0}a"}, {}));  // -ASK
  ASSERT_TRUE(there && there->is_array()) << (there ? there->text : there.error().message());
  EXPECT_EQ(there->elements[1].integer, 2);
  EXPECT_EQ(client.one(Command("GET", "{0}b"))->text, "1");
  move("{0}b");
  for (auto node : {to, from}) set.node(node).command("CLUSTER SETSLOT " + number + " NODE " + set.id_of(to));
  EXPECT_EQ(client.one(Command("INCR", "{0}a"))->integer, 3);  // -MOVED
  EXPECT_NE(set.node(to).command("GET {0}a", 7).find("3"), std::string::npos);
}

TEST(RedisServers, ANodeThatIsToTakeOverAndIsStoppedHoldsUpNobodyForEver) {
  test::ClusterSet set;
  Connected client(set.url() + "?dial_timeout=1500ms", {.deadline = std::chrono::milliseconds(2000)});
  auto slot = slot_of("{0}");
  auto from = test::ClusterSet::owner_of(slot), to = (from + 1) % 3;
  auto number = std::to_string(slot);
  ASSERT_EQ(client.one(Command("GET", "{0}a"))->kind, Reply::Kind::nil);
  set.node(to).command("CLUSTER SETSLOT " + number + " IMPORTING " + set.id_of(from));
  set.node(from).command("CLUSTER SETSLOT " + number + " MIGRATING " + set.id_of(to));
  set.node(to).stall();
  auto begin = std::chrono::steady_clock::now();
  auto reply = client.one(Command("INCR", "{0}a"));  // -ASK
  EXPECT_EQ(reply.error(), Errc::refused);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::milliseconds(5000));
  set.node(to).resume();
  EXPECT_EQ(client.one(Command("INCR", "{0}a"))->integer, 1);
}

}  // namespace
}  // namespace kiseki::net::redis
