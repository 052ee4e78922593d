#!/usr/bin/env python3
"""kill -9 of the client under load: what fsync had confirmed is there and intact, and the dead session goes away."""
import errno
import fcntl
import hashlib
import mmap
import multiprocessing
import os
import resource
import signal
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import mounted  # noqa: E402


def body_of(name, version):
    """Contents that their name and version determine: from a few bytes to five MiB."""
    seed = hashlib.sha256(f"{name} {version}".encode()).digest()
    length = (10, 4096, 100_001, 1 << 20, 5_000_000)[seed[0] % 5]
    return (seed * (length // 32 + 1))[:length]


def write_and_confirm(folder, writer, confirmed):
    """Creates, overwrites and renames files until the file system dies under us; tells what fsync confirmed."""
    number = 0
    try:
        while True:
            name = f"w{writer}-{number}"
            fd = os.open(os.path.join(folder, name + ".part"), os.O_CREAT | os.O_WRONLY, 0o644)
            body = body_of(name, 1)
            for start in range(0, len(body), 65536):
                os.write(fd, body[start:start + 65536])
            os.fsync(fd)
            os.close(fd)
            os.rename(os.path.join(folder, name + ".part"), os.path.join(folder, name))
            confirmed.put(name)
            number += 1
    except OSError:
        pass  # the client is gone, as planned


class CrashTest(mounted.MountedTest):
    flags = ("--heartbeat", "1s")

    def sessions(self):
        return self.volume.status()["Sessions"] or []

    def load_and_kill(self, seconds):
        confirmed = multiprocessing.Queue()
        writers = [multiprocessing.Process(target=write_and_confirm, args=(self.mount.path, n, confirmed)) for n in range(3)]
        for writer in writers:
            writer.start()
        names, deadline = [], time.monotonic() + seconds
        while time.monotonic() < deadline:
            while not confirmed.empty():
                names.append(confirmed.get())
            time.sleep(0.01)
        self.mount.kill()
        time.sleep(0.2)
        while not confirmed.empty():
            names.append(confirmed.get())
        for writer in writers:
            writer.join(20)
            if writer.is_alive():
                writer.kill()
        return names

    def check(self, names):
        for name in names:
            with open(self.path(name), "rb") as file:
                self.assertTrue(file.read() == body_of(name, 1), f"{name} was confirmed by fsync and now differs")

    def test_what_was_synced_survives(self):
        """SEMANTICS: every record of it is committed: a crash of the client (kill -9 too) loses none of it."""
        names = []
        for round_number in range(3):
            before = {n.split("-")[0]: 0 for n in names}
            for name in os.listdir(self.path()):  # the next writers begin at number 0 again
                if name.startswith("w"):
                    os.unlink(self.path(name))
            names = self.load_and_kill(2.0 + round_number * 0.37)
            self.assertGreater(len(names), 5, f"hardly anything was written {before}")
            self.mount = self.volume.mount(*self.flags)
            self.check(names)
            for name in os.listdir(self.path()):
                if name.startswith("w"):  # unconfirmed files may be short, but must be readable and removable
                    with open(self.path(name), "rb") as file:
                        file.read()
        for name in os.listdir(self.path()):
            if name.startswith("w"):
                os.unlink(self.path(name))

    def test_what_was_closed_survives(self):
        """SEMANTICS: when fsync, fdatasync or close returns success, every byte written before is in the object store."""
        for number in range(20):
            with open(self.path(f"closed{number}"), "wb") as file:
                file.write(body_of("closed", number))
        self.mount.kill()
        self.mount = self.volume.mount(*self.flags)
        for number in range(20):
            with open(self.path(f"closed{number}"), "rb") as file:
                self.assertTrue(file.read() == body_of("closed", number), number)

    def test_synced_bytes_of_an_open_file_survive(self):
        """SEMANTICS: write puts bytes in memory."""
        fd = os.open(self.path("log"), os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o644)
        os.write(fd, b"A" * 300_000)
        os.fsync(fd)
        os.write(fd, b"B" * 1000)
        self.mount.kill()
        try:
            os.close(fd)
        except OSError:
            pass
        self.mount = self.volume.mount(*self.flags)
        with open(self.path("log"), "rb") as file:
            body = file.read()
        self.assertTrue(body[:300_000] == b"A" * 300_000)
        self.assertIn(body[300_000:], (b"", b"B" * 1000))

    def test_direct_writes_that_asked_to_be_durable_survive(self):
        page = mmap.mmap(-1, 8192)
        page.write(b"D" * 8192)
        written = {}
        for name, flags, how in (("rwf_dsync", 0, os.RWF_DSYNC), ("rwf_sync", 0, os.RWF_SYNC), ("o_dsync", os.O_DSYNC, 0),
                                 ("o_sync", os.O_SYNC, 0)):
            written[name] = os.open(self.path(name), os.O_CREAT | os.O_RDWR | os.O_DIRECT | flags, 0o644)
            self.assertEqual(8192, os.pwritev(written[name], [page], 4096, how))
        self.mount.kill()
        for fd in written.values():
            try:
                os.close(fd)
            except OSError:
                pass
        self.mount = self.volume.mount(*self.flags)
        for name in written:
            with open(self.path(name), "rb") as file:
                self.assertEqual(bytes(4096) + b"D" * 8192, file.read(), name)

    def test_the_dead_session_goes_away(self):
        victim = self.sessions()
        self.assertEqual(1, len(victim))
        fd = os.open(self.path("open-and-unlinked"), os.O_CREAT | os.O_RDWR)
        os.write(fd, b"x" * (1 << 20))
        os.fsync(fd)
        os.unlink(self.path("open-and-unlinked"))
        self.mount.kill()
        try:
            os.close(fd)
        except OSError:
            pass
        self.mount = self.volume.mount(*self.flags)
        dead = victim[0]["Sid"]
        deadline = time.monotonic() + 30  # expiry is five heartbeats; then the next client's turn to clean
        while dead in [s["Sid"] for s in self.sessions()]:
            self.assertLess(time.monotonic(), deadline, f"session {dead} is still listed")
            time.sleep(0.5)
        self.assertEqual(1, len(self.sessions()))
        deadline = time.monotonic() + 30
        while self.volume.block_files():  # the sustained file's data went with its session
            self.assertLess(time.monotonic(), deadline, "the unlinked file's blocks are still in the store")
            time.sleep(0.5)

    def test_locks_of_the_dead_go_away(self):
        import fcntl
        with open(self.path("lock"), "wb"):
            pass
        fd = os.open(self.path("lock"), os.O_RDWR)
        fcntl.flock(fd, fcntl.LOCK_EX)
        self.mount.kill()
        try:
            os.close(fd)
        except OSError:
            pass
        self.mount = self.volume.mount(*self.flags)
        fd = os.open(self.path("lock"), os.O_RDWR)
        deadline = time.monotonic() + 30
        while True:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError:
                self.assertLess(time.monotonic(), deadline, "a dead client's lock is still held")
                time.sleep(0.3)
        os.close(fd)


class SupervisedRestartTest(mounted.MountedTest):
    """The process that serves dies, the supervisor starts the next one; descriptors of before stay open."""

    def setUp(self):
        resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
        super().setUp()

    def worker(self):
        for pid in self.mount.pids():
            try:
                with open(f"/proc/{pid}/comm") as text:
                    if text.read().strip() == "kiseki-worker":
                        return pid
            except OSError:
                continue
        return None

    def restart(self):
        dead = self.worker()
        os.kill(dead, signal.SIGSEGV)
        deadline = time.monotonic() + 60
        while self.worker() in (None, dead):
            self.assertLess(time.monotonic(), deadline, "no next worker: " + self.mount.log_text())
            time.sleep(0.02)
        self.assertTrue(os.path.isdir(self.path()))  # answered

    def open_file(self, name, body, flags=os.O_RDWR):
        with open(self.path(name), "wb") as file:
            file.write(body)
        return os.open(self.path(name), flags)

    def test_descriptors_keep_their_files(self):
        # SEMANTICS: with mount -d the next process serves on
        # SEMANTICS: what was written and not yet stored is lost, and the next fsync or close of each descriptor that may have written, for all the new process knows, says EIO, once
        old = {name: self.open_file(name, name.encode() * 1000) for name in ("a", "b", "c", "d")}
        self.restart()
        new = {name: self.open_file(name, name.encode() * 1000) for name in ("w", "x", "y", "z")}
        for name, fd in {**old, **new}.items():
            self.assertEqual(name.encode() * 1000, os.pread(fd, 5000, 0), name)
        for name, fd in old.items():
            self.assertEqual(9, os.pwrite(fd, name.encode() + b" was here", 0) - 1)
        for name, fd in new.items():
            os.fsync(fd)
            self.assertEqual(name.encode() * 1000, os.pread(fd, 5000, 0), name)
        for name, fd in old.items():
            with self.assertRaises(OSError) as lost:  # it could write, and the process that knew what is gone
                os.fsync(fd)
            self.assertEqual(errno.EIO, lost.exception.errno)
            os.fsync(fd)
        for fd in (*old.values(), *new.values()):
            os.close(fd)
        self.remount()
        for name in new:
            with open(self.path(name), "rb") as file:
                self.assertEqual(name.encode() * 1000, file.read())
        for name in old:
            with open(self.path(name), "rb") as file:
                self.assertEqual((name + " was here").encode() + name.encode() * (1000 - 10), file.read())

    def test_readers_listings_and_nameless_files_go_on(self):
        # SEMANTICS: open descriptors and directories go on with their files, locks stay
        reader = self.open_file("r", b"read", os.O_RDONLY)
        nameless = self.open_file("gone", b"still here", os.O_RDONLY)
        os.unlink(self.path("gone"))
        os.mkdir(self.path("d"))
        for number in range(100):
            os.mkdir(self.path("d", f"n{number}"))
        here = os.open(self.path("d"), os.O_RDONLY | os.O_DIRECTORY)
        self.restart()
        self.assertEqual(b"read", os.pread(reader, 100, 0))
        os.close(reader)
        self.assertEqual(b"still here", os.pread(nameless, 100, 0))
        os.close(nameless)
        self.assertEqual({f"n{number}" for number in range(100)}, set(os.listdir(here)))
        os.close(here)

    def test_a_lock_ends_with_its_descriptor(self):
        first = self.open_file("lock", b"")
        fcntl.flock(first, fcntl.LOCK_EX)
        self.restart()
        second = os.open(self.path("lock"), os.O_RDWR)
        with self.assertRaises(BlockingIOError):
            fcntl.flock(second, fcntl.LOCK_EX | fcntl.LOCK_NB)
        try:
            os.close(first)
        except OSError as told:
            self.assertEqual(errno.EIO, told.errno)
        deadline = time.monotonic() + 20
        while True:  # the kernel does not wait for RELEASE
            try:
                fcntl.flock(second, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                self.assertLess(time.monotonic(), deadline, "the lock of a closed descriptor is still held")
                time.sleep(0.02)
        os.close(second)


if __name__ == "__main__":
    mounted.main()
