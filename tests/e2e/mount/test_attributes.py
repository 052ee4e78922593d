#!/usr/bin/env python3
"""Attributes: modes, owners, times, extended attributes, special files, and what an ordinary user may not do."""
import errno
import os
import socket
import stat
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import mounted  # noqa: E402
from users import NOBODY, as_user as as_nobody  # noqa: E402


class AttributesTest(mounted.MountedTest):
    flags = ("--enable-xattr",)

    def make(self, name, mode=0o644, body=b""):
        with open(self.path(name), "wb") as file:
            file.write(body)
        os.chmod(self.path(name), mode)
        return self.path(name)

    def test_modes_and_owners(self):
        mounted.need(os.geteuid() == 0, "only root gives files away")
        path = self.make("f")
        for mode in (0, 0o777, 0o4755, 0o2711, 0o1777, 0o600):
            os.chmod(path, mode)
            self.assertEqual(mode, stat.S_IMODE(os.stat(path).st_mode))
        os.chown(path, 12, 34)
        os.chmod(path, 0o6777)
        os.chown(path, 4294967294, 77)
        self.remount()
        found = os.stat(self.path("f"))
        self.assertEqual((4294967294, 77), (found.st_uid, found.st_gid))
        self.assertEqual(0o777, stat.S_IMODE(found.st_mode), "chown takes setuid and setgid away")
        os.mkdir(self.path("sgid"))
        os.chown(self.path("sgid"), 0, 55)
        os.chmod(self.path("sgid"), 0o2775)
        os.mkdir(self.path("sgid/inner"))
        self.assertEqual((55, 0o2755), (os.stat(self.path("sgid/inner")).st_gid, stat.S_IMODE(os.stat(self.path("sgid/inner")).st_mode)))

    def test_times(self):
        # SEMANTICS: nanoseconds, before 1970 and after 2038
        path = self.make("t")
        moments = [0, 1, 10**18 + 123456789, 4102444800 * 10**9 + 1, -1, -86400 * 10**9 * 3650 + 5]
        for moment in moments:
            os.utime(path, ns=(moment, moment))
            self.assertEqual((moment, moment), (os.stat(path).st_atime_ns, os.stat(path).st_mtime_ns))
        self.remount()
        self.assertEqual(moments[-1], os.stat(self.path("t")).st_mtime_ns)
        before = time.time_ns() - 1_500_000_000
        with open(self.path("t"), "ab") as file:
            file.write(b"x")
        self.assertGreater(os.stat(self.path("t")).st_mtime_ns, before)
        os.mkdir(self.path("d"))
        os.utime(self.path("d"), (1, 1))
        self.make("d/new")
        self.assertGreater(os.stat(self.path("d")).st_mtime_ns, before)
        changed = os.stat(self.path("t")).st_ctime_ns
        time.sleep(0.02)
        os.chmod(self.path("t"), 0o640)
        self.assertGreater(os.stat(self.path("t")).st_ctime_ns, changed)

    def test_a_write_takes_setuid_away(self):
        mounted.need(os.geteuid() == 0, "only root gives files away")
        path = self.make("s", 0o6777, b"body")
        os.chown(path, NOBODY, NOBODY)
        os.chmod(path, 0o6777)

        def write():
            fd = os.open(path, os.O_WRONLY)
            os.write(fd, b"x")
            os.close(fd)

        self.assertEqual(0, as_nobody(write))
        self.assertEqual(0, os.stat(path).st_mode & 0o6000)

    def test_extended_attributes(self):
        mounted.need(os.geteuid() == 0, "only root may set trusted attributes")
        path = self.make("x")
        values = {f"user.n{n}": os.urandom(n * 50) for n in range(30)}
        values["user.large"] = os.urandom(60000)
        values["user.empty"] = b""
        values["trusted.t"] = b"root only"
        for name, value in values.items():
            os.setxattr(path, name, value)
        with self.assertRaises(OSError) as refused:
            os.setxattr(path, "user.n1", b"", os.XATTR_CREATE)
        self.assertEqual(errno.EEXIST, refused.exception.errno)
        with self.assertRaises(OSError) as refused:
            os.setxattr(path, "user.absent", b"", os.XATTR_REPLACE)
        self.assertEqual(errno.ENODATA, refused.exception.errno)
        os.removexattr(path, "user.n3")
        del values["user.n3"]
        self.remount("--enable-xattr")
        path = self.path("x")
        self.assertEqual(set(values), set(os.listxattr(path)))
        self.assertEqual(values, {name: os.getxattr(path, name) for name in values})
        for call in (os.getxattr, os.removexattr):
            with self.assertRaises(OSError) as refused:
                call(path, "user.n3")
            self.assertEqual(errno.ENODATA, refused.exception.errno)

    def test_special_files(self):
        mounted.need(os.geteuid() == 0, "only root makes devices")
        os.mkfifo(self.path("fifo"), 0o600)
        os.mknod(self.path("null"), 0o666 | stat.S_IFCHR, os.makedev(1, 3))
        listener = socket.socket(socket.AF_UNIX)
        here = os.open(self.path(), os.O_RDONLY)
        listener.bind(f"/proc/self/fd/{here}/sock")
        os.close(here)
        listener.close()
        self.remount()
        self.assertTrue(stat.S_ISFIFO(os.stat(self.path("fifo")).st_mode))
        self.assertEqual(os.makedev(1, 3), os.stat(self.path("null")).st_rdev)
        self.assertTrue(stat.S_ISSOCK(os.stat(self.path("sock")).st_mode))
        reader = os.open(self.path("fifo"), os.O_RDONLY | os.O_NONBLOCK)
        writer = os.open(self.path("fifo"), os.O_WRONLY)
        os.write(writer, b"through")
        self.assertEqual(b"through", os.read(reader, 100))
        os.close(reader)
        os.close(writer)

    def test_what_an_ordinary_user_may_not(self):
        mounted.need(os.geteuid() == 0, "only root can become nobody")
        secret, shown = self.make("secret", 0o600, b"s"), self.make("shown", 0o644, b"s")
        os.mkdir(self.path("sticky"))
        os.chmod(self.path("sticky"), 0o1777)
        self.make("sticky/root")
        os.mkdir(self.path("closed"))
        os.chmod(self.path("closed"), 0o755)
        self.assertEqual(errno.EACCES, as_nobody(lambda: os.open(secret, os.O_RDONLY)))
        self.assertEqual(0, as_nobody(lambda: os.open(shown, os.O_RDONLY)))
        self.assertEqual(errno.EACCES, as_nobody(lambda: os.open(shown, os.O_WRONLY | os.O_APPEND)))
        self.assertEqual(errno.EPERM, as_nobody(lambda: os.chmod(shown, 0o777)))
        self.assertEqual(errno.EPERM, as_nobody(lambda: os.chown(shown, NOBODY, NOBODY)))
        self.assertEqual(errno.EACCES, as_nobody(lambda: os.mkdir(self.path("closed/mine"))))
        self.assertEqual(errno.EPERM, as_nobody(lambda: os.unlink(self.path("sticky/root"))))
        self.assertEqual(0, as_nobody(lambda: os.mkdir(self.path("sticky/mine"))))
        self.assertEqual(NOBODY, os.stat(self.path("sticky/mine")).st_uid)

    def test_space_is_counted(self):
        before = os.statvfs(self.path())
        self.make("counted", body=bytes(8 << 20))
        fd = os.open(self.path("counted"), os.O_RDONLY)
        os.fsync(fd)
        os.close(fd)
        self.remount()
        after = os.statvfs(self.path())
        used = (before.f_blocks - before.f_bfree) * before.f_frsize, (after.f_blocks - after.f_bfree) * after.f_frsize
        self.assertAlmostEqual(8 << 20, used[1] - used[0], delta=1 << 20)
        self.assertEqual(255, after.f_namemax)


if __name__ == "__main__":
    mounted.main()
