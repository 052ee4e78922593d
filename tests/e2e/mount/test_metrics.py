#!/usr/bin/env python3
"""What an operator sees of a mount: numbers that follow what was done, in .stats and over HTTP, and flags about memory."""
import json
import os
import sys
import time
import urllib.request

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import mounted  # noqa: E402

MIB = 1 << 20


class MetricsTest(mounted.MountedTest):
    flags = ("--metrics", "127.0.0.1:0", "--custom-labels", "team:blue;rack:7", "--cache-large-write", "--entry-cache", "0s")

    def stats(self):
        found = {}
        with open(self.path(".stats")) as text:
            for line in text:
                name, value = line.split()
                found[name] = found.get(name, 0) + float(value)
        return found

    def page(self):
        with open(self.path(".config")) as text:
            address = json.load(text)["Port"]["PrometheusAgent"]
        return urllib.request.urlopen(f"http://{address}/metrics", timeout=10).read().decode()

    def test_requests_are_counted(self):
        before = self.stats()
        os.mkdir(self.path("d"))
        with open(self.path("d", "f"), "wb") as file:
            file.write(b"x" * 100_000)
        for _ in range(3):
            with self.assertRaises(FileNotFoundError):
                os.stat(self.path("missing"))
        after = self.stats()

        def more(name):
            return after.get(name, 0) - before.get(name, 0)
        self.assertEqual(1, more("juicefs_fuse_ops_total_mkdir"))
        self.assertEqual(1, more("juicefs_fuse_ops_total_create"))
        self.assertGreaterEqual(more("juicefs_fuse_ops_io_errors_ENOENT"), 3)
        self.assertEqual(100_000, more("juicefs_fuse_written_size_bytes_sum"))
        self.assertEqual(2, more("juicefs_meta_ops_total_Mknod"))
        self.assertGreaterEqual(more("juicefs_transaction_durations_histogram_seconds_total"), 3)
        self.assertGreaterEqual(more("juicefs_object_request_durations_histogram_seconds_PUT_total"), 1)
        self.assertGreater(more("juicefs_fuse_ops_durations_histogram_seconds_total"), 5)

    def test_cache_and_handles(self):
        with open(self.path("f"), "wb") as file:
            file.write(os.urandom(8 * MIB))
        self.mount.unmount()
        self.mount = self.volume.mount(*self.flags)
        self.assertEqual(0, self.stats()["juicefs_fuse_open_handlers"])
        with open(self.path("f"), "rb") as file:
            file.read()
            self.assertEqual(1, self.stats()["juicefs_fuse_open_handlers"])
        stats = self.stats()
        self.assertGreaterEqual(stats["juicefs_blockcache_blocks"], 2)
        self.assertGreaterEqual(stats["juicefs_blockcache_bytes"], 8 * MIB)
        self.assertGreater(stats["juicefs_blockcache_writes"], 0)
        self.assertEqual(8 * MIB, stats["juicefs_object_request_data_bytes_GET"])

    def test_usage_and_labels(self):
        deadline = time.monotonic() + 30
        while "juicefs_used_space" not in self.page() and time.monotonic() < deadline:
            time.sleep(0.2)
        page = self.page()
        lines = {line.split("{")[0]: line for line in page.splitlines() if not line.startswith("#")}
        for want in ('instance="', f'mp="{self.mount.path}"', 'vol_name="e2e"', 'team="blue"', 'rack="7"'):
            self.assertIn(want, lines["juicefs_uptime"])
        self.assertEqual(1 << 50, float(lines["juicefs_total_space"].split()[-1]))
        self.assertIn('subdir=""', lines["juicefs_subdir_info"])


class OverflowTest(mounted.MountedTest):
    """More is buffered than --buffer-size allows, and the rest lies in a mapped file."""

    def setUp(self):
        self.volume = mounted.Volume(self)
        self.spill = os.path.join(self.volume.root, "spill")
        os.mkdir(self.spill)
        self.mount = self.volume.mount("--buffer-size", "16M", "--overflow-dir", self.spill, "--overflow-size", "64M")

    def test_contents_survive_the_detour(self):
        want = os.urandom(96 * MIB)
        with open(self.path("f"), "wb") as file:
            file.write(want)
        self.remount_plain()
        with open(self.path("f"), "rb") as file:
            self.assertTrue(want == file.read())
        self.assertEqual([], os.listdir(self.spill), "the file has no name")

    def remount_plain(self):
        self.mount.unmount()
        self.mount = self.volume.mount()

    def test_a_missing_directory_is_refused(self):
        refused = self.volume.run("mount", self.volume.meta, self.mount.path + "x", "--overflow-dir", "/no/such", check=False)
        self.assertEqual(1, refused.returncode)
        self.assertIn("--overflow-dir: /no/such", refused.stderr)


if __name__ == "__main__":
    mounted.main()
