#!/usr/bin/env python3
"""`mount -d`, the default volume, fstab's way of mounting, and the supervisor."""
import os
import shutil
import signal
import subprocess
import sys
import time
import unittest
import urllib.request

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import mounted  # noqa: E402


def name_of(pid):
    with open(f"/proc/{pid}/comm") as file:
        return file.read().strip()


class SupervisorTest(mounted.MountedTest):
    def workers(self):
        return [pid for pid in self.mount.pids() if name_of(pid) == "kiseki-worker"]

    def test_a_killed_worker_is_replaced_and_the_mount_survives(self):
        with open(self.path("kept"), "w") as file:
            file.write("before")
        first, = self.workers()
        os.kill(first, signal.SIGKILL)
        deadline = time.monotonic() + 20
        text = ""
        while time.monotonic() < deadline and text != "before":
            try:
                with open(self.path("kept")) as file:
                    text = file.read()
            except OSError:
                time.sleep(0.05)
        self.assertEqual("before", text, self.mount.log_text())
        self.assertNotEqual([first], self.workers())
        with open(self.path("new"), "w") as file:
            file.write("after")
        self.assertEqual(1, len(self.volume.status()["Sessions"]), "the new worker goes on with the old session")
        self.mount.unmount()
        self.assertEqual([], self.volume.status()["Sessions"])

    def kill_without_database(self):
        """The worker dies while the database cannot be opened."""
        with open(self.path("kept"), "w") as file:
            file.write("before")
        away = self.volume.root + "/away"
        first, = self.workers()
        os.kill(first, signal.SIGSTOP)  # it keeps the files it has open
        for name in ("", "-wal", "-shm"):
            os.rename(self.volume.database + name, away + name)
        os.kill(first, signal.SIGKILL)
        self.wait_for_log("mount.restart_failed")
        return away

    def wait_for_log(self, event):
        deadline = time.monotonic() + 20
        while event not in self.mount.log_text():
            self.assertLess(time.monotonic(), deadline, self.mount.log_text())
            time.sleep(0.02)

    def test_a_worker_that_cannot_start_is_tried_again(self):
        away = self.kill_without_database()
        waiting = subprocess.Popen(["cat", self.path("kept")], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.addCleanup(waiting.kill)
        self.assertEqual([], [pid for pid in self.mount.pids() if name_of(pid) == "kiseki-worker"])
        for name in ("", "-wal", "-shm"):
            os.rename(away + name, self.volume.database + name)
        self.assertEqual("before", waiting.communicate(timeout=30)[0], self.mount.log_text())
        self.mount.unmount()
        self.assertEqual([], self.volume.status()["Sessions"])

    def test_a_supervisor_without_a_worker_ends_when_asked(self):
        self.kill_without_database()
        supervisor, = self.mount.pids()
        os.kill(supervisor, signal.SIGTERM)
        self.mount.wait_gone()
        self.assertFalse(os.path.ismount(self.mount.path), "a dead mount was left behind")

    def test_a_supervisor_without_a_worker_ends_with_its_mount(self):
        self.kill_without_database()
        mounted.detach(self.mount.path)
        self.mount.wait_gone()

    def test_two_small_processes(self):
        pids = self.mount.pids()
        self.assertEqual(2, len(pids))
        total = 0
        for pid in pids:
            with open(f"/proc/{pid}/smaps_rollup") as file:
                total += sum(int(line.split()[1]) for line in file if line.startswith("Pss:"))
        print(f"idle: {total} KiB", file=sys.stderr)
        self.assertLess(total, 25 << 10)


class DefaultVolumeTest(unittest.TestCase):
    def test_mount_alone_makes_the_volume_on_first_use(self):
        volume = mounted.Volume(self, formatted=False)
        home = {**os.environ, "HOME": volume.root}
        target = os.path.join(volume.root, "mnt-default")
        os.mkdir(target)
        for text in ("", "one"):
            volume.run("mount", target, "-d", "--log", volume.root + "/log", env=home)
            self.assertTrue(os.path.ismount(target))
            path = os.path.join(target, "f")
            if text:
                with open(path) as file:
                    self.assertEqual(text, file.read())
            with open(path, "w") as file:
                file.write("one")
            volume.run("umount", target)
        self.assertTrue(os.path.exists(volume.root + "/.kiseki/default.db"))
        self.assertTrue(os.path.isdir(volume.root + "/.kiseki/data/default"))


class FstabTest(unittest.TestCase):
    def test_the_mount_helper(self):
        volume = mounted.Volume(self)
        helper = os.path.join(volume.root, "mount.kiseki")
        os.symlink(shutil.which(mounted.binary()), helper)
        target = os.path.join(volume.root, "mnt-helper")
        os.mkdir(target)
        others = "allow_other," if os.geteuid() == 0 else ""  # /etc/fuse.conf decides for everybody else
        volume.run(volume.meta, target, "-o", f"rw,_netdev,nofail,{others}buffer-size=64M,log={volume.root}/log", client=helper)
        with open("/proc/self/mounts") as file:
            line, = (line for line in file if f" {target} " in line)
        self.assertTrue(line.startswith("Kiseki:e2e "), line)
        self.assertIn(" fuse.kiseki ", line)
        volume.run("umount", target)


class ShownNumbersTest(mounted.MountedTest):
    flags = ("--metrics", "127.0.0.1:0")

    def test_config_stats_and_metrics(self):
        import json
        with open(self.path(".config")) as file:
            config = json.load(file)
        self.assertEqual(self.mount.path, config["Meta"]["MountPoint"])
        self.assertIn(config["Pid"], self.mount.pids())
        with open(self.path(".stats")) as file:
            stats = dict(line.split() for line in file)
        self.assertIn("juicefs_uptime", stats)
        page = urllib.request.urlopen(f"http://{config['Port']['PrometheusAgent']}/metrics", timeout=10).read().decode()
        self.assertIn('vol_name="e2e"', page)


class SpeedTest(unittest.TestCase):
    def test_time_to_the_first_answer(self):
        volume = mounted.Volume(self)
        best = 9.0
        for _ in range(3):
            mount_at = os.path.join(volume.root, "mnt-speed")
            os.makedirs(mount_at, exist_ok=True)
            began = time.monotonic()
            volume.run("mount", volume.meta, mount_at, "-d", "--log", volume.root + "/log")
            os.statvfs(mount_at)
            best = min(best, time.monotonic() - began)
            volume.run("umount", mount_at)
            deadline = time.monotonic() + 10
            while volume.status()["Sessions"] and time.monotonic() < deadline:
                time.sleep(0.02)
        print(f"mount to first statfs: {best * 1000:.0f} ms", file=sys.stderr)
        self.assertLess(best, 1.5)  # the target is 0.15 s on an idle machine; this one may be busy


if __name__ == "__main__":
    mounted.main()
