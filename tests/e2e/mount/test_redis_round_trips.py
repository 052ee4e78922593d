#!/usr/bin/env python3
"""What calls on a mount cost in round trips to Redis, counted by a proxy: the kernel's own questions are among them."""
import os
import sys
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import mounted  # noqa: E402
import redis  # noqa: E402

MANY = 10_000


def make(path, body=b""):
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    os.write(fd, body)
    os.close(fd)


class RoundTripsTest(unittest.TestCase):
    def setUp(self):
        self.proxy = redis.Proxy(self, redis.Server(self))
        self.volume = redis.Volume(self, self.proxy.port, trash_days=1)  # else data of what is removed is deleted meanwhile
        self.mount_it()

    def mount_it(self, *flags):
        """No heartbeats in between, and all that is known comes from what the tests ask for."""
        self.mount = self.volume.mount("--hide-internal", "--heartbeat", "1000", "--no-bgjob", "--enable-xattr", *flags)
        time.sleep(0.5)  # until the server tells of changes

    def cost(self, call):
        before = self.proxy.trips()
        call()
        return self.proxy.trips() - before

    def test_each_change_is_one(self):
        folder = self.mount / "d"
        os.mkdir(folder)  # ours, and empty: the kernel's look-ups of new names need no server

        def path(name):
            return os.path.join(folder, name)

        def rewrite():
            fd = os.open(path("file"), os.O_WRONLY)
            os.write(fd, b"y" * 100)
            self.assertEqual(1, self.cost(lambda: os.fsync(fd)), "write and fsync")
            os.close(fd)

        calls = (("create", lambda: make(path("file")), 1),
                 ("small file", lambda: make(path("small"), b"x" * 4096), 2),
                 ("mkdir", lambda: os.mkdir(path("dir")), 1),
                 ("mknod", lambda: os.mkfifo(path("fifo")), 1),
                 ("symlink", lambda: os.symlink("file", path("symlink")), 1),
                 ("chmod", lambda: os.chmod(path("file"), 0o600), 1),
                 ("truncate", lambda: os.truncate(path("file"), 1000), 1),
                 ("setxattr", lambda: os.setxattr(path("file"), "user.a", b"1"), 1),
                 ("link", lambda: os.link(path("file"), path("link")), 1),
                 ("rename", lambda: os.rename(path("small"), path("moved")), 1),
                 ("unlink", lambda: os.unlink(path("moved")), 1),
                 ("rmdir", lambda: os.rmdir(path("dir")), 1),
                 ("stat", lambda: os.stat(path("file")), 0),
                 ("stat of nothing", lambda: os.path.lexists(path("none")), 0))

        def all_of_them():
            return {name: self.cost(call) for name, call, _ in calls}

        all_of_them()  # ids are there now, and the server knows the scripts
        for name in os.listdir(folder):
            os.unlink(path(name))
        costs = all_of_them()
        self.assertEqual({}, {name: costs[name] for name, _, most in calls if costs[name] > most})
        rewrite()

    def test_listing_many_files(self):
        os.mkdir(self.mount / "big")
        for i in range(MANY):
            os.mknod(self.mount / f"big/file-{i:06d}")
        for _ in range(2):  # at the first, the server does not know the script
            self.mount.unmount()
            self.mount_it("--attr-cache", "1h", "--entry-cache", "1h")  # a busy machine takes more than their second
            os.stat(self.mount / "big")
            listed = []
            trips = self.cost(lambda: listed.extend(entry.stat(follow_symlinks=False) for entry in os.scandir(self.mount / "big")))
            self.assertEqual(MANY, len(listed))
        self.assertLessEqual(trips, 6, "five pages, and the attributes of the directory")


if __name__ == "__main__":
    mounted.main()
