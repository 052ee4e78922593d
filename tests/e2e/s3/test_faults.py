#!/usr/bin/env python3
"""A mounted volume whose way to its S3 bucket is broken in every manner we know of, under fio's verification: no wrong byte reaches
the application, nothing that was acknowledged is lost, no request outlasts its deadline, memory stays in its budget."""
import errno
import os
import subprocess
import sys
import threading
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "support"))
sys.path.insert(0, os.path.join(HERE, "..", "..", "support"))
import mounted  # noqa: E402
from fault_proxy import Fault, FaultProxy  # noqa: E402

MIB = int(os.environ.get("KISEKI_FAULT_MIB", "4"))
FLAGS = ("--buffer-size", "64M", "--io-retries", "30", "--get-timeout", "4s", "--put-timeout", "4s")
RSS_MIB = 64 + 120  # the buffers, and what a client of this build takes besides


class FaultTest(unittest.TestCase):
    def setUp(self):
        mounted.need_tool("fio")
        program = os.environ.get("NULLS3", "")
        mounted.need(program and os.access(program, os.X_OK), "NULLS3 names no S3 server (perf/nulls3)")
        self.server = subprocess.Popen([program, "--port=0", "--size=2048"], stdout=subprocess.PIPE, text=True)
        self.addCleanup(self.server.wait)
        self.addCleanup(self.server.terminate)
        self.addCleanup(self.server.stdout.close)
        port = int(self.server.stdout.readline().strip().rstrip("/").rsplit(":", 1)[1])
        self.proxy = FaultProxy(port)
        self.proxy.__enter__()
        self.addCleanup(self.proxy.__exit__)
        self.volume = mounted.Volume(self, formatted=False)
        self.volume.run("format", self.volume.meta, "e2e", "--storage", "s3", "--bucket", f"http://127.0.0.1:{self.proxy.port}/faulty",
                        "--access-key", "K", "--secret-key", "S", "--trash-days", "0", "--block-size", "1M")
        self.mount = self.volume.mount(*FLAGS)

    def fio(self, *more):
        mounted.run(["fio", "--name=v", f"--directory={self.mount.path}", f"--size={MIB}m", "--numjobs=2", "--bs=128k", "--rw=randwrite",
                     "--ioengine=psync", "--verify=crc32c", "--verify_fatal=1", "--verify_state_save=0", "--randseed=7", "--fallocate=none", *more],
                    timeout=1800)

    def digests(self):
        """What a reader of whole files gets."""
        return {name: mounted.describe(self.mount / name)["sha256"] for name in ("v.0.0", "v.1.0")}

    def rss_mib(self):
        most = 0
        for pid in self.mount.pids():
            with open(f"/proc/{pid}/status") as text:
                most = max([most] + [int(line.split()[1]) >> 10 for line in text if line.startswith("VmHWM")])
        return most

    def remount(self):
        self.mount.unmount()
        self.mount = self.volume.mount(*FLAGS)

    def survives(self, fault, at_least=1):
        """Written and verified through the fault, verified again by a new client through it, and once more without it."""
        self.proxy.fault = fault
        self.fio("--end_fsync=1", "--do_verify=1")
        self.remount()
        self.fio("--verify_only=1")
        self.assertLessEqual(self.rss_mib(), RSS_MIB)
        self.assertGreaterEqual(self.proxy.done.get(fault.kind, 0), at_least, "the fault was never met")
        self.proxy.fault = Fault()
        self.remount()
        self.fio("--verify_only=1")

    def test_delay(self):
        self.survives(Fault("delay", seconds=0.05))

    def test_throttle(self):
        self.survives(Fault("throttle", bytes_per_second=4 << 20))

    def test_busy(self):
        self.survives(Fault("busy", share=0.2))

    def test_short_replies(self):
        self.survives(Fault("short_reply", share=0.2, methods=("GET",)))

    def test_resets(self):
        self.survives(Fault("reset_reply", share=0.2, methods=("GET",)))

    def test_half_sent_uploads(self):
        self.survives(Fault("half_request", share=0.2, methods=("PUT",)))

    def test_lost_replies(self):
        self.survives(Fault("lose_reply", share=0.2))

    def test_refused_connections(self):
        self.survives(Fault("refuse", share=0.2))

    def test_bit_flips_in_whole_blocks(self):
        self.fio("--end_fsync=1", "--do_verify=0")
        self.remount()
        self.proxy.fault = Fault("flip", share=0.3, methods=("GET",))
        through = self.digests()
        self.assertGreaterEqual(self.proxy.done.get("flip", 0), 1)
        self.proxy.fault = Fault()
        self.remount()
        self.assertEqual(self.digests(), through)

    def test_black_hole(self):
        """Requests end at their deadline and are tried again: work goes on when the hole has gone, and is right."""
        hole = Fault("black_hole")
        self.proxy.fault = hole
        threading.Timer(3, lambda: setattr(self.proxy, "fault", Fault())).start()
        self.fio("--end_fsync=1", "--do_verify=1")
        self.assertGreaterEqual(self.proxy.done.get("black_hole", 0), 1)
        self.remount()
        self.fio("--verify_only=1")

    def test_deadline(self):
        """A store that never answers: the write is an error in time, not a hang, and says EIO."""
        self.mount.unmount()
        self.mount = self.volume.mount("--io-retries", "1", "--get-timeout", "1s", "--put-timeout", "1s")
        self.proxy.fault = Fault("black_hole")
        begun = time.monotonic()
        with self.assertRaises(OSError) as caught:
            descriptor = os.open(self.mount / "f", os.O_CREAT | os.O_WRONLY)
            try:
                os.write(descriptor, b"x" * 100)
                os.fsync(descriptor)
            finally:
                self.proxy_free_close(descriptor)
        self.assertEqual(errno.EIO, caught.exception.errno)
        self.assertLess(time.monotonic() - begun, 20)

    def test_writers_that_wait_for_memory_let_others_in(self):
        """Sixteen writers wait for buffers that a dead store never frees: others are served, and a writer can be killed."""
        self.mount.unmount()
        self.mount = self.volume.mount("--buffer-size", "64M", "--io-retries", "1000", "--put-timeout", "60s")
        self.proxy.fault = Fault("black_hole")
        writers = [subprocess.Popen(["dd", "if=/dev/zero", f"of={self.mount / f'w{n}'}", "bs=128k", "count=4000"],
                                    stderr=subprocess.DEVNULL) for n in range(16)]
        try:
            self.wait_until_full()
            began = time.monotonic()
            for i in range(20):
                mounted.run(["mkdir", self.mount / f"d{i}"], timeout=20)
                mounted.run(["stat", self.mount / f"w{i % 16}"], timeout=20)
                mounted.run(["ls", self.mount.path], timeout=20)
            self.assertLess(time.monotonic() - began, 20)
            writers[5].kill()
            self.assertEqual(-9, writers[5].wait(20))
        finally:
            for writer in writers:
                writer.kill()
            self.proxy.fault = Fault()
            for writer in writers:
                writer.wait(60)

    def wait_until_full(self):
        """Nothing more is written."""
        sizes, since, deadline = None, time.monotonic(), time.monotonic() + 60
        while time.monotonic() - since < 2:
            now = [int(mounted.run(["stat", "-c", "%s", self.mount / f"w{n}"], timeout=20) or 0) for n in range(16)
                   if os.path.exists(self.mount / f"w{n}")]
            if now != sizes:
                sizes, since = now, time.monotonic()
            self.assertLess(time.monotonic(), deadline, "the buffers never fill up")
            time.sleep(0.1)
        self.assertGreater(sum(sizes), 30 << 20)

    def proxy_free_close(self, descriptor):
        self.proxy.fault = Fault()
        try:
            os.close(descriptor)
        except OSError:
            pass


if __name__ == "__main__":
    mounted.main()
