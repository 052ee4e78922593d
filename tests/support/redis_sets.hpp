#pragma once

#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "support/redis_server.hpp"

/// Several servers that belong together: TLS with its certificates, Sentinels with a master and a replica, a Cluster.
namespace kiseki::test {

/// A certificate authority, a certificate for `localhost` and 127.0.0.1, one for a client, and one of a stranger.
class TlsFiles {
 public:
  TlsFiles() {
    std::string pattern = (std::filesystem::temp_directory_path() / "kiseki-tls-XXXXXX").string();
    folder_ = ::mkdtemp(pattern.data());
    run("req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=authority -keyout ca.key "
        "-out ca.pem");
    run("req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=stranger -keyout "
        "other.key "
        "-out other.pem");
    std::ofstream(folder_ + "/names") << "subjectAltName=DNS:localhost,DNS:redis.test,IP:127.0.0.1\n";
    for (std::string who : {"server", "client"}) {
      run("req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=" + who + " -keyout " + who +
          ".key -out " + who + ".csr");
      run("x509 -req -in " + who + ".csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile names -out " + who +
          ".pem");
    }
  }
  ~TlsFiles() { std::filesystem::remove_all(folder_); }
  TlsFiles(const TlsFiles&) = delete;
  std::string operator/(const std::string& name) const { return folder_ + "/" + name; }

 private:
  void run(const std::string& what) const {
    auto line = "cd " + folder_ + " && openssl " + what + " > log 2>&1";
    if (std::system(line.c_str()) != 0) throw std::runtime_error("openssl " + what + " failed");
  }
  std::string folder_;
};

/// A redis-server that speaks TLS on `tls_port` and plain text on its other port (for the test itself).
class TlsServer {
 public:
  explicit TlsServer(bool asks_client) : tls_port_(free_port()) {
    RedisServer::Options options;
    options.config = {"tls-port " + std::to_string(tls_port_), "tls-cert-file " + (files_ / "server.pem"),
                      "tls-key-file " + (files_ / "server.key"), "tls-ca-cert-file " + (files_ / "ca.pem"),
                      std::string("tls-auth-clients ") + (asks_client ? "yes" : "no")};
    server_ = std::make_unique<RedisServer>(std::move(options));
  }
  const TlsFiles& files() const { return files_; }
  RedisServer& server() { return *server_; }
  std::string url(const std::string& host, const std::string& query) const {
    return "rediss://" + host + ":" + std::to_string(tls_port_) + "/0?" + query;
  }

 private:
  TlsFiles files_;
  std::uint16_t tls_port_;
  std::unique_ptr<RedisServer> server_;
};

/// A master, its replica and three Sentinels that notice within half a second.
class SentinelSet {
 public:
  SentinelSet() {
    servers_.push_back(std::make_unique<RedisServer>());
    RedisServer::Options replica;
    replica.config = {"replicaof 127.0.0.1 " + std::to_string(servers_[0]->port()), "repl-diskless-sync-delay 0"};
    servers_.push_back(std::make_unique<RedisServer>(std::move(replica)));
    until([&] {
      return servers_[1]->command("INFO replication", 150).find("master_link_status:up") != std::string::npos;
    });
    for (int i = 0; i < 3; ++i) {
      RedisServer::Options options;
      options.sentinel = true;
      options.config = {"sentinel monitor boss 127.0.0.1 " + std::to_string(servers_[0]->port()) + " 2",
                        "sentinel down-after-milliseconds boss 500", "sentinel failover-timeout boss 3000"};
      sentinels_.push_back(std::make_unique<RedisServer>(std::move(options)));
    }
    for (auto& sentinel : sentinels_) {
      until([&] {
        return sentinel->command("SENTINEL CKQUORUM boss", 10).starts_with("+OK 3 ") &&
               sentinel->command("SENTINEL REPLICAS boss", 4).starts_with("*1");
      });
    }
  }
  std::string url(int db = 0) const {
    std::string out = "redis://boss";
    for (const auto& sentinel : sentinels_) out += ",127.0.0.1:" + std::to_string(sentinel->port());
    return out + "/" + std::to_string(db);
  }
  RedisServer& first_master() { return *servers_[0]; }
  RedisServer& first_replica() { return *servers_[1]; }
  RedisServer& sentinel(std::size_t i) { return *sentinels_[i]; }

  template <class F>
  static void until(F condition) {
    for (int i = 0; i < 2000; ++i) {
      if (condition()) return;
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    throw std::runtime_error("the servers did not find each other");
  }

 private:
  std::vector<std::unique_ptr<RedisServer>> servers_, sentinels_;
};

/// Three masters without replicas.
class ClusterSet {
 public:
  ClusterSet() {
    std::vector<std::uint16_t> buses;
    for (int i = 0; i < 3; ++i) {
      buses.push_back(free_port());
      RedisServer::Options options;
      options.config = {"cluster-enabled yes", "cluster-node-timeout 2000",
                        "cluster-port " + std::to_string(buses.back())};
      nodes_.push_back(std::make_unique<RedisServer>(std::move(options)));
    }
    constexpr int kBorders[] = {0, 5461, 10923, 16384};
    for (std::size_t i = 0; i < 3; ++i) {
      nodes_[i]->command("CLUSTER ADDSLOTSRANGE " + std::to_string(kBorders[i]) + " " +
                         std::to_string(kBorders[i + 1] - 1));
      if (i > 0)
        nodes_[0]->command("CLUSTER MEET 127.0.0.1 " + std::to_string(nodes_[i]->port()) + " " +
                           std::to_string(buses[i]));
    }
    for (auto& node : nodes_) {
      SentinelSet::until([&] {
        auto info = node->command("CLUSTER INFO", 200);
        return info.find("cluster_state:ok") != std::string::npos &&
               info.find("cluster_known_nodes:3") != std::string::npos;
      });
    }
  }
  RedisServer& node(std::size_t i) { return *nodes_[i]; }
  static std::size_t owner_of(unsigned slot) { return slot < 5461 ? 0 : slot < 10923 ? 1 : 2; }
  std::string url(int db = 0) const {
    std::string out = "redis://";
    for (const auto& node : nodes_)
      out += (&node == &nodes_.front() ? "" : ",") + ("127.0.0.1:" + std::to_string(node->port()));
    return out + "/" + std::to_string(db);
  }
  std::string id_of(std::size_t i) {
    auto answer = nodes_[i]->command("CLUSTER MYID", 47);
    return answer.size() >= 45 ? answer.substr(5, 40) : std::string();
  }

 private:
  std::vector<std::unique_ptr<RedisServer>> nodes_;
};

}  // namespace kiseki::test
