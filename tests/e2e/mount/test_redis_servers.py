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

    def __init__(self, folder, prefix="f"):
        super().__init__(daemon=True)
        self.folder, self.prefix, self.made, self.refused, self.stopped = folder, prefix, [], [], False

    def run(self):
        i = 0
        while not self.stopped:
            name, i = f"{self.prefix}{i}", i + 1
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

    def wait_for_a_replica(self):
        for _ in range(300):
            if self.set.master().info("connected_slaves") == "1":
                return
            time.sleep(0.1)
        self.fail("no replica")

    def test_a_fail_over_under_load_is_only_a_pause(self):
        # SEMANTICS: a fail-over that the Sentinels announce (`SENTINEL FAILOVER`) loses nothing that was acknowledged
        # SEMANTICS: a Redis server keeps what its appendfsync and its replicas keep
        old = self.set.master()
        writer = Writer(self.mount.path)
        writer.start()
        time.sleep(1)
        self.set.fail_over()
        self.wait_for_another_master(old)
        before = len(writer.made)
        deadline = time.monotonic() + 30
        while len(writer.made) < before + 50 and time.monotonic() < deadline:
            time.sleep(0.1)
        writer.finish()
        self.assertGreater(len(writer.made), before + 49, self.mount.log_text())
        there = set(os.listdir(self.mount.path))
        lost = [name for name in writer.made if name not in there]
        print(f"fail-over: {len(writer.made)} acknowledged, {len(lost)} of them lost, {len(writer.refused)} refused")
        self.assertEqual([], lost, self.mount.log_text())
        self.assertEqual([], writer.refused, self.mount.log_text())
        for name in writer.made:
            with open(self.mount / name) as file:
                self.assertEqual(name, file.read())

    def test_the_death_of_a_master_needs_no_remount(self):
        # SEMANTICS: when a master dies, what it acknowledged last (and no replica had yet, for Redis replicates after it has answered) is lost
        with open(self.mount / "before", "w") as file:
            file.write("x")
        old = self.set.master()
        self.assertEqual("1", old.command("WAIT", "1", "5000").strip(), "replicated")
        old.kill()
        with open(self.mount / "after", "w") as file:
            file.write("y")
        self.assertEqual({"before", "after"}, set(os.listdir(self.mount.path)))
        self.assertIsNot(old, self.set.master())


    def test_what_a_replica_has_outlives_the_master(self):
        # SEMANTICS: with `?wait-replicas=1` in the URL a change is acknowledged only when a replica has it, and that, too, loses nothing
        # SEMANTICS: without a replica changes then wait
        mount = self.volume.mount("--hide-internal", meta=self.set.url() + "?wait-replicas=1")
        for round in range(2):
            old = self.set.master()
            writer = Writer(mount.path, f"r{round}-")
            writer.start()
            time.sleep(1.5)
            old.kill()
            self.wait_for_another_master(old)
            before = len(writer.made)
            # Alone the new master acknowledges nothing, until the old one is back as its replica.
            old.start()
            deadline = time.monotonic() + 60
            while len(writer.made) < before + 50 and time.monotonic() < deadline:
                time.sleep(0.1)
            writer.finish()
            self.assertGreater(len(writer.made), before + 49, mount.log_text())
            there = set(os.listdir(mount.path))
            lost = [name for name in writer.made if name not in there]
            print(f"death of a master, wait-replicas=1: {len(writer.made)} acknowledged, {len(lost)} of them lost, "
                  f"{len(writer.refused)} refused")
            self.assertEqual([], lost, mount.log_text())
            for name in writer.made:
                with open(mount / name) as file:
                    self.assertEqual(name, file.read())
            self.wait_for_a_replica()


class RouteReadTest(unittest.TestCase):
    def test_a_mount_that_only_reads_may_read_from_a_replica(self):
        servers = redis.Sentinels(self)
        volume = redis.Volume(self, servers.url())
        writer = volume.mount("--hide-internal")
        os.mkdir(writer / "d")
        with open(writer / "d/file", "w") as file:
            file.write("x" * 1000)
        reader = volume.mount("--hide-internal", "--read-only", meta=servers.url() + "?route-read=replica")
        replica = servers.servers[1]
        before = int(replica.info("total_commands_processed"))
        for i in range(100):
            self.assertFalse(os.path.exists(reader / f"d/none{i}"))
        self.assertGreater(int(replica.info("total_commands_processed")), before + 99)
        with open(reader / "d/file") as file:
            self.assertEqual("x" * 1000, file.read())
        with open(writer / "d/file", "a") as file:
            file.write("y")
        deadline = time.monotonic() + 10
        while os.stat(reader / "d/file").st_size != 1001:
            self.assertLess(time.monotonic(), deadline, "the replica tells of changes")
            time.sleep(0.05)
        with self.assertRaises(OSError):
            os.mkdir(reader / "no")


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
