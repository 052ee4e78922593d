#!/usr/bin/env python3
"""overlayfs on top of a mount: as the layer below, and as the layer that is written to."""
import os
import shutil
import stat
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import mounted  # noqa: E402


class OverlayTest(mounted.MountedTest):
    flags = ("--enable-xattr",)

    def setUp(self):
        super().setUp()
        mounted.need(os.geteuid() == 0, "overlayfs needs root")
        with open("/proc/filesystems") as text:
            mounted.need("\toverlay\n" in text.read(), "the kernel has no overlayfs")
        self.local = tempfile.mkdtemp(prefix="kiseki-overlay-")
        self.addCleanup(shutil.rmtree, self.local, ignore_errors=True)
        self.merged = os.path.join(self.local, "merged")
        for folder in (self.merged, os.path.join(self.local, "lower"), os.path.join(self.local, "upper"),
                       os.path.join(self.local, "work")):
            os.mkdir(folder)
        os.makedirs(self.path("lower/dir"))
        os.mkdir(self.path("upper"))
        os.mkdir(self.path("work"))

    def overlay(self, lower, upper, work):
        """Mounts it; answers why not, "" when mounted."""
        done = subprocess.run(["mount", "-t", "overlay", "overlay", "-o", f"lowerdir={lower},upperdir={upper},workdir={work}",
                               self.merged], capture_output=True, text=True)
        if done.returncode == 0:
            self.addCleanup(subprocess.run, ["umount", "-l", self.merged], capture_output=True)
        return done.stderr

    def use(self, lower, upper):
        """What containers do with their layers, and what must then lie in which."""
        for name in ("kept", "changed", "removed", "dir/inner"):
            with open(os.path.join(lower, name), "w") as file:
                file.write(name)
        with open(os.path.join(self.merged, "changed"), "a") as file:
            file.write(" above")
        os.unlink(os.path.join(self.merged, "removed"))
        with open(os.path.join(self.merged, "new"), "w") as file:
            file.write("new")
        os.rename(os.path.join(self.merged, "new"), os.path.join(self.merged, "renamed"))
        shutil.rmtree(os.path.join(self.merged, "dir"))
        os.mkdir(os.path.join(self.merged, "dir"))  # opaque: nothing of the one below shows
        self.assertEqual({"kept", "changed", "renamed", "dir"}, set(os.listdir(self.merged)))
        self.assertEqual([], os.listdir(os.path.join(self.merged, "dir")))
        with open(os.path.join(self.merged, "changed")) as file:
            self.assertEqual("changed above", file.read())
        with open(os.path.join(lower, "changed")) as file:
            self.assertEqual("changed", file.read())
        whiteout = os.lstat(os.path.join(upper, "removed"))
        self.assertTrue(stat.S_ISCHR(whiteout.st_mode) and whiteout.st_rdev == 0)
        self.assertEqual(b"y", os.getxattr(os.path.join(upper, "dir"), "trusted.overlay.opaque"))

    def test_as_lower_layer(self):
        upper = os.path.join(self.local, "upper")
        self.assertEqual("", self.overlay(self.path("lower"), upper, os.path.join(self.local, "work")))
        self.use(self.path("lower"), upper)

    def test_as_upper_layer(self):
        lower = os.path.join(self.local, "lower")
        os.mkdir(os.path.join(lower, "dir"))
        self.assertEqual("", self.overlay(lower, self.path("upper"), self.path("work")))
        self.use(lower, self.path("upper"))


if __name__ == "__main__":
    mounted.main()
