#!/usr/bin/env python3
"""Names: large directories, renames from many sides at once, links, limits, and the rules of rename(2)."""
import ctypes
import errno
import multiprocessing
import os
import random
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import mounted  # noqa: E402

RENAME_NOREPLACE, RENAME_EXCHANGE, AT_FDCWD = 1, 2, -100


def renameat2(old, new, flags):
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.renameat2(AT_FDCWD, os.fsencode(old), AT_FDCWD, os.fsencode(new), flags) != 0:
        raise OSError(ctypes.get_errno(), "renameat2")


def touch(path):
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644))


def storm(folder, mover, seed, steps):
    """Moves files of the common folder around among themselves and through sub-directories."""
    source = random.Random(seed)
    places = [folder] + [os.path.join(folder, f"dir{n}") for n in range(3)]
    for _ in range(steps):
        old = os.path.join(source.choice(places), f"file{source.randrange(20)}")
        new = os.path.join(source.choice(places), f"file{source.randrange(20)}")
        try:
            os.rename(old, new)
        except FileNotFoundError:
            pass


def make_and_remove(folder, worker, count):
    for number in range(count):
        path = os.path.join(folder, f"{worker}.{number}")
        touch(path)
        if number % 2:
            os.unlink(path)


class NamesTest(mounted.MountedTest):
    def refused(self, number, call, *arguments):
        with self.assertRaises(OSError) as refusal:
            call(*arguments)
        self.assertEqual(errno.errorcode[number], errno.errorcode[refusal.exception.errno], f"{call.__name__}{arguments}")

    def test_10000_files_in_one_directory(self):
        os.mkdir(self.path("many"))
        wanted = {f"file-{number:05}" for number in range(10000)}
        for name in wanted:
            touch(self.path("many", name))
        self.assertEqual(wanted, set(os.listdir(self.path("many"))))
        self.remount()
        listed = mounted.run(["ls", "-f", self.path("many")]).split()
        self.assertEqual(10002, len(listed))
        self.assertEqual(wanted | {".", ".."}, set(listed))
        self.assertEqual(10001, len(mounted.run(["ls", "-l", self.path("many")]).splitlines()))
        mounted.run(["rm", "-rf", self.path("many")])
        self.assertEqual([], [n for n in os.listdir(self.path()) if not n.startswith(".")])

    def test_listing_while_it_changes(self):
        # SEMANTICS: what is made or removed meanwhile may be shown or not
        os.mkdir(self.path("live"))
        stable = {f"stable{number}" for number in range(2000)}
        for name in stable:
            touch(self.path("live", name))
        worker = multiprocessing.Process(target=make_and_remove, args=(self.path("live"), "w", 1500))
        worker.start()
        while worker.is_alive():
            listed = os.listdir(self.path("live"))
            self.assertEqual(len(listed), len(set(listed)), "a name was listed twice")
            self.assertEqual(set(), stable - set(listed), "a name that was always there was not listed")
        worker.join()
        self.assertEqual(0, worker.exitcode)
        self.assertEqual(2750, len(os.listdir(self.path("live"))))

    def test_rename_storm(self):
        # SEMANTICS: names change atomically
        for number in range(3):
            os.mkdir(self.path(f"dir{number}"))
        for number in range(20):
            with open(self.path(f"file{number}"), "w") as file:
                file.write(f"body of {number}")
        movers = [multiprocessing.Process(target=storm, args=(self.path(), n, n, 400)) for n in range(4)]
        for mover in movers:
            mover.start()
        for mover in movers:
            mover.join()
            self.assertEqual(0, mover.exitcode)
        self.remount()
        bodies, inodes = [], []
        for folder, _, names in os.walk(self.path()):
            for name in names:
                if name.startswith("file"):
                    path = os.path.join(folder, name)
                    inodes.append(os.stat(path).st_ino)
                    self.assertEqual(1, os.stat(path).st_nlink)
                    with open(path) as file:
                        bodies.append(file.read())
        self.assertGreater(len(bodies), 0)
        self.assertEqual(len(bodies), len(set(bodies)), "one file has two names")
        self.assertEqual(len(inodes), len(set(inodes)))
        self.assertTrue(all(body.startswith("body of ") for body in bodies))

    def test_create_and_remove_from_four_processes(self):
        os.mkdir(self.path("shared"))
        workers = [multiprocessing.Process(target=make_and_remove, args=(self.path("shared"), n, 300)) for n in range(4)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
            self.assertEqual(0, worker.exitcode)
        self.remount()
        self.assertEqual({f"{w}.{n}" for w in range(4) for n in range(0, 300, 2)}, set(os.listdir(self.path("shared"))))

    def test_rules_of_rename(self):
        os.makedirs(self.path("a/b/c/d"))
        os.mkdir(self.path("empty"))
        os.mkdir(self.path("full"))
        touch(self.path("full/x"))
        touch(self.path("file"))
        self.refused(errno.EINVAL, os.rename, self.path("a"), self.path("a/b"))
        self.refused(errno.EINVAL, os.rename, self.path("a"), self.path("a/b/c/d/e"))
        self.refused(errno.ENOTEMPTY, os.rename, self.path("a"), self.path("full"))
        self.refused(errno.EISDIR, os.rename, self.path("file"), self.path("empty"))
        self.refused(errno.ENOTDIR, os.rename, self.path("empty"), self.path("file"))
        self.refused(errno.ENOENT, os.rename, self.path("nothing"), self.path("x"))
        self.refused(errno.EEXIST, renameat2, self.path("file"), self.path("full/x"), RENAME_NOREPLACE)
        inode = os.stat(self.path("a/b")).st_ino
        os.rename(self.path("a"), self.path("empty"))
        self.assertEqual(inode, os.stat(self.path("empty/b")).st_ino)
        file, folder = os.stat(self.path("file")).st_ino, os.stat(self.path("full")).st_ino
        renameat2(self.path("file"), self.path("full"), RENAME_EXCHANGE)
        self.assertEqual((folder, file), (os.stat(self.path("file")).st_ino, os.stat(self.path("full")).st_ino))
        self.assertEqual(["x"], os.listdir(self.path("file")))

    def test_link_counts(self):
        # SEMANTICS: hard links within a volume
        self.assertEqual(2, os.stat(self.path()).st_nlink)
        os.mkdir(self.path("a"))
        os.mkdir(self.path("a/b"))
        self.assertEqual((3, 3, 2), tuple(os.stat(self.path(p)).st_nlink for p in (".", "a", "a/b")))
        os.rename(self.path("a/b"), self.path("b"))
        self.assertEqual((4, 2), tuple(os.stat(self.path(p)).st_nlink for p in (".", "a")))
        os.rmdir(self.path("a"))
        self.assertEqual(3, os.stat(self.path()).st_nlink)
        touch(self.path("f"))
        for number in range(10):
            os.link(self.path("f"), self.path(f"b/link{number}"))
        self.assertEqual(11, os.stat(self.path("b/link3")).st_nlink)
        os.unlink(self.path("f"))
        self.remount()
        self.assertEqual(10, os.stat(self.path("b/link3")).st_nlink)
        self.refused(errno.EPERM, os.link, self.path("b"), self.path("c"))

    def test_limits_of_names(self):
        # SEMANTICS: names are bytes, up to 255, not / or NUL
        touch(self.path("n" * 255))
        self.refused(errno.ENAMETOOLONG, touch, self.path("n" * 256))
        odd = [b"sp ace", b"new\nline", b"\xff\xfe not utf-8", "日本語".encode(), b"...", b"-rf", b"\x01\x7f"]
        for name in odd:
            touch(os.path.join(os.fsencode(self.path()), name))
        self.remount()
        self.assertLessEqual(set(odd), set(os.listdir(os.fsencode(self.path()))))
        self.refused(errno.EEXIST, os.mkdir, self.path("sp ace"))
        self.refused(errno.ENOENT, os.stat, self.path("absent"))
        self.refused(errno.ENOTDIR, os.stat, self.path("sp ace/below"))
        os.mkdir(self.path("d"))
        self.refused(errno.EISDIR, os.unlink, self.path("d"))
        self.refused(errno.ENOTDIR, os.rmdir, self.path("sp ace"))
        touch(self.path("d/x"))
        self.refused(errno.ENOTEMPTY, os.rmdir, self.path("d"))
        deep = self.path(*["deep"] * 60)
        os.makedirs(deep)
        touch(os.path.join(deep, "bottom"))
        self.assertEqual(60, subprocess.run(["find", self.path("deep"), "-type", "d"], capture_output=True).stdout.count(b"\n"))

    def test_removed_working_directory(self):
        os.mkdir(self.path("here"))
        fd = os.open(self.path("here"), os.O_RDONLY)
        os.rmdir(self.path("here"))
        self.refused(errno.ENOENT, lambda: os.open("new", os.O_CREAT | os.O_WRONLY, dir_fd=fd))
        self.assertEqual([], os.listdir(fd), "as on a local file system, where fstat of it works too")
        os.close(fd)

    def test_symbolic_links(self):
        # SEMANTICS: Symlinks up to 4095 bytes
        os.symlink("../some/where", self.path("l"))
        os.symlink("x" * 4095, self.path("long"))
        self.refused(errno.ENAMETOOLONG, os.symlink, "x" * 4096, self.path("longer"))
        self.remount()
        self.assertEqual("../some/where", os.readlink(self.path("l")))
        self.assertEqual("x" * 4095, os.readlink(self.path("long")))
        self.assertEqual(13, os.lstat(self.path("l")).st_size)
        os.symlink("loop", self.path("loop"))
        self.refused(errno.ELOOP, os.stat, self.path("loop"))


if __name__ == "__main__":
    mounted.main()
