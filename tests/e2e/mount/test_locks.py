#!/usr/bin/env python3
"""Locks between processes: flock(2) and fcntl(2), waiting, and release when the holder dies."""
import errno
import fcntl
import multiprocessing
import os
import struct
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import mounted  # noqa: E402
from syscalls import F_OFD_GETLK, ofd_lock  # noqa: E402


def hold(path, lock, ready, release):
    fd = os.open(path, os.O_RDWR)
    lock(fd)
    ready.set()
    release.wait(60)
    os._exit(0)  # without unlocking: the end of the process is what releases


def ofd_first_ten(fd):
    ofd_lock(fd, fcntl.F_WRLCK, 0, 10)


def take_and_tell(path, lock, told):
    fd = os.open(path, os.O_RDWR)
    lock(fd)
    told.put(time.monotonic())


def add_many(path, count):
    for _ in range(count):
        fd = os.open(path, os.O_RDWR)
        fcntl.lockf(fd, fcntl.LOCK_EX)
        number = int(os.pread(fd, 20, 0) or b"0")
        os.pwrite(fd, b"%d" % (number + 1), 0)
        os.close(fd)  # closing releases a POSIX lock


def take_both(first, second, mine, theirs, told):
    """Takes one lock, waits until the other process has its own, wants that one too."""
    fds = [os.open(path, os.O_RDWR) for path in (first, second)]
    fcntl.lockf(fds[0], fcntl.LOCK_EX)
    mine.set()
    theirs.wait(30)
    try:
        fcntl.lockf(fds[1], fcntl.LOCK_EX)
        told.put(0)
    except OSError as refused:
        told.put(refused.errno)
    told.close()
    told.join_thread()
    os._exit(0)  # the end of the process releases what it has


def share_then_take(path, mine, theirs, told):
    """Shares a flock with the other process, then wants to have it alone."""
    fd = os.open(path, os.O_RDWR)
    fcntl.flock(fd, fcntl.LOCK_SH)
    mine.set()
    theirs.wait(30)
    fcntl.flock(fd, fcntl.LOCK_EX)
    told.put(os.getpid())
    fcntl.flock(fd, fcntl.LOCK_UN)


def whole_flock(fd):
    fcntl.flock(fd, fcntl.LOCK_EX)


def first_ten(fd):
    fcntl.lockf(fd, fcntl.LOCK_EX, 10, 0)


def run_apart(path, command, length, start):
    """Tries a lock in another process; answers its errno."""
    pid = os.fork()
    if pid == 0:
        try:
            fcntl.lockf(os.open(path, os.O_RDWR), command, length, start)
            os._exit(0)
        except OSError as problem:
            os._exit(problem.errno)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


class LocksTest(mounted.MountedTest):
    def setUp(self):
        super().setUp()
        self.file = self.path("lock")
        with open(self.file, "wb"):
            pass

    def holder(self, lock):
        ready, release = multiprocessing.Event(), multiprocessing.Event()
        process = multiprocessing.Process(target=hold, args=(self.file, lock, ready, release))
        process.start()
        self.addCleanup(process.kill)
        self.assertTrue(ready.wait(30))
        return process, release

    def busy(self, call, *arguments):
        with self.assertRaises(OSError) as refused:
            call(*arguments)
        self.assertIn(refused.exception.errno, (errno.EAGAIN, errno.EACCES))

    def until_granted(self, lock):
        deadline = time.monotonic() + 10  # the kernel tells the file system of a last close when it gets to it
        while True:
            try:
                return lock()
            except OSError:
                self.assertLess(time.monotonic(), deadline, "what is gone still holds its lock")
                time.sleep(0.02)

    def test_flock_excludes_and_ends_with_its_process(self):
        # SEMANTICS: and end with their process or their last descriptor
        process, _ = self.holder(whole_flock)
        fd = os.open(self.file, os.O_RDWR)
        self.busy(fcntl.flock, fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self.busy(fcntl.flock, fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        process.kill()
        process.join()
        self.until_granted(lambda: fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB))
        os.close(fd)

    def test_shared_flocks(self):
        first, second = os.open(self.file, os.O_RDWR), os.open(self.file, os.O_RDWR)
        fcntl.flock(first, fcntl.LOCK_SH)
        fcntl.flock(second, fcntl.LOCK_SH)
        self.busy(fcntl.flock, second, fcntl.LOCK_EX | fcntl.LOCK_NB)
        fcntl.flock(first, fcntl.LOCK_UN)
        fcntl.flock(second, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.close(first)
        os.close(second)

    def test_a_shared_flock_is_let_go_to_have_it_alone(self):
        # SEMANTICS: a flock that is shared and cannot be had alone at once is let go first, as on Linux
        told, one, two = multiprocessing.Queue(), multiprocessing.Event(), multiprocessing.Event()
        both = [multiprocessing.Process(target=share_then_take, args=(self.file, one, two, told)),
                multiprocessing.Process(target=share_then_take, args=(self.file, two, one, told))]
        for process in both:
            process.start()
            self.addCleanup(process.kill)
        self.assertEqual({process.pid for process in both}, {told.get(timeout=60) for _ in both})
        for process in both:
            process.join(30)
        first, second = os.open(self.file, os.O_RDWR), os.open(self.file, os.O_RDWR)
        fcntl.flock(first, fcntl.LOCK_SH)
        fcntl.flock(second, fcntl.LOCK_SH)
        self.busy(fcntl.flock, first, fcntl.LOCK_EX | fcntl.LOCK_NB)
        fcntl.flock(second, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.close(first)
        os.close(second)

    def test_ranges(self):
        # SEMANTICS: flock, fcntl record locks and locks of open files (F_OFD_SETLK) exclude each other's kind between processes
        self.holder(first_ten)
        fd = os.open(self.file, os.O_RDWR)
        self.busy(fcntl.lockf, fd, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, 9)
        fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB, 5, 10)
        asked = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
        told = struct.unpack("hhqqi4x", fcntl.fcntl(fd, fcntl.F_GETLK, asked))
        self.assertEqual((fcntl.F_WRLCK, 0, 10), (told[0], told[2], told[3]))
        os.close(fd)

    def test_locks_of_open_files(self):
        """locks of open files (F_OFD_SETLK) exclude other open files and end with the last descriptor."""
        first, second = os.open(self.file, os.O_RDWR), os.open(self.file, os.O_RDWR)
        ofd_first_ten(first)
        ofd_first_ten(first)
        self.busy(ofd_first_ten, second)
        self.assertEqual((fcntl.F_WRLCK, 0, 10), ofd_lock(second, fcntl.F_WRLCK, 5, 20, F_OFD_GETLK)[:3])
        ofd_lock(second, fcntl.F_WRLCK, 10, 10)
        copy = os.dup(first)
        os.close(first)
        self.busy(ofd_first_ten, second)
        os.close(os.open(self.file, os.O_RDWR))  # closing another open file takes nothing from this one
        self.busy(ofd_first_ten, second)
        os.close(copy)
        self.until_granted(lambda: ofd_first_ten(second))
        os.close(second)

    def test_locks_of_open_files_between_processes(self):
        process, release = self.holder(ofd_first_ten)
        mine = os.open(self.file, os.O_RDWR)
        self.busy(ofd_first_ten, mine)
        self.busy(fcntl.lockf, mine, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, 9)  # nor beside a lock of a process
        release.set()
        process.join()
        self.until_granted(lambda: ofd_first_ten(mine))
        os.close(mine)

    def test_closing_one_descriptor_drops_the_locks_of_its_process(self):
        """POSIX, and why databases keep their files open once: but never those taken through another one since."""
        first, second = os.open(self.file, os.O_RDWR), os.open(self.file, os.O_RDWR)
        fcntl.lockf(first, fcntl.LOCK_EX, 10, 0)
        os.close(second)
        second = os.open(self.file, os.O_RDWR)
        fcntl.lockf(second, fcntl.LOCK_EX, 10, 20)
        os.close(first)
        fcntl.lockf(second, fcntl.LOCK_EX, 10, 40)
        self.assertEqual(0, run_apart(self.file, fcntl.LOCK_EX | fcntl.LOCK_NB, 10, 0))
        self.assertEqual(0, run_apart(self.file, fcntl.LOCK_EX | fcntl.LOCK_NB, 10, 20))
        self.assertEqual(errno.EAGAIN, run_apart(self.file, fcntl.LOCK_EX | fcntl.LOCK_NB, 10, 40))
        os.close(second)

    def test_waiting_for(self):
        for lock in (whole_flock, first_ten):
            with self.subTest(lock=lock.__name__):
                process, release = self.holder(lock)
                told = multiprocessing.Queue()
                waiter = multiprocessing.Process(target=take_and_tell, args=(self.file, lock, told))
                waiter.start()
                time.sleep(0.5)
                self.assertTrue(told.empty(), "the lock was granted twice")
                released = time.monotonic()
                release.set()
                process.join()
                self.assertGreaterEqual(told.get(timeout=30), released)
                waiter.join()

    def test_a_deadlock_is_refused(self):
        """SEMANTICS: processes of one mount that wait for each other's record locks are told EDEADLK."""
        other = self.path("other")
        with open(other, "wb"):
            pass
        told, one, two = multiprocessing.Queue(), multiprocessing.Event(), multiprocessing.Event()
        both = [multiprocessing.Process(target=take_both, args=(self.file, other, one, two, told)),
                multiprocessing.Process(target=take_both, args=(other, self.file, two, one, told))]
        for process in both:
            process.start()
        self.assertEqual([0, errno.EDEADLK], sorted(told.get(timeout=60) for _ in both))
        for process in both:
            process.join(30)

    def test_an_interrupted_wait_ends(self):
        # SEMANTICS: wait, can be interrupted
        self.holder(whole_flock)
        told = multiprocessing.Queue()
        waiter = multiprocessing.Process(target=take_and_tell, args=(self.file, whole_flock, told))
        waiter.start()
        time.sleep(0.3)
        waiter.kill()
        waiter.join(10)
        self.assertIsNotNone(waiter.exitcode, "a killed process still waits for a lock")

    def test_counting_under_a_lock(self):
        adders = [multiprocessing.Process(target=add_many, args=(self.file, 60)) for _ in range(4)]
        for adder in adders:
            adder.start()
        for adder in adders:
            adder.join(120)
            self.assertEqual(0, adder.exitcode)
        with open(self.file) as file:
            self.assertEqual(240, int(file.read()))

    def test_two_clients_see_each_other(self):
        # SEMANTICS: flock and fcntl locks hold between clients
        other = self.volume.mount()
        mine, theirs = os.open(self.file, os.O_RDWR), os.open(other / "lock", os.O_RDWR)
        fcntl.flock(mine, fcntl.LOCK_EX)
        self.busy(fcntl.flock, theirs, fcntl.LOCK_EX | fcntl.LOCK_NB)
        fcntl.flock(mine, fcntl.LOCK_UN)
        fcntl.flock(theirs, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.close(mine)
        os.close(theirs)


if __name__ == "__main__":
    mounted.main()
