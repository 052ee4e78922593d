#!/usr/bin/env python3
"""A broken or full store: an error for those who touch it, a line in the log, and no harm to the rest."""
import os
import shutil
import sys
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import mounted  # noqa: E402


class DamageTest(mounted.MountedTest):
    """What is broken below us becomes an error for those who touch it, said in the log, and hurts nobody else."""

    def test_a_truncated_block_is_an_io_error(self):
        # SEMANTICS: or has in the wrong length, reads as EIO, never as other bytes
        with open(self.path("good"), "wb") as file:
            file.write(b"g" * 100_000)
        good = set(self.volume.block_files())
        with open(self.path("bad"), "wb") as file:
            file.write(b"b" * (1 << 20))
        self.mount.unmount()
        blocks = [path for path in self.volume.block_files() if path not in good]
        self.assertEqual(1, len(blocks))
        os.truncate(blocks[0], 1000)
        self.mount = self.volume.mount("--io-retries", "1", "--get-timeout", "5s")
        with self.assertRaises(OSError) as broken:
            with open(self.path("bad"), "rb") as file:
                file.read()
        self.assertEqual(5, broken.exception.errno)
        with open(self.path("good"), "rb") as file:
            self.assertEqual(b"g" * 100_000, file.read())
        key = os.path.basename(blocks[0])
        deadline = time.monotonic() + 10
        while key not in self.mount.log_text() and time.monotonic() < deadline:
            time.sleep(0.1)
        self.assertIn(key, self.mount.log_text(), "the log does not name the damaged block")

    def test_a_missing_block_is_an_io_error(self):
        # SEMANTICS: a block that the metadata promises and the store lacks
        with open(self.path("lost"), "wb") as file:
            file.write(b"l" * (1 << 20))
        self.mount.unmount()
        for path in self.volume.block_files():
            os.unlink(path)
        self.mount = self.volume.mount("--io-retries", "1", "--get-timeout", "5s")
        with self.assertRaises(OSError) as broken:
            with open(self.path("lost"), "rb") as file:
                file.read()
        self.assertEqual(5, broken.exception.errno)
        os.unlink(self.path("lost"))


class FullStoreTest(unittest.TestCase):
    def test_a_full_store_is_told_to_the_writer(self):
        # SEMANTICS: what could not be stored of a file is told to each descriptor open meanwhile, once
        mounted.need(os.geteuid() == 0, "only root can mount a small tmpfs")
        volume = mounted.Volume(self)
        small = volume.objects.rstrip("/")
        shutil.rmtree(small, ignore_errors=True)
        os.mkdir(small)
        mounted.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", small])
        self.addCleanup(mounted.unmount_lazily, small)
        mount = volume.mount("--io-retries", "1", "--put-timeout", "5s")
        with open(mount / "fits", "wb") as file:
            file.write(b"f" * (4 << 20))
        with self.assertRaises(OSError) as full:
            fd = os.open(mount / "too-large", os.O_CREAT | os.O_WRONLY)
            try:
                for _ in range(64):
                    os.write(fd, b"t" * (1 << 20))
                os.fsync(fd)
            finally:
                try:
                    os.close(fd)
                except OSError:
                    pass
        self.assertIn(full.exception.errno, (5, 28))
        with open(mount / "fits", "rb") as file:
            self.assertTrue(file.read() == b"f" * (4 << 20))
        mounted.run(["mount", "-o", "remount,size=200m", small])
        with open(mount / "later", "wb") as file:
            file.write(b"a" * (1 << 20))
            os.fsync(file.fileno())
        mount.unmount()

    def test_plain_blocks_are_not_checked(self):
        """SEMANTICS: plain blocks in a directory are as good as the disk below."""
        volume = mounted.Volume(self)
        mount = volume.mount()
        with open(mount / "f", "wb") as file:
            file.write(b"a" * 100_000)
        mount.unmount()
        with open(volume.block_files()[0], "r+b") as block:
            block.write(b"b")
        with open(volume.mount() / "f", "rb") as file:
            self.assertTrue(file.read() == b"b" + b"a" * 99_999)


if __name__ == "__main__":
    mounted.main()
