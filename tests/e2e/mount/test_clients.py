#!/usr/bin/env python3
"""Two mounts of one volume. Semantics: "who opens a file after another client closed it sees what was written"."""
import errno
import os
import random
import sys
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import mounted  # noqa: E402
import redis  # noqa: E402


class OnSqlite(unittest.TestCase):
    def make_volume(self):
        return mounted.Volume(self)

    def setUp(self):
        self.volume = self.make_volume()
        self.here, self.there = self.volume.mount(), self.volume.mount()

    def write_there(self, name, body, offset=0, keep_mtime=False):
        path = self.there / name
        before = os.stat(path).st_mtime_ns if keep_mtime else 0
        fd = os.open(path, os.O_WRONLY | os.O_CREAT, 0o644)
        os.pwrite(fd, body, offset)
        os.close(fd)
        if keep_mtime:
            os.utime(path, ns=(before, before))

    def check_here(self, name, want):
        with open(self.here / name, "rb") as file:
            seen = file.read()
        self.assertTrue(seen == want, f"{name}: not what the other client had closed")

    def test_overwrites_show_at_the_next_open(self):
        for name, size in (("small", 3000), ("large", 6_000_000)):
            for version in range(6):
                body = random.Random(version).randbytes(size)
                self.write_there(name, body, keep_mtime=version == 5)
                self.check_here(name, body)
                self.check_here(name, body)

    def test_a_piece_in_the_middle_shows_at_the_next_open(self):
        body = bytearray(random.Random(0).randbytes(5_000_000))
        self.write_there("f", bytes(body))
        self.check_here("f", bytes(body))
        for at in (0, 4096, 2_000_003, 4_999_990):
            body[at:at + 10] = b"0123456789"
            self.write_there("f", b"0123456789", at)
            self.check_here("f", bytes(body))

    def test_appends_show_at_the_next_open(self):
        body = b""
        for number in range(20):
            piece = bytes([65 + number]) * (1000 + 3000 * number)
            self.write_there("log", piece, len(body))
            body += piece
            self.check_here("log", body)

    def test_a_follower_meets_every_line_and_no_zeros(self):
        self.write_there("log", b"")
        reader = os.open(self.here / "log", os.O_RDONLY)
        writer = os.open(self.there / "log", os.O_WRONLY | os.O_APPEND)
        seen = want = b""
        for number in range(8):
            line = f"line {number}\n".encode() * 50
            os.write(writer, line)
            os.fsync(writer)
            want += line
            deadline = time.monotonic() + 20
            while len(seen) < len(want):
                seen += os.read(reader, 65536)
                self.assertTrue(want.startswith(seen), f"{seen[-60:]!r} after {len(want)} bytes")
                self.assertLess(time.monotonic(), deadline, "the follower waits in vain")
                time.sleep(0.01)
        os.close(reader)
        os.close(writer)

    def test_what_another_client_deletes_is_gone(self):
        # SEMANTICS: a file that another client deletes is gone for those who have it open here (ESTALE), unless there is a trash
        self.write_there("f", b"text")
        with open(self.here / "f", "rb", buffering=0) as file:
            os.unlink(self.there / "f")
            deadline = time.monotonic() + 10  # what is known here may be a second old
            with self.assertRaises(OSError) as gone:
                while time.monotonic() < deadline:
                    os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
                    os.pread(file.fileno(), 10, 0)
                    time.sleep(0.05)
        self.assertEqual(errno.ESTALE, gone.exception.errno)

    def test_what_was_cut_and_written_anew_shows_at_the_next_open(self):
        for version in range(5):
            body = bytes([97 + version]) * (1000 * (7 - version))
            with open(self.there / "f", "wb") as file:
                file.write(body)
            self.check_here("f", body)


class OnRedis(OnSqlite):
    def make_volume(self):
        server = redis.Server(self)
        volume = mounted.Volume(self, formatted=False)
        volume.meta = server.url()
        volume.run("format", volume.meta, "shared", "--bucket", volume.objects, "--trash-days", "0")
        return volume


if __name__ == "__main__":
    mounted.main()
