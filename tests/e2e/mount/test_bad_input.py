#!/usr/bin/env python3
"""Every bad start says why in words, ends with a status that is not 0, and leaves nothing half made."""
import os
import sqlite3
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import mounted  # noqa: E402


class BadStartTest(unittest.TestCase):
    """Exit status not 0, one clear sentence that names the culprit, nothing mounted, nothing half made."""

    def fails(self, volume, *arguments, says=()):
        target = os.path.join(volume.root, "mnt-bad")
        done = volume.run(*arguments, check=False, timeout=60)
        told = done.stdout + done.stderr
        self.assertNotEqual(0, done.returncode, told)
        self.assertFalse(os.path.ismount(target))
        self.assertTrue(told.strip(), "nothing was said")
        for word in says:
            self.assertIn(word.lower(), told.lower())
        self.assertNotIn("terminate called", told)
        return told

    def target(self, volume):
        path = os.path.join(volume.root, "mnt-bad")
        os.makedirs(path, exist_ok=True)
        return path

    def test_not_formatted(self):
        volume = mounted.Volume(self, formatted=False)
        self.fails(volume, "mount", volume.meta, self.target(volume), "-d", "--log", volume.root + "/log", says=("format",))

    def test_mountpoint_is_a_file(self):
        volume = mounted.Volume(self)
        path = os.path.join(volume.root, "plain-file")
        with open(path, "w"):
            pass
        self.fails(volume, "mount", volume.meta, path, "-d", "--log", volume.root + "/log", says=(path,))

    def test_corrupt_database(self):
        volume = mounted.Volume(self)
        for rest in ("-wal", "-shm"):  # a write-ahead log would bring the good pages back
            if os.path.exists(volume.database + rest):
                sqlite3.connect(volume.database).execute("pragma wal_checkpoint(truncate)").fetchall()
        with open(volume.database, "r+b") as file:
            file.write(b"this is no database at all" * 10)
        self.fails(volume, "mount", volume.meta, self.target(volume), "-d", "--log", volume.root + "/log")

    def test_wrong_volume_version(self):
        volume = mounted.Volume(self)
        database = sqlite3.connect(volume.database)
        text = database.execute("select value from jfs_setting where name='format'").fetchone()[0]
        text = text.decode() if isinstance(text, bytes) else text
        changed = text.replace('"MetaVersion": 1', '"MetaVersion": 99')
        self.assertNotEqual(text, changed)
        database.execute("update jfs_setting set value=? where name='format'", (changed,))
        database.commit()
        database.close()
        self.fails(volume, "mount", volume.meta, self.target(volume), "-d", "--log", volume.root + "/log", says=("version",))

    def test_mountpoint_already_mounted_is_no_crash(self):
        volume = mounted.Volume(self)
        mount = volume.mount()
        with open(mount / "f", "w") as file:
            file.write("x")
        volume.run("mount", volume.meta, mount.path, "-d", "--log", mount.log, check=False, timeout=60)
        with open(mount / "f") as file:
            self.assertEqual("x", file.read())
        while os.path.ismount(mount.path):
            mounted.run(["umount", "-l", mount.path])

    def test_unknown_flag_and_bad_values(self):
        volume = mounted.Volume(self)
        self.fails(volume, "mount", volume.meta, self.target(volume), "-d", "--log", volume.root + "/log", "--no-such-flag", says=("no-such-flag",))
        self.fails(volume, "mount", volume.meta, self.target(volume), "-d", "--log", volume.root + "/log", "--cache-size", "many", says=("cache-size",))
        self.fails(volume, "mount", "nonsense://x", self.target(volume), "-d", "--log", volume.root + "/log")

    def test_store_cannot_be_written(self):
        volume = mounted.Volume(self, formatted=False)
        blocker = os.path.join(volume.root, "blocker")
        with open(blocker, "w"):
            pass
        self.fails(volume, "format", volume.meta, "e2e", "--storage", "file", "--bucket", blocker + "/objects/")

    def test_format_twice_keeps_the_volume(self):
        volume = mounted.Volume(self)
        uuid = volume.status()["Setting"]["UUID"]
        volume.run("format", volume.meta, "e2e", "--storage", "file", "--bucket", volume.objects, check=False)
        self.assertEqual(uuid, volume.status()["Setting"]["UUID"])
        done = volume.run("format", volume.meta, "othername", "--storage", "file", "--bucket", volume.objects, check=False)
        self.assertNotEqual(0, done.returncode)
        self.assertEqual("e2e", volume.status()["Setting"]["Name"])


if __name__ == "__main__":
    mounted.main()
