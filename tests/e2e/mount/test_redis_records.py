#!/usr/bin/env python3
"""After a random workload through two mounts, every key on the server is one that the format names, of the right type and length,
and the records fit together. KISEKI_SEED, KISEKI_SEEDS: which workloads (default: 1, one of them)."""
import errno
import fcntl
import os
import random
import stat
import struct
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import mounted  # noqa: E402
import redis  # noqa: E402
import redis_records  # noqa: E402
from holes import wait_for_compaction, write_each  # noqa: E402
import syscalls  # noqa: E402

SEED, SEEDS = int(os.environ.get("KISEKI_SEED", "1")), int(os.environ.get("KISEKI_SEEDS", "1"))
EXPECTED = {errno.ENOENT, errno.EEXIST, errno.ENOTEMPTY, errno.EISDIR, errno.ENOTDIR, errno.EINVAL, errno.ENODATA, errno.ENXIO, errno.ESTALE,
            errno.ELOOP, errno.EPERM, errno.EAGAIN, errno.EXDEV, errno.EOPNOTSUPP, errno.ESPIPE, errno.EACCES}
ACL = struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in
                                      ((1, 6, 0xFFFFFFFF), (2, 4, 1234), (4, 4, 0xFFFFFFFF), (16, 6, 0xFFFFFFFF), (32, 0, 0xFFFFFFFF)))


class Workload:
    """Random calls on a few names in a few directories, through any of the mounts."""

    def __init__(self, mounts, seed):
        self.mounts, self.random, self.open = mounts, random.Random(seed), []
        self.calls = [self.make, self.make, self.make, self.write, self.write, self.truncate, self.mkdir, self.mkdir, self.rmdir, self.symlink,
                      self.link, self.rename, self.rename, self.exchange, self.unlink, self.unlink_open, self.xattr, self.no_xattr, self.acl,
                      self.chmod, self.chown, self.utime, self.fifo, self.lock, self.punch, self.copy, self.nameless, self.close]
        for name in ("a", "b", "c"):
            os.mkdir(mounts[0] / name)

    def path(self):
        mount = self.random.choice(self.mounts)
        depth = self.random.choice((0, 1, 1, 2))
        return mount / "/".join([*(self.random.choice("abc") for _ in range(depth)), self.random.choice("abcdefgh")])

    def run(self, steps):
        for _ in range(steps):
            try:
                self.random.choice(self.calls)()
            except OSError as error:
                if error.errno not in EXPECTED:
                    raise
        while self.open:
            self.close()

    def keep(self, fd):
        if len(self.open) >= 20:
            self.close()
        self.open.append(fd)

    def close(self):
        if self.open:
            os.close(self.open.pop(self.random.randrange(len(self.open))))

    def body(self):
        return self.random.randbytes(self.random.choice((1, 100, 5000, 200_000)))

    def file(self, flags=os.O_RDWR):
        """An open regular file, without a wait for a fifo's other end."""
        fd = os.open(self.path(), flags | os.O_NONBLOCK, 0o644)
        try:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                raise OSError(errno.ESPIPE, "no file")
        except OSError:
            os.close(fd)
            raise
        return open(fd, "rb" if flags == os.O_RDONLY else "r+b", buffering=0)

    def make(self):
        with self.file(os.O_RDWR | os.O_CREAT | os.O_TRUNC) as file:
            file.write(self.body())

    def write(self):
        with self.file() as file:
            for _ in range(self.random.randrange(1, 4)):
                file.seek(self.random.choice((0, 1000, 300_000, (64 << 20) - 10)))
                file.write(self.body())
                os.fsync(file.fileno())

    def truncate(self):
        os.truncate(self.path(), self.random.choice((0, 1, 5000, 70 << 20)))

    def mkdir(self):
        os.mkdir(self.path())

    def rmdir(self):
        os.rmdir(self.path())

    def symlink(self):
        os.symlink("x" * self.random.randrange(1, 200), self.path())

    def link(self):
        os.link(self.path(), self.path(), follow_symlinks=False)

    def rename(self):
        os.rename(self.path(), self.path())

    def exchange(self):
        syscalls.renameat2(self.path(), self.path(), syscalls.RENAME_EXCHANGE)

    def unlink(self):
        os.unlink(self.path())

    def unlink_open(self):
        path = self.path()
        self.keep(os.open(path, os.O_RDWR | os.O_NONBLOCK))
        os.unlink(path)

    def xattr(self):
        os.setxattr(self.path(), f"user.{self.random.randrange(4)}", self.body()[:3000], follow_symlinks=False)

    def no_xattr(self):
        os.removexattr(self.path(), f"user.{self.random.randrange(4)}")

    def acl(self):
        os.setxattr(self.path(), self.random.choice(("system.posix_acl_access", "system.posix_acl_default")), ACL)

    def chmod(self):
        os.chmod(self.path(), self.random.choice((0o600, 0o755, 0o4711)))

    def chown(self):
        os.chown(self.path(), self.random.choice((0, 1000)), self.random.choice((0, 1000)), follow_symlinks=False)

    def utime(self):
        with self.file() as file:
            file.write(b"before the times")
            os.utime(file.fileno(), ns=(self.random.randrange(1 << 61), self.random.randrange(1 << 61)))

    def fifo(self):
        os.mkfifo(self.path())

    def lock(self):
        fd = os.open(self.path(), os.O_RDWR | os.O_NONBLOCK)
        self.keep(fd)
        if self.random.random() < 0.5:
            fcntl.flock(fd, self.random.choice((fcntl.LOCK_EX, fcntl.LOCK_SH)) | fcntl.LOCK_NB)
        else:
            fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB, self.random.randrange(1, 100), self.random.randrange(100))

    def punch(self):
        with self.file() as file:
            syscalls.fallocate(file.fileno(), syscalls.FALLOC_PUNCH_HOLE | syscalls.FALLOC_KEEP_SIZE, self.random.randrange(5000),
                               self.random.randrange(1, 100_000))

    def copy(self):
        with self.file(os.O_RDONLY) as source, self.file(os.O_RDWR | os.O_CREAT) as target:
            os.copy_file_range(source.fileno(), target.fileno(), 100_000)

    def nameless(self):
        fd = os.open(os.path.dirname(self.path()), os.O_TMPFILE | os.O_RDWR)
        self.keep(fd)
        os.write(fd, self.body())


class RecordsTest(unittest.TestCase):
    def check(self, trash_days, seed):
        server = redis.Server(self)
        volume = redis.Volume(self, server.port, trash_days=trash_days, format_flags=("--enable-acl",))
        flags = ("--hide-internal", "--enable-xattr")
        mounts = [volume.mount(*flags) for _ in range(2)]
        workload = Workload(mounts, seed)
        for _ in range(4):
            workload.run(400)
            held = os.open(mounts[1] / "held", os.O_RDWR | os.O_CREAT)
            fcntl.flock(held, fcntl.LOCK_SH)
            self.assertEqual([], self.problems(server), f"seed {seed}")
            os.close(held)
        for mount in mounts:
            mount.unmount()
        self.assertEqual([], self.problems(server), f"seed {seed}, after the unmount")
        left = [key for key in redis_records.Volume(server.port).records if key.startswith(("session", "lock", "Kiseki:"))]
        self.assertEqual([], left, f"seed {seed}")

    def test_a_compaction_around_holes(self):
        for trash_days in (0, 1):
            server = redis.Server(self)
            mount = redis.Volume(self, server.port, trash_days=trash_days).mount()
            write_each(mount / "f", [(at, 5000) for at in range(0, 1_000_000, 90_000)], times=3)
            wait_for_compaction(mount, "f", 0)
            self.assertEqual([], self.problems(server))
            with open(mount / "f", "rb") as source, open(mount / "copy", "wb") as target:
                os.copy_file_range(source.fileno(), target.fileno(), 500_000)
            self.assertEqual([], self.problems(server))
            os.unlink(mount / "f")
            self.assertEqual([], self.problems(server))

    def problems(self, server):
        return redis_records.Volume(server.port).problems[:20]

    def test_with_trash(self):
        for seed in range(SEED, SEED + SEEDS):
            self.check(1, seed)

    def test_without_trash(self):
        for seed in range(SEED, SEED + SEEDS):
            self.check(0, seed)


if __name__ == "__main__":
    mounted.main()
