#!/usr/bin/env python3
"""Two mounts of one volume on Redis, by two processes, once in two network namespaces: nobody ever sees what must not be seen.

KISEKI_COHERENCE_SECONDS: how long the workers run (default 10); KISEKI_HANDOVERS: how often a lock goes from one mount to the
other (default 300); KISEKI_SEED: of the random choices.
"""
import fcntl
import os
import subprocess
import sys
import threading
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import coherence  # noqa: E402
import mounted  # noqa: E402
import redis  # noqa: E402

SECONDS = float(os.environ.get("KISEKI_COHERENCE_SECONDS", "10"))
HANDOVERS = int(os.environ.get("KISEKI_HANDOVERS", "300"))
SEED = int(os.environ.get("KISEKI_SEED", "1"))


class Namespace:
    """A network of its own; its one cable ends in ours."""

    def __init__(self, test, number):
        self.name = f"kiseki-{os.getpid()}-{number}"
        self.outer, self.inner = f"kv{os.getpid() % 100000}o{number}", f"kv{os.getpid() % 100000}i{number}"
        self.address = f"10.{200 + os.getpid() % 50}.{number}.1"
        test.addCleanup(self.close)
        self.ip("netns", "add", self.name)
        self.ip("link", "add", self.outer, "type", "veth", "peer", "name", self.inner)
        self.ip("link", "set", self.inner, "netns", self.name)
        self.ip("addr", "add", f"{self.address}/30", "dev", self.outer)
        self.ip("link", "set", self.outer, "up")
        self.ip("-n", self.name, "addr", "add", self.address[:-1] + "2/30", "dev", self.inner)
        self.ip("-n", self.name, "link", "set", self.inner, "up")

    @staticmethod
    def ip(*words):
        done = subprocess.run(["ip", *words], capture_output=True, text=True)
        mounted.need(done.returncode == 0, f"ip {' '.join(words)}: {done.stderr}")

    def prefix(self):
        return ["nsenter", f"--net=/run/netns/{self.name}"]

    def close(self):
        subprocess.run(["ip", "link", "del", self.outer], capture_output=True)
        subprocess.run(["ip", "netns", "del", self.name], capture_output=True)


class CoherenceTest(unittest.TestCase):
    def check(self, mounts, trash):
        problems, told = coherence.run([mount.path for mount in mounts], SECONDS, SEED, trash)
        print(f"seed {SEED}, {SECONDS:.0f} s: {told}", file=sys.stderr)
        if problems:
            self.fail("\n".join([f"seed {SEED}: {len(problems)} violations", *problems[:40]]))
        for count in told.values():
            self.assertGreater(count, 0, told)

    def test_two_processes(self):
        server = redis.Server(self)
        volume = redis.Volume(self, server.port, trash_days=1)
        self.check([volume.mount("--hide-internal") for _ in range(2)], trash=True)

    def test_two_network_namespaces(self):
        mounted.need_tool("ip", "nsenter")
        spaces = [Namespace(self, number) for number in range(2)]
        server = redis.Server(self, "--protected-mode", "no", "--bind", "127.0.0.1", *(space.address for space in spaces))
        volume = redis.Volume(self, server.port)
        mounts = []
        for space in spaces:
            volume.meta = f"redis://{space.address}:{server.port}/1"
            mounts.append(volume.mount("--hide-internal", prefix=space.prefix()))
        self.check(mounts, trash=False)


class LockTest(unittest.TestCase):
    def setUp(self):
        self.server = redis.Server(self)
        self.volume = redis.Volume(self, self.server.port)
        self.mounts = [self.volume.mount("--hide-internal") for _ in range(2)]
        with open(self.mounts[0] / "lock", "w"):
            pass

    def requests(self):
        """How many the server has had of those that locks cause; what scripts call inside is in the statistics too, but not these."""
        return sum(int(line.split("calls=")[1].split(",")[0]) for line in self.server.command("INFO", "commandstats").splitlines()
                   if line.startswith(("cmdstat_evalsha:", "cmdstat_mget:", "cmdstat_hgetall:", "cmdstat_ping:")))

    def test_one_holder_over_many_hand_overs(self):
        # SEMANTICS: which mount is next is left to chance
        before, begin = self.requests(), time.monotonic()
        problems, told = coherence.hand_over([mount.path for mount in self.mounts], HANDOVERS)
        took = time.monotonic() - begin
        print(f"{told}, {told['handovers'] / took:.0f} hand-overs/s, {(self.requests() - before) / told['locked']:.2f} requests per lock",
              file=sys.stderr)
        self.assertEqual([], problems)
        self.assertGreaterEqual(told["handovers"], HANDOVERS)

    def test_who_comes_to_share_a_lock_sees_what_was_written(self):
        # SEMANTICS: letting go of it, or of having it alone, writes out what was written, and who gets it sees that
        for lock in (fcntl.flock, fcntl.lockf):
            with self.subTest(lock=lock.__name__):
                fds = [os.open(mount / "lock", os.O_RDWR) for mount in self.mounts]
                for number in range(20):
                    ours, theirs = fds if number % 2 else reversed(fds)
                    lock(ours, fcntl.LOCK_EX)
                    os.pwrite(ours, b"%08d" % number, 0)
                    lock(ours, fcntl.LOCK_SH)
                    lock(theirs, fcntl.LOCK_SH)
                    self.assertEqual(b"%08d" % number, os.pread(theirs, 8, 0))
                    for fd in fds:
                        lock(fd, fcntl.LOCK_UN)
                for fd in fds:
                    os.close(fd)

    def test_a_hundred_waiters_cost_no_more_than_one(self):
        holder = os.open(self.mounts[0] / "lock", os.O_RDWR)
        fcntl.flock(holder, fcntl.LOCK_EX)
        got = []

        def wait_for_it(mount):
            fd = os.open(mount / "lock", os.O_RDWR)
            fcntl.flock(fd, fcntl.LOCK_EX)
            got.append(mount.number)
            os.close(fd)

        waiters = [threading.Thread(target=wait_for_it, args=(self.mounts[i % 2],)) for i in range(100)]
        for waiter in waiters:
            waiter.start()
        time.sleep(2)  # until all stand in line
        before, begin = self.requests(), time.monotonic()
        time.sleep(3)
        rate = (self.requests() - before) / (time.monotonic() - begin)
        self.assertEqual([], got)
        before, begin = self.requests(), time.monotonic()
        os.close(holder)
        for waiter in waiters:
            waiter.join(120)
        took, asked = time.monotonic() - begin, self.requests() - before
        print(f"100 waiters: {rate:.0f} requests/s; all served in {took:.2f} s with {asked} requests", file=sys.stderr)
        self.assertEqual(100, len(got))
        self.assertLess(rate, 100)
        self.assertLess(asked, 3000)


if __name__ == "__main__":
    mounted.main()
