#!/usr/bin/env python3
"""Mounting and unmounting: every clean way out keeps the data and leaves nothing behind."""
import os
import signal
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import mounted  # noqa: E402


class WaysOutTest(unittest.TestCase):
    def setUp(self):
        self.volume = mounted.Volume(self)

    def write_then(self, leave, foreground):
        """Writes without fsync, leaves, and finds the data and no session after it."""
        mount = self.volume.mount(foreground=foreground)
        with open(mount / "kept", "wb") as file:
            file.write(b"k" * 3_000_001)
        leave(mount)
        mount.wait_gone()
        self.assertFalse(os.path.ismount(mount.path))
        if foreground:
            self.assertEqual(0, mount.process.wait(10), mount.log_text())
        self.assertFalse(self.volume.status()["Sessions"], "a cleanly ended client left its session")
        again = self.volume.mount()
        with open(again / "kept", "rb") as file:
            self.assertTrue(file.read() == b"k" * 3_000_001)

    def signal(self, number):
        def leave(mount):
            if mount.process:
                mount.process.send_signal(number)
            else:
                for pid in mount.pids():
                    try:
                        os.kill(pid, number)
                    except ProcessLookupError:
                        pass
        return leave

    def test_umount(self):
        self.write_then(lambda mount: mount.unmount(), foreground=False)

    def test_umount_of_the_foreground(self):
        self.write_then(lambda mount: mounted.run(["umount", mount.path]), foreground=True)

    def test_own_umount_verb(self):
        self.write_then(lambda mount: self.volume.run("umount", mount.path), foreground=False)

    def test_sigterm(self):
        self.write_then(self.signal(signal.SIGTERM), foreground=True)

    def test_sigint(self):
        self.write_then(self.signal(signal.SIGINT), foreground=True)

    def test_sigterm_in_the_background(self):
        self.write_then(self.signal(signal.SIGTERM), foreground=False)

    def test_busy_mounts_stay(self):
        mount = self.volume.mount()
        with open(mount / "open", "w") as file:
            file.write("x")
            file.flush()
            done = subprocess.run(["umount", mount.path], capture_output=True, text=True)
            self.assertNotEqual(0, done.returncode)
            file.write("y")
        with open(mount / "open") as file:
            self.assertEqual("xy", file.read())
        mount.unmount()

    def test_many_times(self):
        for number in range(8):
            mount = self.volume.mount()
            with open(mount / f"round{number}", "w") as file:
                file.write(str(number))
            self.assertEqual(number + 1, len([n for n in os.listdir(mount.path) if n.startswith("round")]))
            mount.unmount()

    def test_read_only(self):
        mount = self.volume.mount()
        with open(mount / "f", "w") as file:
            file.write("x")
        mount.unmount()
        mount = self.volume.mount("--read-only")
        with open(mount / "f") as file:
            self.assertEqual("x", file.read())
        for call in (lambda: open(mount / "g", "w"), lambda: os.unlink(mount / "f"), lambda: os.mkdir(mount / "d"),
                     lambda: os.chmod(mount / "f", 0o600)):
            with self.assertRaises(OSError) as refused:
                call()
            self.assertIn(refused.exception.errno, (30, 1, 13))
        self.assertFalse(self.volume.status()["Sessions"], "a read-only client registers no session")


if __name__ == "__main__":
    mounted.main()
