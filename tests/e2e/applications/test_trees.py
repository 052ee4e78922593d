#!/usr/bin/env python3
"""Whole trees through rsync, tar and zip: with hard links, ACLs, extended attributes, devices, holes and odd times."""
import os
import socket
import stat
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import mounted  # noqa: E402


class TreesTest(mounted.MountedTest):
    flags = ("--enable-xattr",)
    format_flags = ("--enable-acl",)

    def setUp(self):
        super().setUp()
        self.source = os.path.join(self.volume.root, "source")
        self.make_source()

    def make_source(self):
        """One of everything that an archive can keep, on a local file system."""
        os.makedirs(self.source + "/dir/deep/deeper")
        for number, size in enumerate((0, 1, 4095, 4096, 70_001, 2 << 20)):
            with open(f"{self.source}/dir/f{number}", "wb") as file:
                file.write(os.urandom(size))
        for number in range(200):
            with open(f"{self.source}/dir/deep/small{number}", "w") as file:
                file.write(f"{number}\n" * number)
        with open(self.source + "/holes", "wb") as file:
            file.truncate(8 << 20)
            file.seek(4 << 20)
            file.write(b"middle")
        os.link(self.source + "/dir/f4", self.source + "/dir/deep/hard")
        os.link(self.source + "/dir/f4", self.source + "/harder")
        os.symlink("../dir/f1", self.source + "/dir/soft")
        os.symlink("nowhere", self.source + "/broken")
        os.link(self.source + "/broken", self.source + "/dir/broken too", follow_symlinks=False)
        os.mkfifo(self.source + "/pipe")
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(self.source + "/socket")
        if os.geteuid() == 0:
            os.mknod(self.source + "/device", 0o620 | stat.S_IFCHR, os.makedev(240, 77))
            os.chown(self.source + "/dir/f2", 1234, 5678)
        os.chmod(self.source + "/dir/f2", 0o4751)
        os.chmod(self.source + "/dir/deep", 0o3775)
        with open(self.source + "/name with \n and \xff\xe9", "w") as file:
            file.write("odd")
        for number, (folder, folders, names) in enumerate(os.walk(self.source, topdown=False)):
            for name in [*folders, *names]:  # rsync takes the times of nodes made in the same second for equal
                os.utime(os.path.join(folder, name), ns=(0, 1_234_567_890_123_456_789 + number), follow_symlinks=False)
        os.utime(self.source + "/dir/deep/deeper", ns=(-10**18, -10**18 - 1))

    def set_lists(self):
        """ACLs and extended attributes; skips aloud where the local file system cannot keep them."""
        mounted.need_tool("setfacl")
        try:
            os.setxattr(self.source + "/dir/f1", "user.comment", b"\0binary\xff")
            os.setxattr(self.source + "/dir", "user.of.dir", b"x" * 2000)
        except OSError as problem:
            mounted.need(False, f"no extended attributes in {self.source}: {problem}")
        mounted.run(["setfacl", "-m", "u:1234:rwx,g:5678:r--", self.source + "/dir/f3"])
        mounted.run(["setfacl", "-d", "-m", "u:1234:r-x", self.source + "/dir/deep"])

    def lists_of(self, top):
        """{name: its extended attributes} below `top`."""
        told = {}
        for folder, folders, names in os.walk(top):
            for name in [*folders, *names]:
                path = os.path.join(folder, name)
                told[os.path.relpath(path, top)] = {key: os.getxattr(path, key, follow_symlinks=False)
                                                    for key in os.listxattr(path, follow_symlinks=False)
                                                    if key.startswith(("user.", "system.posix_acl"))}
        return told

    def same(self, want, got, lists=True):
        self.assertEqual([], mounted.differences(mounted.tree_of(want), mounted.tree_of(got)))
        if lists:
            self.assertEqual(self.lists_of(want), self.lists_of(got))

    def test_rsync_twice(self):
        """The second run of rsync -aHAX transfers nothing, and what it copies back is what was."""
        mounted.need_tool("rsync")
        self.set_lists()
        rsync = ["rsync", "-aHAX", "--numeric-ids", "-i", "--stats"]
        mounted.run([*rsync, self.source + "/", self.path("copy")])
        self.same(self.source, self.path("copy"))
        self.remount()
        told = mounted.run([*rsync, self.source + "/", self.path("copy")])
        self.assertIn("Number of regular files transferred: 0\n", told)
        self.assertTrue(told.startswith("\nNumber of files"), f"something was changed:\n{told}")
        told = mounted.run([*rsync, "--checksum", "--delete", self.source + "/", self.path("copy")])
        self.assertIn("Number of regular files transferred: 0\n", told)
        back = os.path.join(self.volume.root, "back")
        mounted.run([*rsync, self.path("copy") + "/", back])
        self.same(self.source, back)

    def test_rsync_in_place_and_sparse(self):
        """Changes inside files, made by rsync's block matching on the files themselves."""
        mounted.need_tool("rsync")
        mounted.run(["rsync", "-aH", "--sparse", self.source + "/", self.path("copy")])
        with open(self.source + "/dir/f5", "r+b") as file:
            for at in (0, 1 << 20, 1_900_001):
                file.seek(at)
                file.write(os.urandom(5000))
            file.truncate((2 << 20) - 77)
        with open(self.source + "/holes", "r+b") as file:
            file.truncate(6 << 20)
        mounted.run(["rsync", "-aH", "--inplace", "--no-whole-file", self.source + "/", self.path("copy")])
        self.same(self.source, self.path("copy"), lists=False)

    def test_tar_round_trip(self):
        """Packed in the volume from a local tree, unpacked in the volume, compared by tar and by us."""
        self.set_lists()
        options = ["--format=posix", "--acls", "--xattrs", "--xattrs-include=*", "--sparse", "--numeric-owner"]
        for compression, ending in (("--gzip", "tgz"), ("--xz", "txz")):
            with self.subTest(compression=compression):
                archive, target = self.path(f"all.{ending}"), self.path(f"from-{ending}")
                os.mkdir(target)
                # A socket cannot be archived; tar says so in a warning.
                mounted.run(["tar", *options, compression, "-cf", archive, "--exclude=./socket", "-C", self.source, "."])
                mounted.run(["tar", *options, compression, "-xpf", archive, "-C", target])
                mounted.run(["tar", compression, "-df", archive, "-C", target])
                os.unlink(self.source + "/socket") if os.path.exists(self.source + "/socket") else None
                self.same(self.source, target)
        with open(self.path("from-tgz/holes"), "rb") as file:
            self.assertEqual(0, os.lseek(file.fileno(), 0, os.SEEK_HOLE), "the archive kept the hole, and so do we")

    def test_zip_round_trip(self):
        mounted.need_tool("zip", "unzip")
        for name in ("pipe", "socket", "device", "name with \n and \xff\xe9", "dir/broken too"):
            if os.path.lexists(os.path.join(self.source, name)):
                os.unlink(os.path.join(self.source, name))
        os.chmod(self.source + "/dir/deep", 0o755)
        os.chmod(self.source + "/dir/f2", 0o751)
        os.chown(self.source + "/dir/f2", os.geteuid(), os.getegid())
        mounted.run(["cp", "-a", self.source, self.path("tree")])
        mounted.run(["zip", "-qry", self.path("all.zip"), "."], cwd=self.path("tree"))
        mounted.run(["unzip", "-tq", self.path("all.zip")])
        os.mkdir(self.path("unpacked"))
        mounted.run(["unzip", "-q", self.path("all.zip"), "-d", self.path("unpacked")])
        want, got = mounted.tree_of(self.source), mounted.tree_of(self.path("unpacked"))
        for told in (*want.values(), *got.values()):  # zip knows neither nanoseconds nor hard links
            for key in ("mtime", "nlink"):
                told.pop(key, None)
        self.assertEqual([], mounted.differences(want, got))
        mounted.run(["zip", "-qd", self.path("all.zip"), "dir/*"])  # rewrites the archive and renames it over the old one
        self.assertNotIn("dir/f1", mounted.run(["unzip", "-l", self.path("all.zip")]))


if __name__ == "__main__":
    mounted.main()
