#!/usr/bin/env python3
"""A mount over Sentinels whose master goes, and over a Cluster."""
import os
import sys
import threading
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import mounted  # noqa: E402
import redis  # noqa: E402


class Writer(threading.Thread):
    """Makes files one after another until told to stop; remembers those that were acknowledged, and those that were not."""

    def __init__(self, folder):
        super().__init__()
        self.folder, self.made, self.refused, self.stopped = folder, [], [], False

    def run(self):
        i = 0
        while not self.stopped:
            name, i = f"f{i}", i + 1
            try:
                with open(os.path.join(self.folder, name), "w") as file:
                    file.write(name)
                self.made.append(name)
            except OSError as error:
                self.refused.append((name, error.errno))

    def finish(self):
        self.stopped = True
        self.join()


class SentinelTest(unittest.TestCase):
    def setUp(self):
        self.set = redis.Sentinels(self)
        self.volume = redis.Volume(self, self.set.url())
        self.mount = self.volume.mount("--hide-internal")

    def wait_for_another_master(self, old):
        for _ in range(300):
            if self.set.master() is not old:
                return
            time.sleep(0.1)
        self.fail("no fail-over")

    def test_a_fail_over_under_load_is_only_a_pause(self):
        # SEMANTICS: a Redis server keeps what its appendfsync and its replicas keep
        old = self.set.master()
        writer = Writer(self.mount.path)
        writer.start()
        time.sleep(1)
        safe = list(writer.made)
        self.assertEqual("1", old.command("WAIT", "1", "5000").strip(), "replicated")
        self.set.fail_over()
        self.wait_for_another_master(old)
        before = len(writer.made)
        deadline = time.monotonic() + 30
        while len(writer.made) < before + 50 and time.monotonic() < deadline:
            time.sleep(0.1)
        writer.finish()
        self.assertGreater(len(writer.made), before + 49, self.mount.log_text())
        there = set(os.listdir(self.mount.path))
        # Until the Sentinels have told the old master, it goes on acknowledging what the new one never hears of.
        lost = [name for name in writer.made if name not in there]
        self.assertEqual([], [name for name in safe if name not in there])
        for name in sorted(there)[:200]:
            with open(self.mount / name) as file:
                self.assertIn(file.read(), (name, ""))
        print(f"fail-over: {len(writer.made)} acknowledged, {len(lost)} of them lost, {len(writer.refused)} refused")

    def test_the_death_of_a_master_needs_no_remount(self):
        with open(self.mount / "before", "w") as file:
            file.write("x")
        old = self.set.master()
        self.assertEqual("1", old.command("WAIT", "1", "5000").strip(), "replicated")
        old.kill()
        with open(self.mount / "after", "w") as file:
            file.write("y")
        self.assertEqual({"before", "after"}, set(os.listdir(self.mount.path)))
        self.assertIsNot(old, self.set.master())


class ClusterTest(unittest.TestCase):
    def test_a_volume_in_one_slot(self):
        cluster = redis.Cluster(self)
        for url in (cluster.url(3), cluster.nodes[0].url(4)):
            volume = redis.Volume(self, url)
            mount = volume.mount("--hide-internal")
            os.mkdir(mount / "d")
            for i in range(20):
                with open(mount / f"d/f{i}", "w") as file:
                    file.write("x" * i)
            os.rename(mount / "d/f0", mount / "moved")
            self.assertEqual(19, len(os.listdir(mount / "d")))
            mount.unmount()
            mount = volume.mount("--hide-internal")
            self.assertEqual(19, os.stat(mount / "d/f19").st_size)
        keys = [key for node in cluster.nodes for key in node.command("KEYS", "*", db=0).split()]
        self.assertTrue(all(key.startswith(("{3}", "{4}")) for key in keys), keys)


if __name__ == "__main__":
    mounted.main()
