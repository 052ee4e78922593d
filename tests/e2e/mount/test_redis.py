#!/usr/bin/env python3
"""A volume on Redis through real mounts: made, written, mounted again, and shared by two mounts at once."""
import multiprocessing
import os
import random
import shutil
import subprocess
import sys
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import mounted  # noqa: E402


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


if __name__ == "__main__":
    mounted.main()
