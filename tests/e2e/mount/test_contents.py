#!/usr/bin/env python3
"""File contents: what read, write, truncate, mmap, holes, copies and appends promise, and two programs at once."""
import errno
import hashlib
import mmap
import multiprocessing
import os
import random
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import mounted  # noqa: E402

CHUNK = 64 << 20
BLOCK = 4 << 20
FALLOC_KEEP_SIZE, FALLOC_PUNCH_HOLE, FALLOC_ZERO_RANGE = 1, 2, 16


def fallocate(fd, mode, offset, length):
    import ctypes
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.fallocate(fd, mode, ctypes.c_long(offset), ctypes.c_long(length)) != 0:
        raise OSError(ctypes.get_errno(), "fallocate")


def append_lines(path, writer, count):
    fd = os.open(path, os.O_WRONLY | os.O_APPEND)
    for number in range(count):
        os.write(fd, b"%d %06d %s\n" % (writer, number, b"x" * 40))
    os.close(fd)


def write_stripes(path, writer, writers, stripe, count):
    fd = os.open(path, os.O_WRONLY)
    for number in range(count):
        if number % writers == writer:
            os.pwrite(fd, bytes([number % 251]) * stripe, number * stripe)
    os.close(fd)


class ContentsTest(mounted.MountedTest):
    def put(self, name, body):
        with open(self.path(name), "wb") as file:
            file.write(body)

    def get(self, name):
        with open(self.path(name), "rb") as file:
            return file.read()

    def test_sparse_file_of_3_gib(self):
        marks = {0: b"first", CHUNK - 3: b"across a chunk", (1 << 30) + 7: b"middle", (3 << 30) - 4: b"last"}
        fd = os.open(self.path("sparse"), os.O_RDWR | os.O_CREAT, 0o644)
        for offset, body in marks.items():
            os.pwrite(fd, body, offset)
        os.close(fd)
        self.remount()
        fd = os.open(self.path("sparse"), os.O_RDONLY)
        self.assertEqual(3 << 30, os.fstat(fd).st_size)
        for offset, body in marks.items():
            self.assertEqual(body, os.pread(fd, len(body), offset))
            self.assertEqual(b"\0" * 8, os.pread(fd, 8, max(0, offset - 8)) if offset else b"\0" * 8)
        for offset in (CHUNK + 100, (2 << 30) + 1, (3 << 30) - 70000):
            self.assertEqual(bytes(65536), os.pread(fd, 65536, offset))
        os.close(fd)
        fd = os.open(self.path("sparse"), os.O_RDWR)
        os.ftruncate(fd, 1 << 30)
        os.ftruncate(fd, 2 << 30)
        self.assertEqual(bytes(16), os.pread(fd, 16, (1 << 30) + 4))
        os.close(fd)

    def test_unlinked_while_open(self):
        # SEMANTICS: an open file lives on without names until its last close
        fd = os.open(self.path("gone"), os.O_RDWR | os.O_CREAT, 0o600)
        os.write(fd, b"before")
        os.unlink(self.path("gone"))
        self.assertFalse(os.path.exists(self.path("gone")))
        os.pwrite(fd, b"after!" * 1000, 6)
        os.fsync(fd)
        self.assertEqual(b"beforeafter!", os.pread(fd, 12, 0))
        self.assertEqual(0, os.fstat(fd).st_nlink)
        self.assertEqual(6006, os.fstat(fd).st_size)
        os.ftruncate(fd, 3)
        self.assertEqual(b"bef", os.pread(fd, 100, 0))
        os.close(fd)

    def test_replaced_by_rename_while_open(self):
        self.put("old", b"old body")
        self.put("new", b"new body")
        fd = os.open(self.path("old"), os.O_RDONLY)
        os.rename(self.path("new"), self.path("old"))
        self.assertEqual(b"old body", os.pread(fd, 100, 0))
        self.assertEqual(b"new body", self.get("old"))
        os.close(fd)

    def test_two_processes_append(self):
        self.put("log", b"")
        count = 400
        writers = [multiprocessing.Process(target=append_lines, args=(self.path("log"), n, count)) for n in (1, 2)]
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join()
            self.assertEqual(0, writer.exitcode)
        self.remount()
        lines = self.get("log").splitlines()
        self.assertEqual(2 * count, len(lines))
        for writer in (b"1", b"2"):
            mine = [line for line in lines if line.startswith(writer + b" ")]
            self.assertEqual([b"%s %06d %s" % (writer, n, b"x" * 40) for n in range(count)], mine)

    def test_append_follows_the_end(self):
        self.put("a", b"12345")
        fd = os.open(self.path("a"), os.O_RDWR | os.O_APPEND)
        os.lseek(fd, 0, os.SEEK_SET)
        os.write(fd, b"6")
        os.truncate(self.path("a"), 2)
        os.write(fd, b"x")
        os.close(fd)
        self.assertEqual(b"12x", self.get("a"))

    def test_open_with_truncation(self):
        self.put("t", b"y" * 100000)
        fd = os.open(self.path("t"), os.O_WRONLY | os.O_TRUNC)
        self.assertEqual(0, os.fstat(fd).st_size)
        os.write(fd, b"z")
        os.close(fd)
        self.assertEqual(b"z", self.get("t"))

    def test_truncate_in_every_direction(self):
        body = random.Random(1).randbytes(9 << 20)
        self.put("t", body)
        shadow = bytearray(body)
        for length in (BLOCK + 1, BLOCK, BLOCK - 1, 3 * BLOCK, BLOCK // 2, 0, 1, CHUNK + 5, 70, 4096, 4097):
            os.truncate(self.path("t"), length)
            shadow = shadow[:length] + bytes(length - len(shadow[:length]))
            self.assertEqual(length, os.stat(self.path("t")).st_size)
            self.assertTrue(self.get("t") == bytes(shadow), f"contents differ after truncate to {length}")
        fd = os.open(self.path("t"), os.O_RDWR)
        for length in (10000, 100, 50000, 0, 8192):
            os.ftruncate(fd, length)
            os.pwrite(fd, b"!", length // 2)
            shadow = shadow[:length] + bytes(length - len(shadow[:length]))
            shadow[length // 2:length // 2 + 1] = b"!"
            self.assertTrue(os.pread(fd, 1 << 20, 0) == bytes(shadow), f"contents differ after ftruncate to {length}")
        os.close(fd)
        with self.assertRaises(OSError) as refused:
            os.truncate(self.path("t"), 1 << 62)
        self.assertIn(refused.exception.errno, (errno.EFBIG, errno.EINVAL))

    def test_shared_mapping(self):
        # SEMANTICS: mmap is coherent within one mount
        self.put("m", bytes(300000))
        with open(self.path("m"), "r+b") as file, mmap.mmap(file.fileno(), 0) as mapped:
            mapped[0:5] = b"start"
            mapped[123456:123460] = b"mid!"
            mapped[299995:300000] = b"final"
            mapped.flush()
            self.assertEqual(b"mid!", os.pread(file.fileno(), 4, 123456))
            os.pwrite(file.fileno(), b"seen", 200000)
            self.assertEqual(b"seen", mapped[200000:200004])
        self.remount()
        body = self.get("m")
        self.assertEqual(300000, len(body))
        self.assertEqual((b"start", b"mid!", b"seen", b"final"), (body[:5], body[123456:123460], body[200000:200004], body[299995:]))

    def test_mapping_outlives_its_descriptor(self):
        self.put("m", bytes(100000))
        fd = os.open(self.path("m"), os.O_RDWR)
        mapped = mmap.mmap(fd, 0)
        os.close(fd)
        mapped[50000:50003] = b"abc"
        mapped.close()
        self.remount()
        self.assertEqual(b"abc", self.get("m")[50000:50003])

    def test_concurrent_writers_in_one_file(self):
        writers, stripe, count = 4, 10000, 600
        self.put("striped", b"")
        working = [multiprocessing.Process(target=write_stripes, args=(self.path("striped"), n, writers, stripe, count))
                   for n in range(writers)]
        for writer in working:
            writer.start()
        for writer in working:
            writer.join()
            self.assertEqual(0, writer.exitcode)
        wanted = b"".join(bytes([n % 251]) * stripe for n in range(count))
        self.assertTrue(self.get("striped") == wanted, "before the remount")
        self.remount()
        self.assertTrue(self.get("striped") == wanted, "after the remount")

    def test_seek_data_and_hole(self):
        # SEMANTICS: SEEK_DATA and SEEK_HOLE tell holes in whole pages of 4 KiB
        fd = os.open(self.path("h"), os.O_RDWR | os.O_CREAT)
        os.pwrite(fd, b"d" * 4096, 1 << 20)
        os.ftruncate(fd, 3 << 20)
        os.fsync(fd)
        # A file system may call everything data (a hole only at the end), never call data a hole.
        data = os.lseek(fd, 0, os.SEEK_DATA)
        self.assertLessEqual(data, 1 << 20)
        hole = os.lseek(fd, 1 << 20, os.SEEK_HOLE)
        self.assertTrue((1 << 20) + 4096 <= hole <= 3 << 20, hole)
        with self.assertRaises(OSError) as beyond:
            os.lseek(fd, 3 << 20, os.SEEK_DATA)
        self.assertEqual(errno.ENXIO, beyond.exception.errno)
        os.close(fd)

    def test_fallocate(self):
        body = random.Random(2).randbytes(6 << 20)
        self.put("f", body)
        shadow = bytearray(body)
        fd = os.open(self.path("f"), os.O_RDWR)
        fallocate(fd, FALLOC_PUNCH_HOLE | FALLOC_KEEP_SIZE, 1000, 3 << 20)
        shadow[1000:1000 + (3 << 20)] = bytes(3 << 20)
        self.assertTrue(os.pread(fd, 6 << 20, 0) == bytes(shadow), "after the punch")
        fallocate(fd, FALLOC_ZERO_RANGE, (6 << 20) - 10, 1010)
        shadow[(6 << 20) - 10:] = bytes(1010)
        self.assertTrue(os.pread(fd, 7 << 20, 0) == bytes(shadow), "after the zeroed range")
        fallocate(fd, 0, 0, 7 << 20)
        shadow += bytes((7 << 20) - len(shadow))
        self.assertEqual(7 << 20, os.fstat(fd).st_size)
        os.close(fd)
        self.remount()
        self.assertTrue(self.get("f") == bytes(shadow), "after the remount")

    def test_copy_file_range(self):
        body = random.Random(3).randbytes(10 << 20)
        self.put("from", body)
        source, target = os.open(self.path("from"), os.O_RDONLY), os.open(self.path("to"), os.O_RDWR | os.O_CREAT)
        os.pwrite(target, b"T" * 100, 0)
        done = 0
        while done < 5_000_000:
            done += os.copy_file_range(source, target, 5_000_000 - done, 3_000_001 + done, 50 + done)
        wanted = b"T" * 50 + body[3_000_001:8_000_001]
        self.assertTrue(os.pread(target, 6 << 20, 0) == wanted, "the copy differs")
        os.pwrite(target, b"changed", 1000)
        os.close(source)
        os.close(target)
        self.assertTrue(self.get("from") == body, "the source changed with its copy")
        self.remount()
        self.assertTrue(self.get("to") == wanted[:1000] + b"changed" + wanted[1007:], "after the remount")

    def test_direct_and_buffered_agree(self):
        page = mmap.mmap(-1, 1 << 20)
        page.write(b"D" * (1 << 20))
        fd = os.open(self.path("d"), os.O_RDWR | os.O_CREAT | os.O_DIRECT)
        self.assertEqual(1 << 20, os.writev(fd, [page]))
        os.fsync(fd)
        self.put_at("d", 4096, b"buffered")
        self.assertEqual(1 << 20, os.preadv(fd, [page], 0))
        self.assertEqual(b"D" * 4096 + b"buffered" + b"D" * 10, page[:4114])
        os.close(fd)

    def put_at(self, name, offset, body):
        fd = os.open(self.path(name), os.O_WRONLY)
        os.pwrite(fd, body, offset)
        os.fsync(fd)
        os.close(fd)

    def test_reads_at_and_past_the_end(self):
        self.put("e", b"0123456789")
        fd = os.open(self.path("e"), os.O_RDONLY)
        self.assertEqual(b"89", os.pread(fd, 100, 8))
        self.assertEqual(b"", os.pread(fd, 100, 10))
        self.assertEqual(b"", os.pread(fd, 100, 1 << 40))
        with self.assertRaises(OSError) as refused:
            os.write(fd, b"x")
        self.assertEqual(errno.EBADF, refused.exception.errno)
        os.close(fd)

    def test_256_mib_keep_their_digest(self):
        digest, source = hashlib.sha256(), random.Random(4)
        pieces = [source.randbytes(1 << 20) for _ in range(16)]
        with open(self.path("big"), "wb") as file:
            for number in range(256):
                file.write(pieces[number * 7 % 16])
                digest.update(pieces[number * 7 % 16])
        self.remount()
        with open(self.path("big"), "rb") as file:
            self.assertEqual(digest.hexdigest(), hashlib.file_digest(file, "sha256").hexdigest())


class Shadow:
    """A file and the bytes it must hold."""

    def __init__(self, path, seed):
        self.path, self.random, self.body = path, random.Random(seed), bytearray()
        self.limit = 9 << 20
        self.fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)

    def range(self):
        offset = self.random.choice((self.random.randrange(self.limit), self.random.randrange(70000),
                                     BLOCK - 4096 + self.random.randrange(8192), len(self.body)))
        return min(offset, self.limit - 1), self.random.choice((1, 100, 4096, 65536, self.random.randrange(1, 600000)))

    def put(self, offset, piece):
        if len(self.body) < offset:
            self.body += bytes(offset - len(self.body))
        self.body[offset:offset + len(piece)] = piece

    def write(self):
        offset, length = self.range()
        piece = self.random.randbytes(length)
        assert os.pwrite(self.fd, piece, offset) == length
        self.put(offset, piece)

    def truncate(self):
        length = self.random.choice((0, self.random.randrange(self.limit), max(0, len(self.body) - self.random.randrange(9000))))
        os.ftruncate(self.fd, length)
        self.body = self.body[:length] + bytes(length - len(self.body[:length]))

    def map_write(self):
        if not self.body:
            return
        offset, length = self.range()
        offset = min(offset, len(self.body) - 1)
        piece = self.random.randbytes(min(length, len(self.body) - offset))
        with mmap.mmap(self.fd, len(self.body)) as mapped:
            mapped[offset:offset + len(piece)] = piece
        self.put(offset, piece)

    def punch(self):
        offset, length = self.range()
        fallocate(self.fd, FALLOC_PUNCH_HOLE | FALLOC_KEEP_SIZE, offset, length)
        hole = max(0, min(offset + length, len(self.body)) - offset)
        if hole:
            self.put(offset, bytes(hole))

    def copy_range(self):
        (source, length), (target, _) = self.range(), self.range()
        if abs(source - target) < length or source >= len(self.body):
            return
        length = min(length, len(self.body) - source)
        done = os.copy_file_range(self.fd, self.fd, length, source, target)
        self.put(target, self.body[source:source + done])

    def sync(self):
        os.fsync(self.fd)

    def reopen(self):
        os.close(self.fd)
        self.fd = os.open(self.path, os.O_RDWR)

    def check(self):
        offset, length = self.range()
        wanted = bytes(self.body[offset:offset + length])
        return os.pread(self.fd, length, offset) == wanted and os.fstat(self.fd).st_size == len(self.body)

    def check_all(self):
        return os.pread(self.fd, self.limit * 2, 0) == bytes(self.body)


class RandomOperationsTest(mounted.MountedTest):
    """Random calls on a file and on a byte array; a failure names the seed and the step."""

    def run_seed(self, seed, steps):
        shadow = Shadow(self.path(f"shadow{seed}"), seed)
        actions = [shadow.write] * 5 + [shadow.truncate, shadow.map_write, shadow.map_write, shadow.punch, shadow.copy_range,
                                        shadow.sync, shadow.reopen]
        for step in range(steps):
            action = shadow.random.choice(actions)
            action()
            self.assertTrue(shadow.check(), f"seed {seed}, step {step}: after {action.__name__}")
        self.assertTrue(shadow.check_all(), f"seed {seed}: the whole file at the end")
        os.close(shadow.fd)
        return shadow

    def test_seeds(self):
        first = int(os.environ.get("KISEKI_SEED", "1"))
        shadows = [self.run_seed(seed, 150) for seed in range(first, first + int(os.environ.get("KISEKI_SEEDS", "6")))]
        self.remount()
        for number, shadow in enumerate(shadows):
            with open(self.path(os.path.basename(shadow.path)), "rb") as file:
                self.assertTrue(file.read() == bytes(shadow.body), f"seed {first + number}: after the remount")


if __name__ == "__main__":
    mounted.main()
