#!/usr/bin/env python3
"""Holes that stay: SEEK_DATA and SEEK_HOLE tell the same whatever becomes of the slices behind a file."""
import os
import random
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import mounted  # noqa: E402
from holes import compactions, data_of, pages_of, wait_for_compaction, write_each  # noqa: E402
from syscalls import FALLOC_KEEP_SIZE, FALLOC_PUNCH_HOLE, fallocate  # noqa: E402

CHUNK = 64 << 20


class HolesTest(mounted.MountedTest):
    def told(self, name):
        fd = os.open(self.path(name), os.O_RDONLY)
        try:
            return data_of(fd)
        finally:
            os.close(fd)

    def holds(self, name, body):
        with open(self.path(name), "rb") as file:
            self.assertTrue(file.read() == body, name)

    def compacted(self, name, pieces, times=2):
        """A file of those pieces, each written `times` times, before and after a compaction; what it holds."""
        body = write_each(self.path(name), pieces, times)
        before = os.stat(self.path(name))
        wait_for_compaction(self.mount, name, 0)
        self.assertEqual((before.st_size, before.st_blocks), (os.stat(self.path(name)).st_size, os.stat(self.path(name)).st_blocks))
        self.holds(name, body)
        return body

    def test_a_compaction_keeps_holes(self):
        """SEMANTICS: when small writes are rewritten as one, the 127 largest holes of each 64 MiB stay."""
        pieces = [(0, 12), (40960, 12), (81920, 12), (122752, 12), (1 << 20, 300_000), (CHUNK - 5, 5)]
        body = self.compacted("f", pieces)
        self.assertEqual(pages_of(pieces, len(body)), self.told("f"))
        self.remount()
        self.assertEqual(pages_of(pieces, len(body)), self.told("f"))
        self.holds("f", body)

    def test_holes_of_less_than_a_page_count_as_data(self):
        pieces = [(number * 4000, 100) for number in range(30)]
        body = self.compacted("f", pieces, times=1)
        self.assertEqual([(0, len(body))], self.told("f"))

    def test_of_too_many_holes_the_smallest_are_filled(self):
        """SEMANTICS: when small writes are rewritten as one, the 127 largest holes of each 64 MiB stay."""
        pieces, at = [], 0
        for number in range(180):
            pieces.append((at, 100))
            at += (2 + number) * 4096
        write_each(self.path("f"), pieces, times=1)
        self.assertEqual(180, len(self.told("f")))
        body = self.compacted("f", pieces)
        told = self.told("f")
        self.assertEqual(128, len(told))
        self.assertEqual(pages_of(pieces, len(body))[-127:], told[-127:])
        self.assertEqual((0, pieces[180 - 128][0] + 4096), told[0])

    def test_punched_and_cut_files_keep_their_holes(self):
        pieces = [(number * 500_000, 100_000) for number in range(4)]
        name = "f"
        body = bytearray(write_each(self.path(name), pieces, times=2))
        fd = os.open(self.path(name), os.O_RDWR)
        fallocate(fd, FALLOC_PUNCH_HOLE | FALLOC_KEEP_SIZE, 512_000, 40_960)
        body[512_000:552_960] = bytes(40_960)
        os.ftruncate(fd, 1_200_000)
        os.ftruncate(fd, len(body))
        body[1_200_000:] = bytes(len(body) - 1_200_000)
        os.pwrite(fd, b"end", 1_590_000)
        os.fsync(fd)
        body[1_590_000:1_590_003] = b"end"
        before = data_of(fd)
        self.assertEqual([(0, 102_400), (499_712, 512_000), (552_960, 602_112), (999_424, 1_101_824), (1_589_248, 1_593_344)], before)
        os.close(fd)
        wait_for_compaction(self.mount, name, 0)
        self.assertEqual(before, self.told(name))
        self.holds(name, bytes(body))
        self.remount()
        self.assertEqual(before, self.told(name))
        self.holds(name, bytes(body))

    def test_a_chunk_of_many_holes_is_not_rewritten_for_every_write(self):
        pieces = [(number * 200_000, 5000) for number in range(40)]
        body = self.compacted("f", pieces)
        done = compactions(self.mount)
        fd = os.open(self.path("f"), os.O_RDWR)
        self.addCleanup(os.close, fd)
        for number in range(20):
            os.pwrite(fd, b"x" * 100, number * 200_000)
            os.fsync(fd)
            os.pread(fd, 100, number * 200_000)
        self.assertEqual(done, compactions(self.mount))
        self.assertEqual(pages_of(pieces, len(body)), data_of(fd))


    def test_random_changes_tell_the_pages_that_were_written(self):
        seed = int(os.environ.get("KISEKI_SEED", "1"))
        chance, pages = random.Random(seed), 250  # fewer holes than would be filled
        body, written = bytearray(), set()
        fd = os.open(self.path("f"), os.O_CREAT | os.O_RDWR, 0o644)
        for step in range(int(os.environ.get("KISEKI_STEPS", "250"))):
            what = chance.random()
            page, count = chance.randrange(pages), chance.choice([1, 1, 2, 30])
            if what < 0.8:
                at = page * 4096 + chance.randrange(4096)
                piece = chance.randbytes(chance.choice([1, 100, 4096, 9000]))
                os.pwrite(fd, piece, at)
                body.extend(bytes(max(0, at + len(piece) - len(body))))
                body[at:at + len(piece)] = piece
                written.update(range(at // 4096, (at + len(piece) - 1) // 4096 + 1))
            elif what < 0.95:
                fallocate(fd, FALLOC_PUNCH_HOLE | FALLOC_KEEP_SIZE, page * 4096, count * 4096)
                end = max(page * 4096, min(len(body), (page + count) * 4096))
                body[page * 4096:end] = bytes(end - page * 4096)
                written -= set(range(page, page + count))
            else:
                os.ftruncate(fd, page * 4096)
                body = body[:page * 4096].ljust(page * 4096, b"\0")
                written = {kept for kept in written if kept < page}
            self.assertTrue(os.pread(fd, len(body) + 1, 0) == body, f"seed {seed}, step {step}")
            self.assertEqual(pages_of([(kept * 4096, 4096) for kept in written], len(body)), data_of(fd), f"seed {seed}, step {step}")
        os.close(fd)
        self.assertGreater(compactions(self.mount), 3)
        self.remount()
        self.holds("f", body)
        self.assertEqual(pages_of([(kept * 4096, 4096) for kept in written], len(body)), self.told("f"))

    def test_a_reader_elsewhere_sees_every_byte_in_its_place(self):
        """Both mounts compact the same chunk, and the old slices go at once: each page is of some version, never of another page."""
        pages, step = 12, 100_000
        other = self.volume.mount(*self.flags)
        stop, wrong, reads = threading.Event(), [], []

        def page_of(number, version):
            return bytes([number + 1, version % 251]) * 300

        def read():
            while not stop.is_set():
                with open(other / "f", "rb", buffering=0) as file:
                    os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
                    body = file.read(step * pages)
                for number in range(pages):
                    piece = body[number * step:number * step + 600]
                    if piece and piece != page_of(number, piece[1]):
                        wrong.append((number, piece[:4]))
                    if any(body[number * step + 600:(number + 1) * step]):
                        wrong.append((number, "its hole"))
                reads.append(len(body))

        fd = os.open(self.path("f"), os.O_CREAT | os.O_RDWR, 0o644)
        for number in range(pages):
            os.pwrite(fd, page_of(number, 0), number * step)
        os.fsync(fd)
        reader = threading.Thread(target=read)
        reader.start()
        try:
            for version in range(1, 25):
                for number in range(pages):
                    os.pwrite(fd, page_of(number, version), number * step)
                    os.fsync(fd)
                self.assertEqual(page_of(version % pages, version), os.pread(fd, 600, version % pages * step))
        finally:
            stop.set()
            reader.join()
            os.close(fd)
        self.assertEqual([], wrong[:5])
        self.assertGreater(len(reads), 5)
        self.assertGreater(compactions(self.mount) + compactions(other), 5)
        want = b"".join(page_of(number, 24).ljust(step, b"\0") for number in range(pages))[:(pages - 1) * step + 600]
        self.remount()
        self.holds("f", want)


if __name__ == "__main__":
    mounted.main()
