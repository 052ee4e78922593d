#!/usr/bin/env python3
"""What public POSIX suites taught about single files: privileges, space, nameless files, limits, access times."""
import errno
import os
import stat
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import mounted  # noqa: E402
from syscalls import (FALLOC_COLLAPSE, FALLOC_INSERT, FALLOC_KEEP_SIZE, FALLOC_PUNCH_HOLE, FALLOC_ZERO, fallocate,  # noqa: E402
                      link_nameless)
from users import NOBODY, as_user  # noqa: E402


class FilesTest(mounted.MountedTest):
    def make(self, name, body=b""):
        with open(self.path(name), "wb") as file:
            file.write(body)
        return self.path(name)

    def refused(self, number, call, *arguments):
        with self.assertRaises(OSError) as refusal:
            call(*arguments)
        self.assertEqual(errno.errorcode[number], errno.errorcode[refusal.exception.errno])

    def changes(self, path):
        """Every way to change what a file holds, by name."""

        def through(flags, change):
            def run():
                fd = os.open(path, flags)
                try:
                    change(fd)
                finally:
                    os.close(fd)
            return run

        def copy(fd):
            source = os.open(self.path("source"), os.O_RDONLY)
            os.copy_file_range(source, fd, 100, 0, 0)

        punch = FALLOC_PUNCH_HOLE | FALLOC_KEEP_SIZE
        return {
            "write": through(os.O_WRONLY, lambda fd: os.write(fd, b"x")),
            "append": through(os.O_WRONLY | os.O_APPEND, lambda fd: os.write(fd, b"x")),
            "direct write": through(os.O_WRONLY | os.O_DIRECT, lambda fd: os.write(fd, b"x" * 4096)),
            "ftruncate": through(os.O_WRONLY, lambda fd: os.ftruncate(fd, 3)),
            "truncate": lambda: os.truncate(path, 2),
            "open with O_TRUNC": through(os.O_WRONLY | os.O_TRUNC, lambda fd: None),
            "fallocate": through(os.O_WRONLY, lambda fd: fallocate(fd, 0, 0, 100_000)),
            "fallocate, size kept": through(os.O_WRONLY, lambda fd: fallocate(fd, FALLOC_KEEP_SIZE, 0, 200_000)),
            "punch": through(os.O_WRONLY, lambda fd: fallocate(fd, punch, 0, 4096)),
            "zero": through(os.O_WRONLY, lambda fd: fallocate(fd, FALLOC_ZERO, 0, 4096)),
            "copy_file_range": through(os.O_WRONLY, copy),
        }

    def test_changes_of_contents_take_privileges_away(self):
        """SEMANTICS: whoever changes a file's contents without privileges (write, truncate, fallocate, copy_file_range)
        SEMANTICS: takes set-user-id and set-group-id from it, and so does chown.
        """
        mounted.need(os.geteuid() == 0, "only root can become somebody else")
        self.make("source", bytes(8192))
        os.chmod(self.path("source"), 0o644)
        for name, change in self.changes(self.make("program", bytes(8192))).items():
            # A member of the group keeps set-group-id without group execution: then it means something else.
            for mode, gid, left in ((0o6777, NOBODY, 0o777), (0o6666, 1234, 0o666), (0o6666, NOBODY, 0o2666)):
                with self.subTest(change=name, mode=oct(mode), gid=gid):
                    os.chown(self.path("program"), NOBODY, NOBODY)
                    os.chmod(self.path("program"), mode)
                    self.assertEqual(0, as_user(change, gid=gid))
                    self.assertEqual(oct(left), oct(stat.S_IMODE(os.stat(self.path("program")).st_mode)))
            with self.subTest(change=name, by="root"):
                os.chmod(self.path("program"), 0o6777)
                change()
                self.assertEqual(oct(0o6777), oct(stat.S_IMODE(os.stat(self.path("program")).st_mode)))

    def test_no_more_is_allocated_than_is_free(self):
        """SEMANTICS: fallocate of more than statfs says is free is ENOSPC, also without growing the file."""
        fd = os.open(self.make("big"), os.O_RDWR)
        told = os.statvfs(self.path())
        free = told.f_bavail * told.f_frsize
        for mode in (0, FALLOC_KEEP_SIZE, FALLOC_ZERO):
            self.refused(errno.ENOSPC, fallocate, fd, mode, 0, free + (64 << 20))
        self.assertEqual(0, os.fstat(fd).st_size)
        os.close(fd)
        self.volume.run("config", self.volume.meta, "--yes", "--capacity", "1G")
        self.remount()
        fd = os.open(self.path("big"), os.O_RDWR)
        self.addCleanup(os.close, fd)
        for mode in (0, FALLOC_KEEP_SIZE):
            self.refused(errno.ENOSPC, fallocate, fd, mode, 0, 3 << 30)
        fallocate(fd, 0, 0, 100 << 20)
        self.assertEqual(100 << 20, os.fstat(fd).st_size)

    def test_allocated_space_is_not_reserved(self):
        """SEMANTICS: what it allocates is not reserved."""
        fd = os.open(self.make("f"), os.O_RDWR)
        self.addCleanup(os.close, fd)
        before = os.statvfs(self.path()).f_bavail
        fallocate(fd, FALLOC_KEEP_SIZE, 0, 64 << 20)
        self.assertLess(before - os.statvfs(self.path()).f_bavail, (64 << 20) // os.statvfs(self.path()).f_frsize)

    def test_limits_are_met_when_writes_are_committed(self):
        """SEMANTICS: over the volume's capacity or inode limit: ENOSPC.
        SEMANTICS: buffered writes meet the limit when they are committed, so fsync or close may say it.
        """
        self.volume.run("config", self.volume.meta, "--yes", "--capacity", "16M", "--inodes", "20")
        self.remount()
        fd = os.open(self.make("f"), os.O_RDWR)

        def write_all():
            for _ in range(64):
                os.write(fd, bytes(1 << 20))
            os.fsync(fd)

        self.refused(errno.ENOSPC, write_all)
        try:
            os.close(fd)
        except OSError:
            pass  # told once already

        def make_many():
            for number in range(30):
                os.mknod(self.path(f"n{number}"))

        self.refused(errno.ENOSPC, make_many)

    def test_chown_takes_privileges_away(self):
        """SEMANTICS: takes set-user-id and set-group-id from it, and so does chown."""
        mounted.need(os.geteuid() == 0, "only root gives files away")
        path = self.make("program")
        os.chmod(path, 0o6755)
        os.chown(path, NOBODY, NOBODY)
        self.assertEqual(0o755, stat.S_IMODE(os.stat(path).st_mode))

    def test_modes_of_fallocate(self):
        """SEMANTICS: fallocate: extend, keep size, punch and zero.
        SEMANTICS: collapse and insert are EOPNOTSUPP.
        """
        fd = os.open(self.make("f", b"\1" * 10_000), os.O_RDWR)
        self.addCleanup(os.close, fd)
        fallocate(fd, FALLOC_KEEP_SIZE, 0, 50_000)
        self.assertEqual(10_000, os.fstat(fd).st_size)
        fallocate(fd, FALLOC_PUNCH_HOLE | FALLOC_KEEP_SIZE, 1000, 1000)
        fallocate(fd, FALLOC_ZERO, 3000, 1000)
        fallocate(fd, 0, 0, 12_000)
        body = bytearray(b"\1" * 10_000) + bytes(2000)
        body[1000:2000] = body[3000:4000] = bytes(1000)
        self.assertEqual(bytes(body), os.pread(fd, 20_000, 0))
        for mode in (FALLOC_COLLAPSE, FALLOC_INSERT):
            self.refused(errno.EOPNOTSUPP, fallocate, fd, mode, 0, 4096)
        self.refused(errno.EINVAL, fallocate, fd, 0, 0, 0)

    def test_nameless_files(self):
        """SEMANTICS: a file made with O_TMPFILE has no name until linkat(2) gives it one."""
        fd = os.open(self.path(), os.O_TMPFILE | os.O_RDWR, 0o640)
        os.write(fd, b"unseen")
        self.assertEqual((0, 6), (os.fstat(fd).st_nlink, os.fstat(fd).st_size))
        self.assertEqual([], [n for n in os.listdir(self.path()) if not n.startswith(".")])
        link_nameless(fd, self.path("seen"))
        os.close(fd)
        lost = os.open(self.path(), os.O_TMPFILE | os.O_RDWR, 0o640)
        os.write(lost, bytes(1 << 20))
        os.close(lost)
        self.remount()
        with open(self.path("seen"), "rb") as file:
            self.assertEqual(b"unseen", file.read())
        self.assertEqual((1, 0o640), (os.stat(self.path("seen")).st_nlink, stat.S_IMODE(os.stat(self.path("seen")).st_mode)))

    def test_the_longest_files(self):
        """SEMANTICS: files up to 2^57 bytes, sparse."""
        fd = os.open(self.make("long"), os.O_RDWR)
        self.addCleanup(os.close, fd)
        end = 1 << 57
        os.pwrite(fd, b"last", end - 4)
        os.fsync(fd)
        self.assertEqual(end, os.fstat(fd).st_size)
        self.assertEqual(b"\0\0last", os.pread(fd, 100, end - 6))
        self.assertEqual(bytes(10), os.pread(fd, 10, end // 2))
        self.refused(errno.EFBIG, os.pwrite, fd, b"x", end)
        self.refused(errno.EFBIG, os.ftruncate, fd, end + 1)
        self.assertEqual(end - (64 << 20), os.lseek(fd, 0, os.SEEK_DATA) & ~((64 << 20) - 1))

    def test_a_write_ends_an_mtime_in_the_future(self):
        fd = os.open(self.path("f"), os.O_CREAT | os.O_RDWR)
        self.addCleanup(os.close, fd)
        future = time.time_ns() + 3600 * 10**9
        os.utime(fd, ns=(future, future))
        os.write(fd, b"before it is committed")
        self.assertLess(os.fstat(fd).st_mtime_ns, future)
        os.link(self.path("f"), self.path("g"))  # moves ctime past the time of the write
        self.assertLess(os.fstat(fd).st_mtime_ns, future)

    def test_attributes_change_with_their_times(self):
        """SEMANTICS: every change of a file's attributes, extended ones too, moves its ctime."""
        self.remount("--enable-xattr")
        path = self.make("f")
        for name, change in {"setxattr": lambda: os.setxattr(path, "user.a", b"1"),
                             "setxattr again": lambda: os.setxattr(path, "user.a", b"2"),
                             "removexattr": lambda: os.removexattr(path, "user.a"),
                             "chmod": lambda: os.chmod(path, 0o600),
                             "chown": lambda: os.chown(path, os.getuid(), os.getgid()),
                             "link": lambda: os.link(path, path + "2"),
                             "rename": lambda: os.rename(path + "2", path + "3"),
                             "unlink": lambda: os.unlink(path + "3")}.items():
            with self.subTest(change=name):
                before = os.stat(path).st_ctime_ns
                time.sleep(0.02)
                change()
                self.assertGreater(os.stat(path).st_ctime_ns, before)

    def test_access_times(self):
        """SEMANTICS: atime changes only with --atime-mode relatime or strictatime."""
        self.make("f", b"body")
        os.symlink("f", self.path("link"))
        os.mkdir(self.path("dir"))

        def read_all():
            with open(self.path("f"), "rb") as file:
                file.read()
            os.readlink(self.path("link"))
            os.listdir(self.path("dir"))

        def accessed():
            return [os.lstat(self.path(name)).st_atime_ns for name in ("f", "link", "dir")]

        def settled(wanted):
            deadline = time.monotonic() + 10  # written behind the reader's back, and cached for a second
            while not wanted(accessed()) and time.monotonic() < deadline:
                time.sleep(0.1)
            return accessed()

        for mode, times in (("noatime", 0), ("relatime", 1), ("strictatime", 2)):
            with self.subTest(mode=mode):
                self.remount("--atime-mode", mode, "--attr-cache", "0s")
                for name in ("f", "link", "dir"):
                    os.utime(self.path(name), (1000, 2000), follow_symlinks=False)
                seen = accessed()
                for _ in range(times):
                    read_all()
                    after = settled(lambda now: all(b > a for a, b in zip(seen, now)))
                    self.assertTrue(all(b > a for a, b in zip(seen, after)), (seen, after))
                    seen = after
                for name in ("f", "dir"):
                    fd = os.open(self.path(name), os.O_RDONLY | os.O_NOATIME)
                    os.read(fd, 1) if name == "f" else os.listdir(fd)
                    os.close(fd)
                if mode != "strictatime":
                    read_all()
                time.sleep(0.3)
                self.assertEqual(seen, accessed())


if __name__ == "__main__":
    mounted.main()
