#!/usr/bin/env python3
"""objbench tries and measures a store, says so in JuiceFS's tables or in JSON, and leaves nothing behind."""
import json
import os
import re
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import mounted  # noqa: E402

SMALL = ("--big-object-size", "8M", "--block-size", "1M", "--small-objects", "20", "--threads", "3")
ITEMS = ["upload objects", "download objects", "put small objects", "get small objects", "list objects", "head objects",
         "delete objects", "change permissions", "change owner/group", "update mtime"]


class ObjbenchTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix=mounted.PREFIX, dir=mounted.base_dir())
        self.addCleanup(folder.cleanup)
        self.root = folder.name

    def objbench(self, *arguments, exit_code=0):
        done = subprocess.run([mounted.binary(), "objbench", *arguments], capture_output=True, text=True, timeout=120)
        self.assertEqual(exit_code, done.returncode, done.stdout + done.stderr)
        return done

    def test_tables(self):
        text = self.objbench(self.root, *SMALL).stdout
        self.assertLess(text.index("Start Functional Testing ..."), text.index("Start Performance Testing ..."))
        self.assertIn("Benchmark finished! block-size: 1.0 MiB, big-object-size: 8.0 MiB, small-object-size: 128 KiB, "
                      "small-objects: 20, NumThreads: 3\n", text)
        checks = re.findall(r"^\| +(basic|sync) \| +(.+?) \| +(.+?) \|$", text, re.M)
        self.assertEqual(16, len(checks))
        self.assertEqual({"pass", "not support"}, {result for _, _, result in checks}, text)
        self.assertEqual(12, sum(result == "pass" for _, _, result in checks))
        rows = re.findall(r"^\| +(.+?) \| +([0-9.]+ (?:MiB|objects)/s|not support) \| +([0-9.]+ ms/.+?|not support) \|$", text, re.M)
        self.assertEqual(ITEMS, [item for item, _, _ in rows], text)
        self.assertEqual([], os.listdir(self.root))

    def test_json(self):
        told = json.loads(self.objbench(self.root, *SMALL, "--skip-functional-tests", "--json").stdout)
        self.assertEqual([], told["functional"])
        self.assertEqual(ITEMS, [one["item"] for one in told["performance"]])
        for one in told["performance"][:7]:
            self.assertEqual(0, one["failures"], one)
            self.assertTrue(0 < one["p50_ms"] <= one["p95_ms"] <= one["p99_ms"] <= one["max_ms"], one)
            self.assertGreater(one["value"], 0)
        self.assertEqual([8, 8, 20, 20, 3, 28, 28], [one["requests"] for one in told["performance"][:7]])

    def test_shards_and_too_many_threads(self):
        done = self.objbench(os.path.join(self.root, "d%d"), "--shards", "3", *SMALL, "--threads", "50")
        self.assertIn("NumThreads: 8", done.stdout)
        self.assertIn("lowered_to=8", done.stderr)
        self.assertEqual(["d0", "d1", "d2"], sorted(os.listdir(self.root)))

    def test_what_cannot_be(self):
        self.assertIn("--storage", self.objbench("http://host/bucket", exit_code=1).stderr)
        self.assertIn("--threads", self.objbench(self.root, "--threads", "0", exit_code=1).stderr)
        self.assertIn("gopher", self.objbench(self.root, "--storage", "gopher", exit_code=1).stderr)
        done = self.objbench("/dev/null", *SMALL, exit_code=1)
        self.assertRegex(done.stdout, r"put an object \| +put: ")
        self.assertRegex(done.stdout, r"upload objects \| +failed \| +failed")


if __name__ == "__main__":
    mounted.main()
