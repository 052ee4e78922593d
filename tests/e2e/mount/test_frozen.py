#!/usr/bin/env python3
"""A mount that stands still past its expiry, is taken for dead by another, and goes on (a laptop that slept)."""
import fcntl
import os
import signal
import sys
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import mounted  # noqa: E402
import redis  # noqa: E402


class FrozenTest:
    """On any engine."""
    flags = ("--heartbeat", "1", "--hide-internal")  # expires after five seconds

    def setUp(self):
        self.volume = self.make_volume()
        self.mount = self.volume.mount(*self.flags)

    def freeze(self, how):
        for pid in self.mount.pids():
            os.kill(pid, how)

    def lock_when_the_holder_is_dead(self, mount):
        """Another client gets the lock once it has taken the holder for dead."""
        with open(mount / "locked") as file:
            fcntl.flock(file, fcntl.LOCK_EX)

    def test_open_files_without_a_name_are_still_there(self):
        # SEMANTICS: those of a client that died, or was not heard of, fall when its session expires (five heartbeats)
        # SEMANTICS: what it holds open without a name stays for an hour more
        # SEMANTICS: a client that only stood still (a laptop asleep) finds it again
        body = os.urandom(300_000)
        file = os.open(self.mount / "file", os.O_RDWR | os.O_CREAT)
        self.addCleanup(os.close, file)
        os.write(file, body)
        os.fsync(file)
        os.unlink(self.mount / "file")
        nameless = os.open(self.mount.path, os.O_RDWR | os.O_TMPFILE)
        self.addCleanup(os.close, nameless)
        os.write(nameless, b"never had one")
        os.fsync(nameless)
        lock = open(self.mount / "locked", "w")
        self.addCleanup(lock.close)
        fcntl.flock(lock, fcntl.LOCK_EX)

        other = self.volume.mount(*self.flags)  # now: a new process closes our files, and the frozen mount does not answer
        self.freeze(signal.SIGSTOP)
        try:
            begin = time.monotonic()
            self.lock_when_the_holder_is_dead(other)
            self.assertGreater(time.monotonic() - begin, 2, "the holder was taken for dead too soon")
            time.sleep(2.5)  # and buried, as far as it will be
        finally:
            self.freeze(signal.SIGCONT)

        self.assertEqual(body, os.pread(file, len(body), 0))
        self.assertEqual(b"never had one", os.pread(nameless, 100, 0))
        os.pwrite(file, b"and more", len(body))
        os.fsync(file)
        self.assertEqual(b"and more", os.pread(file, 100, len(body)))
        self.assertEqual(len(body) + 8, os.fstat(file).st_size)
        deadline = time.monotonic() + 30
        while "meta.session.came_back" not in self.mount.log_text() and time.monotonic() < deadline:
            time.sleep(0.1)
        self.assertEqual(1, self.mount.log_text().count("meta.session.came_back"), self.mount.log_text())
        self.assertNotIn("open_files_lost", self.mount.log_text())
        time.sleep(2.5)  # heartbeats of the other
        os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
        self.assertEqual(body, os.pread(file, len(body), 0))
        self.assertEqual(2, len([s for s in self.volume.status()["Sessions"] if s["ProcessID"]]))


class FrozenOnSqliteTest(FrozenTest, unittest.TestCase):
    def make_volume(self):
        return mounted.Volume(self)


class FrozenOnRedisTest(FrozenTest, unittest.TestCase):
    def make_volume(self):
        return redis.Volume(self, redis.Server(self).port)


if __name__ == "__main__":
    mounted.main()
