#!/usr/bin/env python3
"""mdtest: its sentences are the reference's, and what it says it made is there."""
import os
import re
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import mounted  # noqa: E402


class MdtestTest(unittest.TestCase):
    def run_mdtest(self, volume, *words):
        return subprocess.run([mounted.binary(), "mdtest", volume.meta, *words], capture_output=True, text=True, timeout=60)

    def test_makes_what_it_says(self):
        volume = mounted.Volume(self)
        done = self.run_mdtest(volume, "/md", "--threads", "3", "--dirs", "2", "--depth", "2", "--files", "4", "--write", "100")
        self.assertEqual(0, done.returncode, done.stderr)
        lines = done.stdout.splitlines()
        self.assertEqual("Create 84 files in 7 dirs", lines[0])
        self.assertRegex(lines[1], r"^Created 7 dirs in [0-9.]+(µs|ms|s) \([0-9]+ dirs/s\)$")
        self.assertRegex(lines[2], r"^Created 84 files in [0-9.]+(µs|ms|s) \([0-9]+ files/s\)$")
        mount = volume.mount()
        top = os.path.join(mount.path, "md", "test-dir.0-0", "mdtest_tree.0")
        found = [os.path.join(where, name) for where, _, names in os.walk(top) for name in names]
        self.assertEqual(84, len(found))
        self.assertTrue(all(re.match(r"file\.mdtest\.[0-2]\.[0-3]$", os.path.basename(path)) for path in found))
        self.assertEqual({100}, {os.stat(path).st_size for path in found})
        self.assertTrue(os.path.isdir(os.path.join(top, "mdtest_tree.1", "mdtest_tree.0")))

    def test_a_tree_that_is_there_is_left_alone(self):
        volume = mounted.Volume(self)
        self.assertEqual(0, self.run_mdtest(volume, "md").returncode)
        again = self.run_mdtest(volume, "md")
        self.assertEqual(1, again.returncode)
        self.assertIn("File exists", again.stderr)


if __name__ == "__main__":
    mounted.main()
