#!/usr/bin/env python3
"""What public POSIX suites taught about directories: listings beside changes, removed directories, kinds of rename."""
import errno
import os
import stat
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import mounted  # noqa: E402
from syscalls import RENAME_EXCHANGE, RENAME_NOREPLACE, RENAME_WHITEOUT, name_to_handle, open_handle, renameat2  # noqa: E402


def drop_kernel_caches():
    """Names and inodes nobody uses; a hint that costs other programs nothing but time."""
    with open("/proc/sys/vm/drop_caches", "w") as control:
        control.write("2")


class DirectoriesTest(mounted.MountedTest):
    def fill(self, name, count):
        os.mkdir(self.path(name))
        for i in range(count):
            os.mknod(self.path(name, f"{i:05}"))
        return self.path(name)

    def test_a_listing_shows_a_renamed_entry_once(self):
        """SEMANTICS: an entry renamed through the same mount while its directory is listed is not shown twice."""
        path, count = self.fill("d", 9000), 9000  # more than one page of a listing
        seen = []
        with os.scandir(path) as listing:
            for entry in listing:
                seen.append(entry.inode())
                if not entry.name.startswith("z"):
                    os.rename(entry.path, os.path.join(path, "z" + entry.name))
        self.assertEqual(len(seen), len(set(seen)), "an inode was listed under two names")
        self.assertEqual(count, len(seen))
        self.assertEqual({f"z{i:05}" for i in range(count)}, set(os.listdir(path)))

    def test_names_that_stay_are_always_listed(self):
        """SEMANTICS: a name that exists while its directory is listed is shown once, whatever else happens there."""
        path = self.fill("d", 6000)
        seen = []
        with os.scandir(path) as listing:
            for number, entry in enumerate(listing):
                seen.append(entry.name)
                if number % 100 == 0:
                    renameat2(self.path("d", "00003"), self.path("d", "05500"), RENAME_EXCHANGE)
                    os.rename(self.path("d", "00007"), self.path("d", "05600"))  # onto a name that was there
                    os.mknod(self.path("d", "00007"))
                    os.mknod(self.path("d", f"x{number:05}"))
                    os.unlink(self.path("d", f"x{number:05}"))
        stayed = [name for name in seen if not name.startswith("x")]
        self.assertEqual([f"{i:05}" for i in range(6000)], sorted(stayed))

    def test_a_listing_tells_nothing_old(self):
        """SEMANTICS: a listing tells the kernel no attributes and no names that were changed since it fetched them."""
        self.fill("d", 2000)
        self.remount()
        path = self.path("d")
        changed = [f"{i:05}" for i in range(1200, 2000)]
        with os.scandir(path) as listing:
            for number, entry in enumerate(listing):
                os.stat(entry.path)  # as ls -l does it; the kernel goes on asking for attributes too
                if number == 800:  # in the middle of a page: what follows was fetched already
                    for name in changed[::2]:
                        with open(os.path.join(path, name), "w") as file:
                            file.write("longer")
                    for name in changed[1::2]:
                        with open(self.path("new"), "w") as file:
                            file.write("another")
                        os.rename(self.path("new"), os.path.join(path, name))
        wrong = [name for name in changed[::2] if os.stat(os.path.join(path, name)).st_size != 6]
        for name in changed[1::2]:
            try:
                with open(os.path.join(path, name)) as file:
                    if file.read() == "another":
                        continue
            except OSError as problem:
                name = f"{name}: {problem}"
            wrong.append(name)
        self.assertEqual([], wrong)

    def test_a_rename_over_a_file_leaves_no_moment_without_it(self):
        """SEMANTICS: names change atomically.
        SEMANTICS: a rename over a file leaves no moment without it.
        """
        versions = [bytes([65 + number]) * 5000 for number in range(8)]
        wrong, done = [], threading.Event()

        def replace(body):
            with open(self.path("new"), "wb") as file:
                file.write(body)
            os.rename(self.path("new"), self.path("f"))

        def read():
            while not done.is_set():
                try:
                    with open(self.path("f"), "rb") as file:
                        body = file.read()
                    if os.stat(self.path("f")).st_size != 5000 or body not in versions:
                        wrong.append(f"{len(body)} bytes")
                except OSError as problem:
                    wrong.append(str(problem))

        replace(versions[0])
        readers = [threading.Thread(target=read) for _ in range(3)]
        for reader in readers:
            reader.start()
        for turn in range(300):
            replace(versions[turn % 8])
        done.set()
        for reader in readers:
            reader.join()
        self.assertEqual([], wrong)

    def test_removed_directories_can_still_be_asked(self):
        """SEMANTICS: fstat of an open or working directory works after its removal."""
        for name in ("removed", "replaced", "by"):
            os.mkdir(self.path(name))
        removed, replaced = (os.open(self.path(name), os.O_RDONLY) for name in ("removed", "replaced"))
        pathonly = os.open(self.path("removed"), os.O_PATH)
        was = os.fstat(removed)
        os.rmdir(self.path("removed"))
        os.rename(self.path("by"), self.path("replaced"))
        for fd in (removed, replaced, pathonly):
            told = os.fstat(fd)
            self.assertTrue(stat.S_ISDIR(told.st_mode))
            self.assertEqual(0, told.st_nlink)
        self.assertEqual(was.st_ino, os.fstat(removed).st_ino)
        self.assertEqual([], os.listdir(removed))
        for fd in (removed, replaced, pathonly):
            os.close(fd)

    def test_a_removed_file_behind_a_path_descriptor(self):
        os.mknod(self.path("f"))
        fd = os.open(self.path("f"), os.O_PATH)
        os.unlink(self.path("f"))
        self.assertEqual(0, os.fstat(fd).st_nlink)
        os.close(fd)

    def test_a_removed_file_behind_a_path_descriptor_that_was_written_last(self):
        written = os.open(self.path("f"), os.O_CREAT | os.O_WRONLY)
        fd = os.open(self.path("f"), os.O_PATH)
        os.write(written, b"four")
        os.unlink(self.path("f"))
        os.write(written, b" and more")
        os.close(written)
        time.sleep(1.1)  # for as long the kernel may answer
        self.assertEqual((0, 13), (os.fstat(fd).st_nlink, os.fstat(fd).st_size))
        os.close(fd)

    def test_kinds_of_rename(self):
        """SEMANTICS: rename replaces atomically, or with flags: refuses to replace, exchanges, leaves a whiteout."""
        os.mkdir(self.path("dir"))
        for name in ("a", "b"):
            with open(self.path(name), "w") as file:
                file.write(name)
        with self.assertRaises(FileExistsError):
            renameat2(self.path("a"), self.path("b"), RENAME_NOREPLACE)
        renameat2(self.path("a"), self.path("b"), RENAME_EXCHANGE)
        with open(self.path("a")) as file:
            self.assertEqual("b", file.read())
        renameat2(self.path("a"), self.path("dir"), RENAME_EXCHANGE)
        self.assertTrue(os.path.isdir(self.path("a")) and os.path.isfile(self.path("dir")))
        renameat2(self.path("b"), self.path("c"), RENAME_WHITEOUT)
        left = os.lstat(self.path("b"))
        self.assertTrue(stat.S_ISCHR(left.st_mode))
        self.assertEqual((0, 1), (left.st_rdev, left.st_nlink))
        with self.assertRaises(OSError) as refused:
            renameat2(self.path("c"), self.path("dir"), RENAME_EXCHANGE | RENAME_WHITEOUT)
        self.assertEqual(errno.EINVAL, refused.exception.errno)
        with self.assertRaises(FileNotFoundError):
            renameat2(self.path("c"), self.path("absent"), RENAME_EXCHANGE)

    def test_a_whiteout_has_the_group_of_a_set_group_id_directory(self):
        mounted.need(os.geteuid() == 0, "only root gives a directory any group")
        os.mkdir(self.path("shared"))
        os.chown(self.path("shared"), -1, 1234)
        os.chmod(self.path("shared"), 0o2777)
        with open(self.path("shared/d"), "w"):
            pass
        renameat2(self.path("shared/d"), self.path("shared/e"), RENAME_WHITEOUT)
        self.assertEqual(1234, os.lstat(self.path("shared/d")).st_gid)

    def test_handles_outlive_caches(self):
        """SEMANTICS: file handles (name_to_handle_at, NFS) stay good while the file exists, also over renames."""
        mounted.need(os.geteuid() == 0, "open_by_handle_at needs root")
        os.makedirs(self.path("top/sub"))
        with open(self.path("top/sub/f"), "w") as file:
            file.write("body")
        handles = {name: name_to_handle(self.path("top", *name)) for name in ((), ("sub",), ("sub", "f"))}
        os.rename(self.path("top"), self.path("moved"))
        for forget in (drop_kernel_caches, self.remount):  # of the kernel alone, and of the client too
            forget()
            top = os.open(self.path(), os.O_RDONLY)
            for name, handle in handles.items():
                fd = open_handle(top, handle, os.O_RDONLY)
                self.assertEqual(os.stat(self.path("moved", *name)).st_ino, os.fstat(fd).st_ino)
                if name and name[-1] == "f":
                    self.assertEqual(b"body", os.read(fd, 10))
                os.close(fd)
            os.close(top)
        os.unlink(self.path("moved/sub/f"))
        top = os.open(self.path(), os.O_RDONLY)
        self.addCleanup(os.close, top)
        with self.assertRaises(OSError) as gone:
            os.close(open_handle(top, handles["sub", "f"], os.O_RDONLY))
        self.assertEqual(errno.ESTALE, gone.exception.errno)


class LargeDirectoryTest(mounted.MountedTest):
    def test_a_million_entries_in_bounded_memory(self):
        """SEMANTICS: directories are listed in pages, so that a million entries need no more memory than a few thousand."""
        count = int(os.environ.get("KISEKI_ENTRIES", "1000000"))
        os.mkdir(self.path("d"))
        with mounted.inside(self.path("d")):
            for i in range(count):
                os.mknod(str(i))
        self.remount()
        self.assertEqual(1, sum(1 for name in os.listdir(self.path()) if name == "d"))
        before, most, listed = self.mount.resident(), 0, 0
        with os.scandir(self.path("d")) as listing:
            for _ in listing:
                listed += 1
                if listed % 50_000 == 0:
                    most = max(most, self.mount.resident())
        self.assertEqual(count, listed)
        self.assertLess(most - before, 300 << 20, "the record cache and one page are all it takes")


if __name__ == "__main__":
    mounted.main()
