#!/usr/bin/env python3
"""A volume on Redis through real mounts: made, written, mounted again, and shared by two mounts at once."""
import errno
import os
import random
import shutil
import struct
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import mounted  # noqa: E402
import redis  # noqa: E402
import redis_records  # noqa: E402


class OnRedis(unittest.TestCase):
    def setUp(self):
        mounted.need_tool("redis-server", "redis-cli")
        self.port = mounted.free_port()
        self.folder = f"{mounted.base_dir()}/{mounted.PREFIX}{os.getpid()}-redis-{self.port}"
        os.makedirs(self.folder)
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.server = subprocess.Popen(
            ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--dir", self.folder, "--save", "",
             "--appendonly", "yes", "--logfile", self.folder + "/log"])
        self.addCleanup(self.stop)
        for _ in range(200):
            if self.redis("PING", check=False).strip() == "PONG":
                break
            time.sleep(0.05)
        self.volume = mounted.Volume(self, formatted=False)
        self.volume.meta = f"redis://127.0.0.1:{self.port}/1"
        self.objects = os.path.join(self.volume.root, "objects")
        self.volume.run("format", self.volume.meta, "shared", "--bucket", self.objects, "--trash-days", "0")

    def stop(self):
        self.server.kill()
        self.server.wait()

    def redis(self, *command, check=True):
        done = subprocess.run(["redis-cli", "-p", str(self.port), "-n", "1", *command], capture_output=True, text=True)
        self.assertFalse(check and done.returncode, done.stderr)
        return done.stdout

    def test_what_is_written_is_there_after_a_remount(self):
        mount = self.volume.mount()
        os.makedirs(mount / "dir/deeper")
        contents = {f"dir/f{n}": random.Random(n).randbytes(n * 70_001) for n in range(12)}
        for name, body in contents.items():
            with open(mount / name, "wb") as file:
                file.write(body)
        os.link(mount / "dir/f3", mount / "dir/deeper/hard")
        os.symlink("../dir/f1", mount / "dir/soft")
        os.rename(mount / "dir/f4", mount / "dir/deeper/moved")
        os.remove(mount / "dir/f5")
        os.truncate(mount / "dir/f6", 1000)
        mount.unmount()
        mount = self.volume.mount()
        self.assertEqual({"f0", "f1", "f10", "f11", "f2", "f3", "f6", "f7", "f8", "f9", "soft", "deeper"},
                         set(os.listdir(mount / "dir")))
        for name in ("dir/f0", "dir/f3", "dir/f11"):
            with open(mount / name, "rb") as file:
                self.assertEqual(contents[name], file.read())
        with open(mount / "dir/deeper/moved", "rb") as file:
            self.assertEqual(contents["dir/f4"], file.read())
        self.assertEqual(2, os.stat(mount / "dir/deeper/hard").st_nlink)
        self.assertEqual(1000, os.stat(mount / "dir/f6").st_size)
        self.assertIn('"shared"', self.volume.run("status", self.volume.meta).stdout)
        mount.unmount()
        self.assertEqual("0\n", self.redis("ZCARD", "allSessions"))
        self.assertEqual("\n", self.redis("KEYS", "Kiseki:*"))

    def test_two_mounts_see_each_other(self):
        """SEMANTICS: With `--attr-cache 0` or `--entry-cache 0` every look-up asks Redis."""
        uncached = ("--attr-cache", "0", "--entry-cache", "0")  # the kernel's own caches know nothing of others
        here, there = self.volume.mount(*uncached), self.volume.mount(*uncached)
        for turn in range(20):
            writer, reader = (here, there) if turn % 2 else (there, here)
            name, body = f"f{turn}", os.urandom(100_000 + turn)
            with open(writer / name, "wb") as file:
                file.write(body)
            with open(reader / name, "rb") as file:
                self.assertEqual(body, file.read(), "close-to-open")
            os.replace(writer / name, writer / "latest")
            with open(reader / "latest", "rb") as file:
                self.assertEqual(body, file.read(), "the new file behind an old name")
        here.unmount()
        there.unmount()


class OtherWires(unittest.TestCase):
    def stays_over_a_remount(self, url, refused):
        volume = redis.Volume(self, url)
        for begun in (True, False):
            mount = volume.mount()
            if begun:
                os.makedirs(mount / "dir/deeper")
                with open(mount / "dir/file", "wb") as file:
                    file.write(b"x" * 300_000)
                os.rename(mount / "dir/file", mount / "dir/deeper/moved")
            with open(mount / "dir/deeper/moved", "rb") as file:
                self.assertTrue(file.read() == b"x" * 300_000)
            self.assertEqual(["deeper"], os.listdir(mount / "dir"))
            mount.unmount()
        told = volume.run("status", refused, check=False)
        self.assertNotEqual(0, told.returncode, told.stdout)
        return told.stderr

    def test_a_unix_socket(self):
        server = redis.Server(self, "--unixsocket", path := f"{tempfile.mkdtemp(dir=mounted.base_dir())}/redis.sock")
        self.addCleanup(shutil.rmtree, os.path.dirname(path))
        self.assertIn("cannot connect", self.stays_over_a_remount(f"unix://{path}?db=1", f"unix://{path}.gone?db=1"))
        self.assertEqual("OK\n", server.command("FLUSHDB"), "the volume was there")

    def test_tls(self):
        url = redis.Server(self).listen_for_tls()
        self.assertIn("certificate", self.stays_over_a_remount(url, url.split("?")[0]))


class CircleTest(unittest.TestCase):
    def test_directories_in_a_circle_hold_up_nobody(self):
        """/a/b/c, in which a hand has put `loop`: a again, which says that it lives there."""
        server = redis.Server(self)
        volume = redis.Volume(self, server.port)
        mount = volume.mount()
        os.makedirs(mount / "a/b/c")
        os.mkdir(mount / "other")
        a, c = (os.stat(mount / name).st_ino for name in ("a", "a/b/c"))
        mount.unmount()
        store = redis_records.Connection(server.port, 1)
        self.addCleanup(store.close)
        attributes = store.call("GET", f"i{a}")
        store.call("SET", f"i{a}", attributes[:63] + struct.pack(">Q", c) + attributes[71:])
        store.call("HSET", f"d{c}", "loop", bytes([redis_records.DIRECTORY]) + struct.pack(">Q", a))
        mount = volume.mount()

        def outcome(call, *arguments):
            """Its errno, or 0; of another process, which may hang."""
            code = f"import os\ntry: os.{call}(*{arguments!r})\nexcept OSError as error: print(error.errno)\nelse: print(0)"
            return int(mounted.run([sys.executable, "-c", code], timeout=60))

        self.assertEqual(errno.ELOOP, outcome("rename", mount / "other", mount / "a/b/other"))
        self.assertEqual(errno.ENOTEMPTY, outcome("rmdir", mount / "a/b"))
        self.assertEqual(0, outcome("mkdir", mount / "a/b/c/new"))
        self.assertEqual(errno.ELOOP, outcome("rename", mount / "a/b/c/new", mount / "a/b/new"))
        self.assertEqual(0, outcome("rmdir", mount / "a/b/c/new"))
        self.assertEqual(0, outcome("mknod", mount / "a/b/c/file"))
        self.assertEqual(0, outcome("rename", mount / "a/b/c/file", mount / "a/b/file"))
        self.assertEqual(0, outcome("unlink", mount / "a/b/file"))
        self.assertEqual(["b"], os.listdir(mount / "a"))
        subprocess.run(["du", "-s", mount / "a"], capture_output=True, timeout=60)  # it may complain of the circle
        volume.run("info", "-r", mount / "a", check=False, timeout=60)
        os.rename(mount / "a", mount / "freed")
        self.assertEqual(["b"], os.listdir(mount / "freed"))
        mount.unmount()


if __name__ == "__main__":
    mounted.main()
