#!/usr/bin/env python3
"""Two mounts of one volume: what each may rely on of the other's changes and locks."""
import collections
import fcntl
import multiprocessing
import os
import stat
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import mounted  # noqa: E402

SECONDS = 20  # for what takes one at rest


def append(path, lines):
    """Through one descriptor, some of it synced at once."""
    fd = os.open(path, os.O_WRONLY | os.O_APPEND)
    for number, line in enumerate(lines):
        assert os.write(fd, line) == len(line)
        if number % 7 == 0:
            os.fsync(fd)
        if number % 3 == 0:
            time.sleep(0.001)
    os.close(fd)


def look(path, ended):
    while not ended.is_set():
        os.stat(path)


def lock_one_then_other(first, second, mine_is_held, other_is_held, told):
    one, two = os.open(first, os.O_RDWR), os.open(second, os.O_RDWR)
    fcntl.lockf(one, fcntl.LOCK_EX)
    mine_is_held.set()
    other_is_held.wait()
    try:
        fcntl.lockf(two, fcntl.LOCK_EX)
        told.put(0)
    except OSError as problem:
        told.put(problem.errno)


class TwoMountsTest(mounted.MountedTest):
    def setUp(self):
        super().setUp()
        self.there = self.volume.mount()

    def here_and_there(self, *names):
        return self.path(*names), os.path.join(self.there.path, *names)

    def soon(self, seen, what):
        """Waits until a change shows; kernels keep what they know for a second."""
        deadline = time.monotonic() + SECONDS
        while not seen():
            self.assertLess(time.monotonic(), deadline, f"{what} does not show in the other mount")
            time.sleep(0.05)

    def test_closed_files_are_seen_by_who_opens_them(self):
        """SEMANTICS: close-to-open: who opens a file after another client closed it sees what was written."""
        for turn in range(10):
            here, there = self.here_and_there("f")
            writer, reader = (here, there) if turn % 2 else (there, here)
            body = os.urandom(100_000 + turn * 1000)
            with open(writer, "wb") as file:
                file.write(body)
            with open(reader, "rb") as file:
                self.assertTrue(file.read() == body, f"turn {turn}")

    def test_an_open_shows_the_new_length_at_once(self):
        """The same where the reader's kernel has just been told the old length."""
        here, there = self.here_and_there("f")
        os.mknod(here)
        self.soon(lambda: os.path.exists(there), "a new name")
        for turn in range(1, 10):
            os.stat(there)
            with open(here, "ab") as file:
                file.write(b"x" * 1000)
            with open(there, "rb") as file:
                self.assertEqual(1000 * turn, len(file.read()))

    def test_other_changes_are_seen_soon(self):
        """SEMANTICS: in between, attributes and names may be up to --attr-cache, --entry-cache and --dir-entry-cache old (1 s each)."""
        here, there = self.here_and_there("f")
        os.mknod(here)
        os.mkdir(self.path("d"))
        self.soon(lambda: os.path.exists(there), "a new name")
        os.stat(self.there / "d")
        os.chmod(here, 0o600)
        os.chmod(self.path("d"), 0o700)
        self.soon(lambda: stat.S_IMODE(os.stat(there).st_mode) == 0o600, "a mode")
        self.soon(lambda: stat.S_IMODE(os.stat(self.there / "d").st_mode) == 0o700, "a directory's mode")
        os.rename(here, here + "2")
        self.soon(lambda: not os.path.exists(there) and os.path.exists(there + "2"), "a rename")
        os.unlink(there + "2")
        self.soon(lambda: not os.path.exists(here + "2"), "a removal")

    def test_writing_over_an_end_that_another_client_moved(self):
        """SEMANTICS: what is written over the end of a file that another client made shorter is stored as it is, if the descriptor was opened after that"""
        here, there = self.here_and_there("f")
        ended = multiprocessing.Event()
        with open(here, "wb") as file:
            file.write(b"0" * 44000)
        self.soon(lambda: os.path.exists(there), "a new name")
        watchers = [multiprocessing.Process(target=look, args=(here, ended)) for _ in range(3)]
        for watcher in watchers:
            watcher.start()
        try:
            for turn in range(150):
                self.assertEqual(20100 + turn % 7 * 1000, self.rewrite(there, os.O_TRUNC, b"s", 20100 + turn % 7 * 1000))
                flags = os.O_RDWR if turn % 2 else 0
                self.assertEqual(40000, self.rewrite(here, flags, b"%d" % (turn % 10), 40000))
                for path in (here, there):
                    with open(path, "rb") as file:
                        self.assertEqual({ord(b"%d" % (turn % 10)): 40000}, collections.Counter(file.read()), f"turn {turn}")
                self.rewrite(here, os.O_TRUNC, b"0", 44000)
        finally:
            ended.set()
            for watcher in watchers:
                watcher.join()

    def rewrite(self, path, flags, byte, length):
        fd = os.open(path, (os.O_WRONLY if not flags & os.O_RDWR else 0) | flags)
        try:
            return os.pwrite(fd, byte * length, 0)
        finally:
            os.close(fd)

    def test_locks_hold_between_mounts(self):
        """SEMANTICS: flock and fcntl locks hold between clients."""
        here, there = self.here_and_there("f")
        os.mknod(here)
        self.soon(lambda: os.path.exists(there), "a new name")
        mine, theirs = os.open(here, os.O_RDWR), os.open(there, os.O_RDWR)
        for take in (fcntl.flock, fcntl.lockf):
            take(mine, fcntl.LOCK_EX)
            with self.assertRaises(BlockingIOError):
                take(theirs, fcntl.LOCK_EX | fcntl.LOCK_NB)
            take(mine, fcntl.LOCK_UN)
            take(theirs, fcntl.LOCK_EX | fcntl.LOCK_NB)
            take(theirs, fcntl.LOCK_UN)

    def test_appending_from_both_loses_nothing(self):
        """SEMANTICS: of what several clients of Kiseki append to one file (O_APPEND) nothing is lost"""
        here, there = self.here_and_there("log")
        os.mknod(here)
        self.soon(lambda: os.path.exists(there), "a new name")
        sent = {number: [b"%d %05d %s\n" % (number, index, b"x" * (index * 37 % 3000)) for index in range(300)] for number in range(4)}
        writers = [multiprocessing.Process(target=append, args=((here, there)[number % 2], lines)) for number, lines in sent.items()]
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join(120)
            self.assertEqual(0, writer.exitcode)
        for path in (here, there):
            with open(path, "rb") as file:
                found = file.readlines()
            self.assertEqual(sum(map(len, sent.values())), len(found), path)
            for number, lines in sent.items():
                self.assertTrue(lines == [line for line in found if line.startswith(b"%d " % number)], f"{path}: those of {number}")

    def test_deadlocks_between_mounts(self):
        """SEMANTICS: deadlocks of record locks between mounts are not detected."""
        here, there = self.here_and_there("a")[0], self.here_and_there("b")[1]
        os.mknod(here)
        os.mknod(self.path("b"))
        self.soon(lambda: all(os.path.exists(self.there / name) for name in "ab"), "a new name")
        told, one, two = multiprocessing.Queue(), multiprocessing.Event(), multiprocessing.Event()
        waiting = [multiprocessing.Process(target=lock_one_then_other, args=(here, self.path("b"), one, two, told)),
                   multiprocessing.Process(target=lock_one_then_other, args=(there, self.there / "a", two, one, told))]
        for process in waiting:
            process.start()
        one.wait()
        two.wait()
        waiting[0].join(1.5)
        self.assertTrue(told.empty(), "nobody is told anything")
        waiting[0].kill()
        waiting[0].join()
        self.assertEqual(0, told.get(timeout=SECONDS), "who ends leaves the lock to the other")
        waiting[1].join(SECONDS)
        self.assertEqual(0, waiting[1].exitcode)


if __name__ == "__main__":
    mounted.main()
