#!/usr/bin/env python3
"""`kiseki format` on an S3 bucket that cannot be used: each cause has its own sentence and remedy, and nothing is left behind."""
import email.utils
import http.server
import os
import select
import socket
import ssl
import subprocess
import sys
import threading
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "support"))
sys.path.insert(0, os.path.join(HERE, "..", "..", "support"))
import mounted  # noqa: E402
import s3_server  # noqa: E402


class Refuser(http.server.BaseHTTPRequestHandler):
    """Answers every request with one S3 error."""
    protocol_version = "HTTP/1.1"

    def answer(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        status, code, fields = self.server.refusal
        text = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>no</Message></Error>".encode()
        self.send_response_only(status)
        self.send_header("Date", email.utils.formatdate(time.time() + self.server.ahead, usegmt=True))
        for name, value in fields.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(text)
        self.server.seen.append(self.command)

    do_GET = do_PUT = do_DELETE = do_HEAD = do_POST = answer

    def log_message(self, *_):
        pass


class Tunnel(http.server.BaseHTTPRequestHandler):
    """A proxy all of whose tunnels lead to one port."""

    def do_CONNECT(self):
        self.server.seen.append(self.path)
        self.send_response_only(200)
        self.end_headers()
        with socket.create_connection(("127.0.0.1", self.server.leads_to)) as there:
            while True:
                for ready in select.select([self.connection, there], [], [])[0]:
                    data = ready.recv(1 << 16)
                    if not data:
                        return
                    (there if ready is self.connection else self.connection).sendall(data)

    def log_message(self, *_):
        pass


class DiagnosisTest(unittest.TestCase):
    def setUp(self):
        self.volume = mounted.Volume(self, formatted=False)

    def serve(self, status, code, ahead=0, tls=None, **fields):
        self.server = self.listen(Refuser, tls)
        self.server.refusal, self.server.ahead = (status, code, fields), ahead
        return f"{'https' if tls else 'http'}://127.0.0.1:{self.server.server_port}/bucket"

    def listen(self, handler, tls=None):
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        server.seen = []
        if tls:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        self.addCleanup(thread.join)
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        return server

    def refused(self, bucket, *says, keys=("--access-key", "KEY", "--secret-key", "hush-hush"), env=None, client=None):
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "MINIO_", "JFS_"))}
        done = self.volume.run("format", self.volume.meta, "e2e", "--storage", "s3", "--bucket", bucket, *keys, check=False, client=client,
                               env={**clean, "AWS_EC2_METADATA_DISABLED": "true", "HOME": self.volume.root, **(env or {})})
        self.assertEqual(1, done.returncode, done.stdout + done.stderr)
        sentences = [line for line in done.stderr.splitlines() if line.startswith("kiseki: ")]
        self.assertEqual(1, len(sentences), done.stderr)
        for words in says:
            self.assertIn(words, sentences[0])
        self.assertNotIn("hush-hush", done.stdout + done.stderr)
        self.assertFalse(os.path.exists(self.volume.database), "a database was left behind")

    def test_wrong_access_key(self):
        self.refused(self.serve(403, "InvalidAccessKeyId"), "does not know the access key", "--access-key")

    def test_wrong_secret_key(self):
        self.refused(self.serve(403, "SignatureDoesNotMatch"), "secret key does not match", "--secret-key")

    def test_keys_that_may_not(self):
        self.refused(self.serve(403, "AccessDenied"), "denied", "put and delete objects")

    def test_wrong_region(self):
        self.refused(self.serve(301, "PermanentRedirect"), "another region", "AWS_REGION")
        self.refused(self.serve(400, "AuthorizationHeaderMalformed"), "another region", "AWS_REGION")

    def test_expired_token(self):
        self.refused(self.serve(400, "ExpiredToken"), "expired", "--session-token")

    def test_clock(self):
        """The difference is made up for once; only a server that still refuses ends the format."""
        self.refused(self.serve(403, "RequestTimeTooSkewed", ahead=7200), "clock", "timedatectl")
        self.assertGreaterEqual(len(self.server.seen), 2)

    def test_missing_bucket(self):
        self.refused(self.serve(404, "NoSuchBucket"), "the bucket is not there", "make the bucket")

    def test_no_credentials(self):
        self.refused(self.serve(403, "AccessDenied"), "no credentials", "--access-key", keys=())
        self.assertEqual([], self.server.seen)

    def test_nobody_listens(self):
        with socket.socket() as held:
            held.bind(("127.0.0.1", 0))
            self.refused(f"http://127.0.0.1:{held.getsockname()[1]}/bucket", "cannot be reached", "--bucket")

    def test_no_such_host(self):
        self.refused("http://no-such-host.invalid/bucket", "--bucket")

    def client_with_hosts(self, text):
        """A kiseki that reads these lines as /etc/hosts."""
        mounted.need(os.geteuid() == 0 and subprocess.run(["unshare", "-m", "true"], capture_output=True).returncode == 0,
                     "a mount namespace needs root")
        hosts, client = os.path.join(self.volume.root, "hosts"), os.path.join(self.volume.root, "kiseki-with-hosts")
        with open(hosts, "w") as file:
            file.write(text)
        with open(client, "w") as file:
            file.write(f"""#!/bin/sh
exec unshare -m sh -c 'mount --bind {hosts} /etc/hosts && exec {mounted.binary()} "$@"' sh "$@"
""")
        os.chmod(client, 0o755)
        return client

    def test_a_name_with_several_addresses(self):
        """One of six answers, and they are tried in random order."""
        client = self.client_with_hosts("".join(f"127.0.0.{last} store.example\n" for last in (71, 72, 1, 73, 74, 75)))
        bucket = self.serve(403, "InvalidAccessKeyId").replace("127.0.0.1", "store.example")
        for _ in range(4):
            self.refused(bucket, "does not know the access key", client=client, env={"NO_PROXY": "store.example"})

    def test_through_a_proxy(self):
        proxy = self.serve(403, "InvalidAccessKeyId").removesuffix("/bucket")
        self.refused("http://store.example/bucket", "does not know the access key", env={"HTTP_PROXY": proxy, "NO_PROXY": "127.0.0.0/8"})
        self.assertTrue(self.server.seen)
        self.refused("https://store.example/bucket", "HTTPS_PROXY", "supported",
                     env={"HTTPS_PROXY": "socks5://127.0.0.1:1", "NO_PROXY": "other.example"})

    def test_through_a_tunnel(self):
        mounted.need_tool("openssl")
        ca, cert = s3_server.make_certificates(os.path.join(self.volume.root, "tls"))
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(cert)
        self.serve(403, "InvalidAccessKeyId", tls=tls)
        proxy = self.listen(Tunnel)
        proxy.leads_to = self.server.server_port
        env = {"HTTPS_PROXY": f"http://127.0.0.1:{proxy.server_port}", "NO_PROXY": "other.example"}
        self.refused("https://store.example/bucket?tls-insecure-skip-verify=true", "does not know the access key", env=env)
        self.refused(f"https://store.example/bucket?ca-certs={ca}", "not trusted", env=env)  # a certificate for another name
        self.assertEqual({"store.example:443"}, set(proxy.seen))

    def test_no_bucket_in_the_url(self):
        self.refused("http://127.0.0.1:9000", "names no bucket", "https://HOST")

    def test_certificates(self):
        mounted.need_tool("openssl")
        ca, cert = s3_server.make_certificates(os.path.join(self.volume.root, "tls"))
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(cert)
        bucket = self.serve(403, "InvalidAccessKeyId", tls=tls)
        self.refused(bucket, "certificate", "not trusted", "ca-certs=")
        self.refused(bucket.replace("127.0.0.1", "localhost") + f"?ca-certs={cert}", "certificate")  # no authority
        self.refused(bucket + "?ca-certs=/no/such/file", "/no/such/file")
        for way_in in (f"?ca-certs={ca}", "?tls-insecure-skip-verify=true"):
            self.refused(bucket + way_in, "does not know the access key")
        self.refused(bucket.replace("127.0.0.1", "localhost") + f"?ca-certs={ca}", "does not know the access key")
        self.refused(bucket.replace("https", "http"), "cannot be used")  # plain words to a TLS port
        plain = self.serve(403, "InvalidAccessKeyId")
        self.refused(plain.replace("http", "https"), "certificate of the object store")

    def test_client_certificates(self):
        mounted.need_tool("openssl")
        ca, cert = s3_server.make_certificates(os.path.join(self.volume.root, "tls"))
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(cert)
        tls.load_verify_locations(ca)
        tls.verify_mode = ssl.CERT_REQUIRED
        bucket = self.serve(403, "InvalidAccessKeyId", tls=tls)
        self.refused(bucket + f"?ca-certs={ca}", "cannot be used")
        self.refused(bucket + f"?ca-certs={ca}&ssl-cert={cert}&ssl-key={cert}", "does not know the access key")
        self.refused(bucket + f"?ca-certs={ca}&ssl-cert={cert}", "certificate needs its key")


if __name__ == "__main__":
    mounted.main()
