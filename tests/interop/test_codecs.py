#!/usr/bin/env python3
"""Compressed, encrypted and spread volumes: what one client stores the other reads, and JuiceFS's fsck agrees."""
import os
import random
import shutil
import subprocess
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "e2e", "support")]
import mounted  # noqa: E402

JUICEFS = os.environ.get("JUICEFS", "")
BLOCK = 64 << 10
PASSPHRASE = "correct horse"


def contents():
    source = random.Random(11)
    for size in (1, 100, BLOCK - 1, BLOCK, BLOCK + 1, 5 * BLOCK + 77, 40 * BLOCK):
        yield f"noise-{size}", source.randbytes(size)
        yield f"text-{size}", (b"all work and no play " * (size // 21 + 1))[:size]


class CodecInteropTest(unittest.TestCase):
    def setUp(self):
        os.environ["JFS_RSA_PASSPHRASE"] = PASSPHRASE
        self.addCleanup(os.environ.pop, "JFS_RSA_PASSPHRASE")

    def make(self, client, flags, algorithm, shards):
        volume = mounted.Volume(self, client=client, formatted=False)
        secret = ()
        if algorithm:
            key = os.path.join(volume.root, "key.pem")
            subprocess.run(["openssl", "genrsa", "-aes256", "-passout", "env:JFS_RSA_PASSPHRASE", "-out", key, "2048"], check=True,
                           capture_output=True)
            secret = ("--encrypt-rsa-key", key, "--encrypt-algo", algorithm)
        bucket = volume.objects.rstrip("/") + "/s%d" if shards else volume.objects
        if shards:
            os.mkdir(volume.objects)
        volume.run("format", volume.meta, "e2e", "--storage", "file", "--bucket", bucket, "--trash-days", "0", "--block-size", "64K", *secret,
                   *flags, *(("--shards", str(shards)) if shards else ()))
        return volume

    def both_ways(self, *flags, algorithm=None, shards=0, fragmented=True):
        """Each formats, each writes, the other reads. JuiceFS 1.4.1 misreads fragmented zstd files of its own."""
        for writer, reader in ((mounted.binary(), JUICEFS), (JUICEFS, mounted.binary())):
            volume = self.make(writer, flags, algorithm, shards)
            mount = volume.mount(client=writer)
            for name, data in contents():
                with open(mount / name, "wb") as file:
                    file.write(data)
            patched = self.patch(mount / "patched")
            mount.unmount()
            done = volume.run("fsck", volume.meta, client=JUICEFS, check=False)
            self.assertEqual(0, done.returncode, done.stdout + done.stderr)
            mount = volume.mount(client=reader)
            for name, data in contents():
                with open(mount / name, "rb") as file:
                    self.assertTrue(file.read() == data, f"{name} of {writer} read by {reader}")
            if fragmented or reader != JUICEFS:
                with open(mount / "patched", "rb") as file:
                    self.assertTrue(file.read() == patched, f"patched of {writer} read by {reader}")
            mount.unmount()

    def patch(self, path):
        source = random.Random(12)
        data = bytearray(source.randbytes(6 * BLOCK))
        fd = os.open(path, os.O_CREAT | os.O_RDWR)
        os.write(fd, data)
        for _ in range(20):
            at, more = source.randrange(5 * BLOCK), source.randbytes(source.randrange(1, BLOCK))
            os.pwrite(fd, more, at)
            os.fsync(fd)
            data[at:at + len(more)] = more
        os.close(fd)
        return bytes(data)

    def test_lz4(self):
        self.both_ways("--compress", "lz4")

    def test_zstd(self):
        self.both_ways("--compress", "zstd", fragmented=False)

    def test_aes_gcm(self):
        self.both_ways(algorithm="aes256gcm-rsa")

    def test_chacha20_over_lz4_with_hash_prefix(self):
        self.both_ways("--compress", "lz4", "--hash-prefix", algorithm="chacha20-rsa")

    def test_aes_gcm_over_zstd_in_shards(self):
        self.both_ways("--compress", "zstd", algorithm="aes256gcm-rsa", shards=3, fragmented=False)


if __name__ == "__main__":
    if not JUICEFS or shutil.which(JUICEFS) is None:
        print("SKIPPED ALL: JUICEFS names no JuiceFS binary", file=sys.stderr)
        sys.exit(mounted.SKIPPED_ALL)
    mounted.main()
