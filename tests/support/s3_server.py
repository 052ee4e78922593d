#!/usr/bin/env python3
"""A real S3 server on loopback for tests and measurements: Ceph's radosgw with one monitor and one OSD in memory, from
Debian's packages, or MinIO where its binary is found. Everything lives in one directory and listens on ports of its own.

  s3_server.py run [OPTIONS] -- COMMAND...   starts a server, runs COMMAND with it in the environment, stops it; the exit
                                             status is that of COMMAND, or 77 (a skipped test; 1 with CI=true) without a server
  s3_server.py start DIR [OPTIONS]           starts one that stays, prints the environment as shell assignments
  s3_server.py stop DIR                      ends what `start` began

COMMAND finds KISEKI_TEST_S3 (http://127.0.0.1:PORT), KISEKI_TEST_S3_KEY, KISEKI_TEST_S3_SECRET, KISEKI_TEST_S3_REGION, with
--tls also KISEKI_TEST_S3_TLS (https://127.0.0.1:PORT) and KISEKI_TEST_S3_CA (a PEM file). Requests are path-style; a bucket
name needs three characters. There is no bucket at first. radosgw collects deleted objects after about 10 s.
"""
import argparse
import http.client
import os
import shlex
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time

from ports import free_ports
import uuid

KEY, SECRET = "TESTKEY", "TESTSECRET"
SKIPPED = 77
START_SECONDS = 60
CEPH_TOOLS = ("ceph-mon", "ceph-osd", "radosgw", "radosgw-admin", "ceph", "ceph-authtool", "monmaptool")

CEPH_CONF = """
[global]
fsid = {fsid}
mon host = [v2:127.0.0.1:{mon_port}/0]
auth cluster required = none
auth service required = none
auth client required = none
ms bind msgr1 = false
ms mon client mode = crc
ms mon service mode = crc
ms mon cluster mode = crc
public addr = 127.0.0.1
cluster addr = 127.0.0.1
run dir = {dir}/run
admin socket = {dir}/run/$name.asok
pid file = {dir}/run/$name.pid
log file = {dir}/log/$name.log
mon cluster log file = {dir}/log/cluster.log
crash dir = {dir}/log
keyring = {dir}/keyring
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 8
osd pool default pgp num = 8
osd crush chooseleaf type = 0
mon allow pool size one = true
mon warn on pool no redundancy = false
mon max pg per osd = 500
mon data avail warn = 1
mon data avail crit = 1
[mon]
mon data = {dir}/mon
[osd]
osd data = {dir}/osd
osd objectstore = memstore
memstore device bytes = {bytes}
osd op num threads per shard = 2
[client.rgw]
rgw frontends = beast endpoint=127.0.0.1:{port}{tls_frontend}
rgw data = {dir}/rgw
rgw dns name = 127.0.0.1
rgw enable usage log = false
rgw enable ops log = false
rgw gc obj min wait = 10
rgw gc processor period = 20
rgw gc processor max time = 20
debug rgw = 0
"""


class CannotStart(Exception):
    """No server here: a program is missing, or it did not come up. Says which and where its log is."""


def make_certificates(directory):
    """A certificate authority and a certificate it signed for 127.0.0.1 and localhost. Answers their paths."""
    os.makedirs(directory, exist_ok=True)
    ca, key, request, cert, extra = (os.path.join(directory, n) for n in ("ca.pem", "key.pem", "request.pem", "cert.pem", "extra"))
    ca_key = os.path.join(directory, "ca.key")
    with open(extra, "w") as text:
        text.write("subjectAltName=IP:127.0.0.1,DNS:localhost\n")
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    for command in (["req", "-x509", *curve, "-keyout", ca_key, "-out", ca, "-days", "30", "-subj", "/CN=kiseki test authority"],
                    ["req", *curve, "-keyout", key, "-out", request, "-subj", "/CN=127.0.0.1"],
                    ["x509", "-req", "-in", request, "-CA", ca, "-CAkey", ca_key, "-CAcreateserial", "-days", "30", "-extfile", extra,
                     "-out", cert]):
        subprocess.run(["openssl", *command], check=True, capture_output=True)
    with open(cert, "a") as chain, open(key) as text:  # radosgw reads both from one file
        chain.write(text.read())
    return ca, cert


class S3Server:
    """One server with all its files below `directory`. Subclasses know how to bring it up."""
    region = "us-east-1"

    def __init__(self, directory, tls=False, size_gib=8, port=0):
        self.directory, self.tls, self.size_gib = os.path.abspath(directory), tls, size_gib
        self.port, self.tls_port, self.inner_port = free_ports(3)
        self.port = port or self.port
        self.ca = ""

    @staticmethod
    def missing():
        """The programs that are not installed."""
        raise NotImplementedError

    def path(self, *parts):
        return os.path.join(self.directory, *parts)

    def environment(self):
        told = {"KISEKI_TEST_S3": f"http://127.0.0.1:{self.port}", "KISEKI_TEST_S3_KEY": KEY, "KISEKI_TEST_S3_SECRET": SECRET,
                "KISEKI_TEST_S3_REGION": self.region}
        if self.tls:
            told.update(KISEKI_TEST_S3_TLS=f"https://127.0.0.1:{self.tls_port}", KISEKI_TEST_S3_CA=self.ca)
        return told

    def start(self):
        os.makedirs(self.path("run"), exist_ok=True)
        os.makedirs(self.path("log"), exist_ok=True)
        try:
            self.bring_up()
            self.wait_ready()
        except BaseException:
            self.stop()
            raise

    def run(self, *command):
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=START_SECONDS)
        with open(self.path("log", "setup.log"), "a") as log:
            log.write(f"$ {shlex.join(command)}\n{done.stdout}{done.stderr}")
        if done.returncode != 0:
            raise CannotStart(f"{shlex.join(command)}: exit {done.returncode}\n{done.stdout}{done.stderr}")
        return done.stdout

    def answers(self):
        try:
            if self.tls:
                context = ssl.create_default_context(cafile=self.ca)
                socket.create_connection(("127.0.0.1", self.tls_port), 1).close()
                secure = http.client.HTTPSConnection("127.0.0.1", self.tls_port, timeout=5, context=context)
                secure.request("GET", "/")
                secure.getresponse().read()
            plain = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
            plain.request("GET", "/")
            return plain.getresponse().status < 500
        except ConnectionRefusedError:
            return False

    def wait_ready(self):
        deadline = time.monotonic() + START_SECONDS
        while not self.answers():
            if time.monotonic() > deadline:
                raise CannotStart(f"no answer on port {self.port} after {START_SECONDS} s: see {self.path('log')}")
            time.sleep(0.1)

    def stop(self):
        """Ends the processes that wrote their numbers below run/, and waits for them."""
        pids = []
        for name in sorted(os.listdir(self.path("run")) if os.path.isdir(self.path("run")) else []):
            if name.endswith(".pid"):
                with open(self.path("run", name)) as text:
                    pids += [int(word) for word in text.read().split()[:1]]
        for sign, seconds in ((signal.SIGTERM, 5), (signal.SIGKILL, 5)):
            deadline = time.monotonic() + seconds
            pids = [pid for pid in pids if self.send(pid, sign)]
            while pids and time.monotonic() < deadline:
                time.sleep(0.05)
                pids = [pid for pid in pids if self.send(pid, 0)]

    def send(self, pid, sign):
        """Whether the process still runs and is one of ours: a number may have been given to another since."""
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as text:
                if self.directory.encode() not in text.read():
                    return False
            os.kill(pid, sign)
            return True
        except (FileNotFoundError, ProcessLookupError):
            return False


class Radosgw(S3Server):
    region = "default"

    @staticmethod
    def missing():
        return [tool for tool in CEPH_TOOLS if shutil.which(tool) is None]

    def bring_up(self):
        for name in ("mon", "osd", "rgw"):
            os.makedirs(self.path(name), exist_ok=True)
        tls_frontend = ""
        if self.tls:
            self.ca, cert = make_certificates(self.path("tls"))
            tls_frontend = f" ssl_endpoint=127.0.0.1:{self.tls_port} ssl_certificate={cert}"
        fsid, conf, keys, monmap = str(uuid.uuid4()), self.path("ceph.conf"), self.path("keyring"), self.path("monmap")
        with open(conf, "w") as text:
            text.write(CEPH_CONF.format(fsid=fsid, dir=self.directory, mon_port=self.inner_port, port=self.port,
                                        bytes=self.size_gib << 30, tls_frontend=tls_frontend))
        for entity in ("mon.", "client.admin", "client.rgw"):
            create = [] if os.path.exists(keys) else ["--create-keyring"]
            self.run("ceph-authtool", *create, "--gen-key", "-n", entity, keys, "--cap", "mon", "allow *", "--cap", "osd", "allow *")
        self.run("monmaptool", "--create", "--clobber", "--fsid", fsid, "--addv", "a", f"[v2:127.0.0.1:{self.inner_port}]", monmap)
        self.run("ceph-mon", "-c", conf, "--mkfs", "-i", "a", "--monmap", monmap, "--keyring", keys)
        self.run("ceph-mon", "-c", conf, "-i", "a")
        osd = str(uuid.uuid4())
        self.run("ceph", "-c", conf, "osd", "new", osd)
        self.run("ceph-osd", "-c", conf, "-i", "0", "--mkfs", "--osd-uuid", osd)
        self.run("ceph-osd", "-c", conf, "-i", "0")
        self.run("radosgw", "-c", conf, "-n", "client.rgw")

    def wait_ready(self):
        super().wait_ready()
        self.run("radosgw-admin", "-c", self.path("ceph.conf"), "user", "create", "--uid=test", "--display-name=test",
                 f"--access-key={KEY}", f"--secret-key={SECRET}")


class Minio(S3Server):
    @staticmethod
    def missing():
        return [] if shutil.which("minio") else ["minio"]

    def __init__(self, directory, **options):
        super().__init__(directory, **options)
        if self.tls:
            raise CannotStart("--tls is for radosgw: MinIO serves one protocol only")

    def bring_up(self):
        with open(self.path("log", "minio.log"), "ab") as log:
            process = subprocess.Popen(["minio", "server", self.path("data"), "--address", f"127.0.0.1:{self.port}"],
                                       env={**os.environ, "MINIO_ROOT_USER": KEY, "MINIO_ROOT_PASSWORD": SECRET},
                                       stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        with open(self.path("run", "minio.pid"), "w") as text:
            text.write(str(process.pid))


KINDS = {"radosgw": Radosgw, "minio": Minio}


def make(kind, directory, **options):
    """A server that is not started yet. Raises CannotStart when its programs are not installed."""
    missing = KINDS[kind].missing()
    if missing:
        raise CannotStart(f"{kind} needs {', '.join(missing)}")
    return KINDS[kind](directory, **options)


def run_with_server(options, command):
    base = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="kiseki-s3-", dir=base) as directory:
        server = make(options.server, directory, tls=options.tls, size_gib=options.size, port=options.port)
        server.start()
        child = subprocess.Popen(command, env={**os.environ, **server.environment()})
        signal.signal(signal.SIGTERM, lambda *_: child.terminate())
        try:
            return child.wait()
        finally:
            server.stop()


def main():
    words = sys.argv[1:]
    own, command = (words[:words.index("--")], words[words.index("--") + 1:]) if "--" in words else (words, [])
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("verb", choices=("run", "start", "stop"))
    parser.add_argument("directory", nargs="?")
    parser.add_argument("--server", choices=sorted(KINDS), default="radosgw")
    parser.add_argument("--tls", action="store_true", help="listen for https too, with certificates made here")
    parser.add_argument("--size", type=int, default=8, metavar="GIB", help="room for objects, in memory (8)")
    parser.add_argument("--port", type=int, default=0, help="of http; a free one by default")
    options = parser.parse_args(own)
    if (options.verb == "run") != bool(command) or (options.verb == "run") == bool(options.directory):
        parser.error("run takes -- COMMAND, start and stop take a directory")
    try:
        if options.verb == "run":
            return run_with_server(options, command)
        if options.verb == "start":
            server = make(options.server, options.directory, tls=options.tls, size_gib=options.size, port=options.port)
            server.start()
            print("\n".join(f"export {name}={shlex.quote(value)}" for name, value in server.environment().items()))
        else:
            S3Server(options.directory).stop()
        return 0
    except CannotStart as problem:
        print(f"SKIPPED ALL: no S3 server: {problem}", file=sys.stderr)
        in_ci = os.environ.get("CI", "").lower() in ("1", "true", "yes")
        return SKIPPED if options.verb == "run" and not in_ci else 1


if __name__ == "__main__":
    sys.exit(main())
