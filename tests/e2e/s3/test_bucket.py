#!/usr/bin/env python3
"""Volumes in buckets of a real S3 server (tests/support/s3_server.py runs it around this program), by http and https. With JUICEFS
naming a JuiceFS 1.4 binary, the same volume is used by both clients at once."""
import json
import os
import re
import shutil
import sys
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "support"))
sys.path.insert(0, os.path.join(HERE, "..", "..", "support"))
import mounted  # noqa: E402
from s3_request import crc32c, s3_request  # noqa: E402

SOURCES = os.path.join(HERE, "..", "..", "..", "src", "core")


class BucketTest(unittest.TestCase):
    buckets = 0

    def setUp(self):
        mounted.need("KISEKI_TEST_S3" in os.environ, "no S3 server: run this by tests/support/s3_server.py run --tls -- ...")
        self.endpoint = os.environ["KISEKI_TEST_S3"]
        BucketTest.buckets += 1
        self.bucket = f"e2e-{os.getpid()}-{BucketTest.buckets}"
        self.volume = mounted.Volume(self, formatted=False)

    def format(self, url=None, *flags, client=None):
        self.volume.run("format", self.volume.meta, "e2e", "--storage", "s3", "--bucket", url or f"{self.endpoint}/{self.bucket}",
                        "--access-key", os.environ["KISEKI_TEST_S3_KEY"], "--secret-key", os.environ["KISEKI_TEST_S3_SECRET"],
                        "--trash-days", "0", *flags, client=client, env={**os.environ, "AWS_REGION": os.environ["KISEKI_TEST_S3_REGION"]})

    def request(self, method, key="", query=""):
        return s3_request(self.endpoint, method, f"/{self.bucket}/{key}", query, os.environ["KISEKI_TEST_S3_KEY"],
                          os.environ["KISEKI_TEST_S3_SECRET"], os.environ["KISEKI_TEST_S3_REGION"])

    def keys(self):
        status, _, body = self.request("GET", query="list-type=2&max-keys=1000")
        self.assertEqual(200, status, body)
        return re.findall(r"<Key>(.*?)</Key>", body.decode())

    def use(self, url=None, *flags):
        """A tree and a large file, read back by a new client."""
        self.format(url, *flags)
        mount = self.volume.mount()
        shutil.copytree(SOURCES, mount / "tree")
        blob = os.urandom(9_000_001)
        with open(mount / "blob", "wb") as file:
            file.write(blob)
        mount.unmount()
        mount = self.volume.mount("--read-only")
        self.assertEqual([], mounted.differences(mounted.tree_of(SOURCES, times=False), mounted.tree_of(mount / "tree", times=False)))
        with open(mount / "blob", "rb") as file:
            self.assertEqual(blob, file.read())
            file.seek(4_194_304 - 10)
            self.assertEqual(blob[4_194_304 - 10:4_194_304 + 10], file.read(20))
        mount.unmount()

    def test_by_http(self):
        self.use()

    def test_by_https(self):
        mounted.need("KISEKI_TEST_S3_TLS" in os.environ, "this server speaks http only")
        self.use(f"{os.environ['KISEKI_TEST_S3_TLS']}/{self.bucket}?ca-certs={os.environ['KISEKI_TEST_S3_CA']}")

    def test_storage_minio(self):
        self.use(f"{self.endpoint}/minio/{self.bucket}?region={os.environ['KISEKI_TEST_S3_REGION']}", "--storage", "minio")
        self.assertEqual("minio", self.volume.status()["Setting"]["Storage"])
        self.assertIn("e2e/juicefs_uuid", self.keys())

    def test_compressed_and_encrypted(self):
        key = os.path.join(self.volume.root, "key.pem")
        mounted.run(["openssl", "genrsa", "-out", key, "2048"])
        self.use(None, "--compress", "lz4", "--encrypt-rsa-key", key, "--block-size", "1M")
        block = next(name for name in self.keys() if name.endswith("_1048576"))
        _, fields, body = self.request("GET", block)
        self.assertEqual(b"\x01\x00\x0c", body[:3], "an envelope of RSA-2048 with a nonce of 12 bytes")
        self.assertEqual(str(crc32c(body)), fields["x-amz-meta-crc32c"], "of the encrypted bytes")

    def test_objects_are_as_juicefs_has_them(self):
        self.format()
        mount = self.volume.mount()
        with open(mount / "f", "wb") as file:
            file.write(b"hello" * 100)
        mount.unmount()
        blocks = [key for key in self.keys() if key.startswith("e2e/chunks/")]
        self.assertEqual(1, len(blocks), blocks)
        self.assertRegex(blocks[0], r"^e2e/chunks/0/0/\d+_0_500$")
        _, fields, body = self.request("GET", blocks[0])
        self.assertEqual(b"hello" * 100, body)
        self.assertEqual(str(crc32c(body)), fields["x-amz-meta-crc32c"])
        self.assertEqual("application/octet-stream", fields["content-type"])
        _, _, uuid = self.request("GET", "e2e/juicefs_uuid")
        self.assertEqual(self.volume.status()["Setting"]["UUID"], uuid.decode())

    def test_objbench(self):
        done = self.volume.run("objbench", f"{self.endpoint}/{self.bucket}", "--storage", "s3", "--access-key",
                               os.environ["KISEKI_TEST_S3_KEY"], "--secret-key", os.environ["KISEKI_TEST_S3_SECRET"], "--json",
                               "--big-object-size", "16M", "--block-size", "1M", "--small-objects", "30",
                               env={**os.environ, "AWS_REGION": os.environ["KISEKI_TEST_S3_REGION"]})
        told = json.loads(done.stdout)
        self.assertEqual({"pass", "not support"}, {check["result"] for check in told["functional"]}, told)
        self.assertEqual([0] * 7, [one["failures"] for one in told["performance"] if one["supported"]], told)
        self.assertEqual([], self.keys())

    def test_deleted_files_leave_the_bucket(self):
        self.format()
        mount = self.volume.mount()
        with open(mount / "f", "wb") as file:
            file.write(os.urandom(5 << 20))
        self.assertEqual(2, len([key for key in self.keys() if "/chunks/" in key]))
        os.unlink(mount / "f")
        deadline = time.monotonic() + 30
        while any("/chunks/" in key for key in self.keys()):
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.2)

    def test_a_bucket_in_use_is_refused(self):
        self.format()
        other = mounted.Volume(self, formatted=False)
        done = other.run("format", other.meta, "e2e", "--storage", "s3", "--bucket", f"{self.endpoint}/{self.bucket}", "--access-key",
                         os.environ["KISEKI_TEST_S3_KEY"], "--secret-key", os.environ["KISEKI_TEST_S3_SECRET"], check=False)
        self.assertEqual(1, done.returncode)
        self.assertIn("is not empty", done.stderr)

    def test_both_clients_at_once(self):
        juicefs = os.environ.get("JUICEFS", "")
        if not os.access(juicefs, os.X_OK):
            self.skipTest("SKIPPED: JUICEFS names no JuiceFS 1.4 binary")
        for formatter in (None, juicefs):
            self.format(client=formatter)
            ours, theirs = self.volume.mount(), self.volume.mount(client=juicefs)
            blob = os.urandom(9_000_001)
            for writer, reader in ((ours, theirs), (theirs, ours)):
                with open(writer / f"from{writer.number}", "wb") as file:
                    file.write(blob)
                time.sleep(1.5)  # theirs caches names for a second
                with open(reader / f"from{writer.number}", "rb") as file:
                    self.assertEqual(blob, file.read())
            ours.unmount()
            theirs.unmount()
            self.volume.close()
            self.setUp()


if __name__ == "__main__":
    mounted.main()
