#!/usr/bin/env python3
"""Volumes whose objects are compressed, encrypted, spread: what goes in comes out, what lies in the store is what the
format says, and damage is an error, never wrong bytes."""
import concurrent.futures
import os
import random
import re
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import mounted  # noqa: E402
import stored  # noqa: E402

PASSPHRASE = "correct horse"
BLOCK = 64 << 10
SIZES = (1, 100, BLOCK - 1, BLOCK, BLOCK + 1, 5 * BLOCK + 77)


def contents(seed):
    """Bytes of many sizes: some compress well, some do not at all."""
    source = random.Random(seed)
    for size in SIZES:
        yield f"noise-{size}", source.randbytes(size)
        yield f"text-{size}", (b"all work and no play " * (size // 21 + 1))[:size]


class CodecTest(unittest.TestCase):
    def setUp(self):
        os.environ["JFS_RSA_PASSPHRASE"] = PASSPHRASE
        self.addCleanup(os.environ.pop, "JFS_RSA_PASSPHRASE")

    def make_key(self, volume):
        mounted.need_tool("openssl")
        path = os.path.join(volume.root, "key.pem")
        subprocess.run(["openssl", "genrsa", "-aes256", "-passout", "env:JFS_RSA_PASSPHRASE", "-out", path, "2048"], check=True,
                       capture_output=True)
        return path

    def make(self, *flags, algorithm=None):
        volume = mounted.Volume(self, formatted=False)
        self.key = self.make_key(volume) if algorithm else None
        secret = ("--encrypt-rsa-key", self.key, "--encrypt-algo", algorithm) if algorithm else ()
        volume.run("format", volume.meta, "e2e", "--bucket", volume.objects, "--trash-days", "0", "--block-size", "64K", *secret, *flags)
        return volume

    def fill(self, mount, seed=7):
        for name, data in contents(seed):
            with open(mount / name, "wb") as file:
                file.write(data)
        source = random.Random(seed)
        self.patched = bytearray(source.randbytes(10 * BLOCK))
        fd = os.open(mount / "patched", os.O_CREAT | os.O_RDWR)
        os.write(fd, self.patched)
        for _ in range(60):
            at, data = source.randrange(9 * BLOCK), source.randbytes(source.randrange(1, BLOCK))
            os.pwrite(fd, data, at)
            self.patched[at:at + len(data)] = data
        os.close(fd)

    def compare(self, mount, seed=7):
        for name, data in contents(seed):
            with open(mount / name, "rb") as file:
                self.assertTrue(file.read() == data, name)
        source, fd = random.Random(seed), os.open(mount / "patched", os.O_RDONLY)
        for _ in range(200):
            at, size = source.randrange(10 * BLOCK), source.randrange(1, 3 * BLOCK)
            self.assertTrue(os.pread(fd, size, at) == self.patched[at:at + size], (at, size))
        os.close(fd)

    def round_trip(self, *flags, algorithm=None):
        volume = self.make(*flags, algorithm=algorithm)
        mount = volume.mount()
        self.fill(mount)
        self.compare(mount)
        mount.unmount()
        for more in ((), ("--cache-dir", "memory", "--cache-size", "0", "--buffer-size", "16M")):
            mount = volume.mount(*more)
            self.compare(mount)
            mount.unmount()
        return volume

    def decode_all(self, volume, decode):
        """Every block in the store becomes, decoded by other code, as long as its name says; answers all of them."""
        plain = []
        for path in volume.block_files():
            with open(path, "rb") as file:
                plain.append(decode(file.read(), int(path.rsplit("_", 1)[1])))
        for name, data in contents(7):
            for at in range(0, len(data), BLOCK):
                self.assertIn(data[at:at + BLOCK], plain, f"{name} at {at}")

    def test_lz4(self):
        self.decode_all(self.round_trip("--compress", "lz4"), stored.unlz4)

    def test_zstd(self):
        self.decode_all(self.round_trip("--compress", "zstd", "--hash-prefix"), stored.unzstd)

    def test_aes_gcm(self):
        volume = self.round_trip(algorithm="aes256gcm-rsa")
        self.decode_all(volume, lambda data, size: stored.unseal(data, self.key, "aes256gcm-rsa", PASSPHRASE))
        with open(os.path.join(volume.objects, "e2e", "juicefs_uuid"), "rb") as file:
            told = stored.unseal(file.read(), self.key, "aes256gcm-rsa", PASSPHRASE)
        self.assertEqual(volume.status()["Setting"]["UUID"].encode(), told)

    def test_chacha20_over_zstd(self):
        volume = self.round_trip("--compress", "zstd", algorithm="chacha20-rsa")
        self.decode_all(volume, lambda data, size: stored.unzstd(stored.unseal(data, self.key, "chacha20-rsa", PASSPHRASE), size))

    def test_shards(self):
        volume = mounted.Volume(self, formatted=False)
        volume.run("format", volume.meta, "e2e", "--bucket", volume.objects.rstrip("/") + "/s%d", "--shards", "3", "--block-size", "64K",
                   "--compress", "lz4")
        mount = volume.mount()
        self.fill(mount)
        mount.unmount()
        self.compare(volume.mount())
        for shard in range(3):
            folder = os.path.join(volume.objects, f"s{shard}", "e2e", "chunks")
            self.assertTrue(any(names for _, _, names in os.walk(folder)), f"nothing in shard {shard}")
            for top, _, names in os.walk(folder):
                for name in names:
                    key = os.path.relpath(os.path.join(top, name), os.path.join(volume.objects, f"s{shard}"))
                    hashed = 2166136261
                    for byte in key.encode():
                        hashed = (hashed ^ byte) * 16777619 % (1 << 32)
                    self.assertEqual(shard, hashed % 3, key)

    def test_the_largest_blocks(self):
        volume = self.make("--block-size", "16M", "--compress", "lz4", algorithm="aes256gcm-rsa")
        mount = volume.mount("--buffer-size", "100M")
        data = random.Random(1).randbytes(40 << 20)
        with open(mount / "big", "wb") as file:
            file.write(data)
        mount.unmount()
        mount = volume.mount("--buffer-size", "100M")
        with open(mount / "big", "rb") as file:
            self.assertTrue(file.read() == data)
        for pid in mount.pids():
            with open(f"/proc/{pid}/status") as text:
                peak = int(re.search(r"VmHWM:\s+(\d+)", text.read())[1])
            self.assertLess(peak >> 10, 250, "MiB at the peak")

    def crowd(self, work):
        """Eight at once."""
        with concurrent.futures.ThreadPoolExecutor(8) as crowd:
            for done in [crowd.submit(work, number) for number in range(8)]:
                done.result(60)

    def test_many_at_once_in_the_least_memory(self):
        # SEMANTICS: a size that does not hold a few blocks of the volume, 22 MiB for compressed or encrypted ones of 4 MiB,
        # is exceeded by that, and a warning says so
        volume = self.make("--block-size", "4M", "--compress", "zstd", algorithm="aes256gcm-rsa")
        mount = volume.mount("--buffer-size", "16M")
        self.assertIn('mount.small_buffers asked="16 MiB" taken="22 MiB"', mount.log_text())
        piece, pieces = 256 << 10, 36

        def body(number, index):
            return random.Random(number << 16 | index).randbytes(1024) * (piece // 1024)

        def write(number):
            order = list(range(pieces))
            random.Random(number).shuffle(order)
            with open(mount / f"f{number}", "wb", buffering=0) as file:
                for index in order:
                    os.pwrite(file.fileno(), body(number, index), index * piece)
                os.fsync(file.fileno())

        def read(number):
            order = list(range(pieces))
            if number % 2:
                random.Random(number).shuffle(order)
            with open(mount / f"f{number}", "rb", buffering=0) as file:
                for index in order:
                    self.assertTrue(os.pread(file.fileno(), piece, index * piece) == body(number, index), (number, index))

        self.crowd(write)
        mount.unmount()
        mount = volume.mount("--buffer-size", "16M")
        self.crowd(read)
        for pid in mount.pids():
            with open(f"/proc/{pid}/status") as text:
                peak = int(re.search(r"VmHWM:\s+(\d+)", text.read())[1])
            self.assertLess(peak >> 10, 22 + 50, "MiB at the peak")

    def damaged_is_an_error(self, *flags, algorithm=None):
        volume = self.make(*flags, algorithm=algorithm)
        mount = volume.mount()
        for name in ("one", "two"):
            with open(mount / name, "wb") as file:
                file.write(name.encode() * 10_000)
        mount.unmount()
        path, source = volume.block_files()[0], random.Random(3)
        with open(path, "rb") as file:
            good = file.read()
        for damage in (b"", b"\0" * 5, good[:-1], good[:len(good) // 2], source.randbytes(len(good)), b"\xff" * (1 << 20),
                       bytes([good[0] ^ 0x80]) + good[1:]):
            with open(path, "wb") as file:
                file.write(damage)
            mount = volume.mount()
            with self.assertRaises(OSError) as broken, open(mount / "one", "rb") as file:
                file.read()
            self.assertEqual(5, broken.exception.errno)
            with open(mount / "two", "rb") as file:
                self.assertEqual(b"two" * 10_000, file.read())
            mount.unmount()
            lines = [line for line in mount.log_text().splitlines() if "object.undecodable" in line]
            self.assertEqual(1, len({line.split("key=")[1] for line in lines}), lines)
            self.assertIn(os.path.basename(path), lines[0])

    def test_damaged_lz4(self):
        # SEMANTICS: on compressed ones when they no longer decode to the block's length
        self.damaged_is_an_error("--compress", "lz4")

    def test_damaged_zstd(self):
        self.damaged_is_an_error("--compress", "zstd")

    def test_damaged_aes(self):
        # SEMANTICS: bytes that were changed in the store show on encrypted volumes (every change does)
        self.damaged_is_an_error(algorithm="aes256gcm-rsa")

    def test_encryption_is_decided_once(self):
        volume = self.make(algorithm="aes256gcm-rsa")
        before = volume.status()["Setting"]
        told = volume.run("format", volume.meta, "e2e", "--encrypt-algo", "chacha20-rsa", "--trash-days", "3")
        self.assertIn("encrypt-algo", told.stderr)
        self.assertEqual({**before, "TrashDays": 3}, volume.status()["Setting"])
        refused = volume.run("format", volume.meta, "e2e", "--compress", "lz4", check=False)
        self.assertEqual(1, refused.returncode)
        self.assertIn("compression of a volume cannot change", refused.stderr)


if __name__ == "__main__":
    mounted.main()
