#!/usr/bin/env python3
"""A Debian system is installed into a volume, works as a root directory, and as the layer below a container's."""
import os
import stat
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import mounted  # noqa: E402


class ChrootTest(mounted.MountedTest):
    flags = ("-o", "dev,suid", "--enable-xattr")

    def inside(self, *command, root=None, **more):
        environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"}
        return mounted.run(["chroot", *more.pop("options", ()), root or self.path("root"), *command], env=environment, **more)

    def test_a_system_in_a_volume(self):
        mounted.need(os.geteuid() == 0, "only root changes its root directory")
        mounted.need_tool("debootstrap", "chroot")
        with open("/etc/os-release") as text:
            suite = next((line.split("=")[1].strip() for line in text if line.startswith("VERSION_CODENAME=")), "stable")
        done = subprocess.run(["debootstrap", "--variant=minbase", suite, self.path("root")], capture_output=True, text=True)
        offline = any(word in done.stdout for word in ("Failed getting release file", "Invalid Release file"))
        mounted.need(not offline, f"no archive is reached: {done.stdout[-300:]}")
        self.assertEqual(0, done.returncode, done.stdout[-3000:] + done.stderr[-3000:])
        self.remount("-o", "dev,suid")
        self.check_system()
        self.check_users()
        self.check_container()

    def check_system(self):
        """What was installed is what the packages say, and a package can be removed."""
        self.assertEqual("", self.inside("dpkg", "--verify"))
        self.assertEqual("", self.inside("dpkg", "--audit"))
        self.assertTrue(stat.S_ISCHR(os.stat(self.path("root/dev/null")).st_mode))
        self.inside("sh", "-c", "echo gone > /dev/null && test -z \"$(cat /dev/null)\"")
        self.inside("dpkg", "--purge", "--force-depends", "mawk")
        self.assertNotEqual(0, subprocess.run(["chroot", self.path("root"), "awk", "1"], capture_output=True).returncode)
        self.inside("ldconfig")

    def check_users(self):
        """Users are made, and set-user-id works for them."""
        self.inside("useradd", "--create-home", "--uid", "4242", "someone")
        self.assertEqual("4242\n", self.inside("id", "-u", "someone"))
        self.inside("cp", "/usr/bin/id", "/usr/local/bin/suid-id")
        self.inside("chmod", "4755", "/usr/local/bin/suid-id")
        self.assertEqual("0\n", self.inside("/usr/local/bin/suid-id", "-u", options=["--userspec=4242:4242"]))
        self.assertEqual("4242\n", self.inside("/usr/bin/id", "-u", options=["--userspec=4242:4242"]))

    def check_container(self):
        """overlayfs with both layers in the volume: changes above, nothing changed below."""
        with open("/proc/filesystems") as text:
            mounted.need("\toverlay\n" in text.read(), "the kernel has no overlayfs")
        merged = os.path.join(self.volume.root, "mnt-merged")
        for folder in (merged, self.path("upper"), self.path("work")):
            os.mkdir(folder)
        mounted.run(["mount", "-t", "overlay", "overlay", "-o",
                     f"lowerdir={self.path('root')},upperdir={self.path('upper')},workdir={self.path('work')}", merged])
        self.addCleanup(subprocess.run, ["umount", "-l", merged], capture_output=True)
        before = mounted.tree_of(self.path("root"))
        self.inside("useradd", "--create-home", "--uid", "5353", "visitor", root=merged)
        self.inside("userdel", "--remove", "someone", root=merged)
        self.inside("dpkg", "--purge", "--force-depends", "--force-remove-essential", "hostname", root=merged)
        self.inside("sh", "-c", "mv /usr/share/doc /usr/share/papers && rm -rf /var/log && mkdir /var/log", root=merged)
        self.assertEqual("5353\n", self.inside("id", "-u", "visitor", root=merged))
        self.assertFalse(os.path.exists(merged + "/home/someone"))
        self.assertEqual([], os.listdir(merged + "/var/log"))
        mounted.run(["umount", merged])
        self.assertEqual([], mounted.differences(before, mounted.tree_of(self.path("root"))))
        self.assertTrue(os.path.isdir(self.path("upper/home/visitor")))


if __name__ == "__main__":
    mounted.main()
