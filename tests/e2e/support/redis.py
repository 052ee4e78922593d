"""A redis-server of a test's own, and the proxy that makes trouble before it (tests/redis_proxy)."""
import os
import shutil
import signal
import subprocess
import tempfile
import time

import mounted


class Server:
    """redis-server with an append-only file that is written every second; gone with the test."""

    def __init__(self, test, *config):
        mounted.need_tool("redis-server", "redis-cli")
        self.port = mounted.free_port()
        self.folder = tempfile.mkdtemp(prefix=f"{mounted.PREFIX}{os.getpid()}-redis-", dir=mounted.base_dir())
        self.config = ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", self.folder, "--save", "", "--appendonly", "yes",
                       "--appendfsync", "everysec", "--logfile", os.path.join(self.folder, "log"), *config]
        self.process = None
        test.addCleanup(self.close)
        self.start()

    def start(self):
        self.process = subprocess.Popen(["redis-server", *self.config])
        for _ in range(400):
            if self.command("PING", check=False, db=0).strip() in ("PONG", "LOADING Redis is loading the dataset in memory"):
                return
            time.sleep(0.025)
        raise AssertionError("redis-server did not start")

    def command(self, *words, check=True, db=1):
        done = subprocess.run(["redis-cli", "-p", str(self.port), "-n", str(db), *words], capture_output=True, text=True, timeout=60)
        if check and done.returncode != 0:
            raise AssertionError(f"redis-cli {' '.join(words)}: {done.stdout}{done.stderr}")
        return done.stdout

    def url(self, db=1):
        return f"redis://127.0.0.1:{self.port}/{db}"

    def listen_for_tls(self):
        """The URL of a second port that speaks TLS only, with a certificate for `localhost` by an authority of its own."""
        mounted.need_tool("openssl")
        key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
        ca, ours = ("-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial"), ("-keyout", "tls.key", "-out", "tls.csr")
        with open(os.path.join(self.folder, "names"), "w") as file:
            file.write("subjectAltName=DNS:localhost\n")
        for words in (("req", "-x509", *key, "-days", "2", "-subj", "/CN=authority", "-keyout", "ca.key", "-out", "ca.pem"),
                      ("req", *key, "-subj", "/CN=server", *ours),
                      ("x509", "-req", "-in", "tls.csr", *ca, "-days", "2", "-extfile", "names", "-out", "tls.pem")):
            subprocess.run(["openssl", *words], cwd=self.folder, check=True, capture_output=True, timeout=60)
        port = mounted.free_port()
        path = {name: os.path.join(self.folder, name) for name in ("ca.pem", "tls.pem", "tls.key")}
        self.command("CONFIG", "SET", "tls-port", str(port), "tls-cert-file", path["tls.pem"], "tls-key-file", path["tls.key"],
                     "tls-ca-cert-file", path["ca.pem"], "tls-auth-clients", "no", db=0)
        return f"rediss://localhost:{port}/1?tls-ca-cert-file={path['ca.pem']}"

    def info(self, field):
        for line in self.command("INFO").splitlines():
            if line.startswith(field + ":"):
                return line.split(":", 1)[1]
        raise AssertionError(f"INFO has no {field}")

    def kill(self):
        """kill -9."""
        self.process.kill()
        self.process.wait()

    def stop_for_a_while(self):
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self):
        self.process.send_signal(signal.SIGCONT)

    def close(self):
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


class Sentinels:
    """A master with one replica, and three Sentinels that notice its death within half a second."""

    def __init__(self, test):
        self.servers = [Server(test)]
        self.servers.append(Server(test, "--replicaof", "127.0.0.1", str(self.servers[0].port), "--repl-diskless-sync-delay", "0"))
        for _ in range(600):
            if self.servers[1].info("master_link_status") == "up":
                break
            time.sleep(0.05)
        self.ports = [mounted.free_port() for _ in range(3)]
        self.folder = tempfile.mkdtemp(prefix=f"{mounted.PREFIX}{os.getpid()}-sentinel-", dir=mounted.base_dir())
        self.watchers = []
        test.addCleanup(self.close)
        for port in self.ports:
            path = os.path.join(self.folder, f"{port}.conf")
            with open(path, "w") as file:
                file.write(f"port {port}\nbind 127.0.0.1\ndir {self.folder}\nsentinel monitor boss 127.0.0.1 {self.servers[0].port} 2\n"
                           "sentinel down-after-milliseconds boss 500\nsentinel failover-timeout boss 3000\n")
            self.watchers.append(subprocess.Popen(["redis-server", path, "--sentinel"], stdout=subprocess.DEVNULL))
        for _ in range(600):
            if all(self.knows_all(port) for port in self.ports):
                return
            time.sleep(0.1)
        raise AssertionError("the Sentinels did not find each other")

    def ask(self, port, *words):
        return subprocess.run(["redis-cli", "-p", str(port), "SENTINEL", *words], capture_output=True, text=True, timeout=30).stdout

    def knows_all(self, port):
        return self.ask(port, "CKQUORUM", "boss").startswith("OK 3 ") and "slave" in self.ask(port, "REPLICAS", "boss")

    def master(self):
        """The server that is the master now, as the first Sentinel says."""
        port = int(self.ask(self.ports[0], "GET-MASTER-ADDR-BY-NAME", "boss").split()[1])
        return next(server for server in self.servers if server.port == port)

    def fail_over(self):
        return self.ask(self.ports[0], "FAILOVER", "boss")

    def url(self, db=1):
        return "redis://boss," + ",".join(f"127.0.0.1:{port}" for port in self.ports) + f"/{db}"

    def close(self):
        for watcher in self.watchers:
            watcher.kill()
            watcher.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


class Cluster:
    """Three masters; a volume lives in the slot of its database's number."""

    def __init__(self, test):
        buses = [mounted.free_port() for _ in range(3)]
        self.nodes = [Server(test, "--cluster-enabled", "yes", "--cluster-port", str(bus)) for bus in buses]
        for i, node in enumerate(self.nodes):
            node.command("CLUSTER", "ADDSLOTSRANGE", str((0, 5461, 10923)[i]), str((5460, 10922, 16383)[i]), db=0)
            self.nodes[0].command("CLUSTER", "MEET", "127.0.0.1", str(node.port), str(buses[i]), db=0)
        for _ in range(300):
            if all("cluster_state:ok" in node.command("CLUSTER", "INFO", db=0) for node in self.nodes):
                return
            time.sleep(0.1)
        raise AssertionError("the Cluster did not form")

    def url(self, db=1):
        return "redis://" + ",".join(f"127.0.0.1:{node.port}" for node in self.nodes) + f"/{db}"


class Proxy:
    """kiseki_redis_proxy before a server; its lines are its methods."""

    def __init__(self, test, server):
        binary = os.environ.get("KISEKI_REDIS_PROXY", os.path.join(os.path.dirname(mounted.binary()), "tests/redis_proxy/kiseki_redis_proxy"))
        mounted.need(os.path.exists(binary), "kiseki_redis_proxy is not built")
        self.process = subprocess.Popen([binary, str(server.port)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.port = int(self.process.stdout.readline().split()[1])
        test.addCleanup(self.close)

    def say(self, *words):
        self.process.stdin.write(" ".join(str(word) for word in words) + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()

    def trips(self):
        return int(self.say("trips"))

    def close(self):
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


class Volume(mounted.Volume):
    """A volume on Redis, reached at a URL or at a port: the server's, or a proxy's."""

    def __init__(self, test, where, trash_days=0, query="", format_flags=()):
        super().__init__(test, formatted=False)
        self.meta = (where if isinstance(where, str) else f"redis://127.0.0.1:{where}/1") + query
        made = self.run("format", self.meta, "e2e", "--storage", "file", "--bucket", self.objects, "--trash-days", str(trash_days), *format_flags,
                        check=False)
        mounted.need("no metadata engine" not in made.stderr, "this build has no engine for Redis")
        test.assertEqual(0, made.returncode, made.stdout + made.stderr)
