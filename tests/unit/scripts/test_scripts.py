#!/usr/bin/env python3
"""What scripts/quickstart and scripts/test say when something is missing: one sentence, and nothing half-made.

They run in a copy of the tree's scripts, with programs of our own in place of those that install, build and mount.
"""
import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

SCRIPTS = pathlib.Path(__file__).resolve().parents[3] / "scripts"
PLAIN = "sh awk basename cat dirname grep head ln mkdir nproc pwd sed touch chmod env".split()

# In a mount namespace of its own, whose /dev holds nothing but null.
WITHOUT_FUSE = """
mkdir "$0/dev" && touch "$0/dev/null" && mount --bind /dev/null "$0/dev/null" && mount --rbind "$0/dev" /dev || exit 99
exec "$@"
"""


class Scripts(unittest.TestCase):
    def setUp(self):
        self.root = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.bin = self.root / "bin"
        self.bin.mkdir()
        shutil.copytree(SCRIPTS, self.root / "tree/scripts")
        for name in PLAIN:
            (self.bin / name).symlink_to(shutil.which(name))
        self.program("uname", "echo Linux")
        self.program("id", "echo 1000")
        self.program("dpkg-query", "echo install ok installed")
        self.program("findmnt", "exit 1")
        self.program("modprobe", "exit 1")
        self.program("sudo", '"$@"')
        self.program("kiseki", 'echo "kiseki $*"; [ "$1" = probe ] || [ ! -e refuse ]')
        # Configures and builds the program above.
        self.program("cmake", 'while [ $# -gt 0 ]; do case "$1" in -B | --build) into=$2 ;; esac; shift; done\n'
                     f'mkdir -p "$into"; touch "$into/build.ninja"; ln -sf {self.bin}/kiseki "$into/kiseki"')

    def program(self, name, text):
        path = self.bin / name
        path.unlink(missing_ok=True)
        path.write_text(f"#!{self.bin}/sh\n{text}\n")
        path.chmod(0o755)

    def run_script(self, name, *words, before=()):
        environment = {"PATH": str(self.bin), "HOME": str(self.root)}
        return subprocess.run([*before, str(self.root / "tree/scripts" / name), *words], cwd=self.root, env=environment,
                              capture_output=True, text=True, timeout=30)

    def assert_refused(self, done, sentence):
        self.assertEqual(1, done.returncode, done.stdout + done.stderr)
        self.assertEqual(1, done.stderr.count("\n"), done.stderr)
        self.assertIn(sentence, done.stderr)


class Quickstart(Scripts):
    def setUp(self):
        super().setUp()
        if not os.path.exists("/dev/fuse"):
            self.skipTest("no /dev/fuse here")
        if not os.access("/dev/fuse", os.R_OK | os.W_OK):
            self.skipTest("/dev/fuse is closed to this user")

    def test_builds_mounts_and_says_how_to_unmount(self):
        done = self.run_script("quickstart", "k")
        self.assertEqual(0, done.returncode, done.stderr)
        self.assertIn(f"\nkiseki mount {self.root}/k -d\n", done.stdout)
        self.assertIn(f"unmount    {self.root}/tree/build/quickstart/kiseki umount {self.root}/k", done.stdout)
        self.assertTrue((self.root / "k").is_dir())

    def test_leaves_alone_what_is_mounted(self):
        self.program("findmnt", "exit 0")
        done = self.run_script("quickstart", "k")
        self.assertEqual(0, done.returncode, done.stderr)
        self.assertIn("Already mounted", done.stdout)
        self.assertNotIn("\nkiseki mount", done.stdout)

    def test_without_sudo(self):
        self.program("dpkg-query", "exit 1")
        (self.bin / "sudo").unlink()
        self.assert_refused(self.run_script("quickstart", "k"), "run it as root, or install sudo")

    def test_with_a_sudo_that_refuses(self):
        self.program("dpkg-query", "exit 1")
        self.program("sudo", "exit 1")
        done = self.run_script("quickstart", "k")
        self.assert_refused(done, "sudo refuses to install them for this user: clang-19")
        self.assertFalse((self.root / "k").exists())

    def test_with_packages_that_nobody_has(self):
        self.program("dpkg-query", "exit 1")
        self.program("apt-get", 'for word; do last=$word; done; [ "$last" != clang-19 ] && [ $# -lt 9 ]')
        self.assert_refused(self.run_script("quickstart", "k"), "these packages cannot be installed here: clang-19 (")

    def test_without_dev_fuse(self):
        before = ["unshare", "-rm", "sh", "-c", WITHOUT_FUSE, str(self.root)]
        done = subprocess.run([*before, "true"], capture_output=True, text=True)
        if done.returncode != 0:
            self.skipTest("no mount namespaces here: " + done.stderr)
        before[0], before[2] = shutil.which("unshare"), shutil.which("sh")
        (self.root / "dev/null").unlink()
        (self.root / "dev").rmdir()
        (self.bin / "mount").symlink_to(shutil.which("mount"))
        self.assert_refused(self.run_script("quickstart", "k", before=before), "/dev/fuse is missing")

    def test_on_a_file(self):
        (self.root / "k").write_text("")
        self.assert_refused(self.run_script("quickstart", "k"), f"cannot make the mount point {self.root}/k (File exists)")

    def test_where_the_mount_fails(self):
        (self.root / "refuse").write_text("")
        self.assert_refused(self.run_script("quickstart", "k"), "could not be mounted")

    def test_unknown_words(self):
        self.assert_refused(self.run_script("quickstart", "--fast"), "unknown option --fast")
        self.assert_refused(self.run_script("quickstart", "a", "b"), "one mount point at most")


class Test(Scripts):
    def setUp(self):
        super().setUp()
        self.program("cmake", "exit 0")
        self.program("ctest", 'echo "ctest $*"')

    def test_runs_a_preset(self):
        done = self.run_script("test", "--preset", "tsan", "-R", "core")
        self.assertEqual(0, done.returncode, done.stderr)
        self.assertIn("ctest --preset tsan ", done.stdout)
        self.assertIn("-R core\n", done.stdout)

    def test_an_unknown_preset(self):
        self.assert_refused(self.run_script("test", "--preset", "fast"), "--preset takes one of test, dev, epoll")
        self.assert_refused(self.run_script("test", "--preset"), "--preset takes one of")


if __name__ == "__main__":
    unittest.main()
