#!/usr/bin/env python3
"""Kiseki and JuiceFS on one volume: one formats, the other writes, both at once, and JuiceFS's own checks find nothing.

JUICEFS names the other client's binary; without it nothing runs.
"""
import concurrent.futures
import errno
import fcntl
import json
import multiprocessing
import os
import random
import re
import shutil
import sqlite3
import struct
import sys
import threading
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "e2e", "support")]
import mounted  # noqa: E402
import redis  # noqa: E402
import redis_records  # noqa: E402
from holes import compactions, data_of, pages_of, wait_for_compaction, write_each  # noqa: E402
from recount import Recount, reference_differences, schema  # noqa: E402

JUICEFS = os.environ.get("JUICEFS", "")
INTERNAL = {".accesslog", ".config", ".control", ".stats", ".trash"}
EXPECTED = {errno.ENOENT, errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR, errno.EISDIR, errno.EINVAL, errno.ESTALE,
            errno.EPERM}  # link(2) of a directory


def tree(mount):
    return mounted.tree_of(mount.path, hidden=INTERNAL)


class InteropTest(unittest.TestCase):
    def ours(self):
        return mounted.binary()

    def check_with_juicefs(self, volume):
        """JuiceFS's fsck and gc have nothing to say, and names, nodes, link counts and references fit together."""
        done = volume.run("fsck", volume.meta, client=JUICEFS, check=False)
        self.assertEqual(0, done.returncode, done.stdout + done.stderr)
        done = volume.run("gc", volume.meta, client=JUICEFS, env={**os.environ, "JFS_GC_SKIPPEDTIME": "1"})
        told = re.search(r"(\d+) leaked", done.stdout + done.stderr)
        self.assertIsNotNone(told, done.stdout + done.stderr)
        self.assertEqual("0", told[1], done.stdout + done.stderr)
        if volume.meta.startswith("sqlite3:"):
            self.assertEqual([], Recount(volume.database).structure_differences())
            self.assertEqual([], reference_differences(volume.database))

    def check_counts(self, volume):
        counted = Recount(volume.database)
        self.assertEqual(counted.usage(), counted.stored_usage(), "usage: (space, inodes) counted, stored")
        self.assertEqual([], counted.stats_differences())
        self.assertEqual(0, counted.sessions)


def fill(mount, seed):
    """One of everything that a volume can hold, and files written in ways that leave many slices."""
    source = random.Random(seed)
    os.makedirs(mount / "dir/deeper")
    for number in range(30):
        with open(mount / f"dir/f{number}", "wb") as file:
            file.write(source.randbytes(source.choice((0, 1, 4096, 100_000, 4 << 20, 5_000_001))))
    os.link(mount / "dir/f3", mount / "dir/deeper/hard")
    os.symlink("../dir/f1", mount / "dir/soft")
    os.mkfifo(mount / "dir/fifo")
    os.mknod(mount / "dir/device", 0o600 | 0o020000, os.makedev(1, 3))
    os.setxattr(mount / "dir/f2", "user.colour", b"blue \0 green")
    os.chmod(mount / "dir/f4", 0o6751)
    os.chown(mount / "dir/f5", 1234, 5678)
    os.utime(mount / "dir/f6", ns=(10**18 + 1, 10**18 + 2))
    fd = os.open(mount / "patched", os.O_CREAT | os.O_RDWR)
    for step in range(120):
        os.pwrite(fd, source.randbytes(source.randrange(1, 30_000)), source.randrange(70 << 20))
        if step % 3 == 0:
            os.fsync(fd)
        if step % 40 == 39:
            os.ftruncate(fd, source.randrange(60 << 20, 75 << 20))
    os.close(fd)
    fd = os.open(mount / "sparse", os.O_CREAT | os.O_RDWR)
    os.pwrite(fd, b"far", 1 << 30)
    os.close(fd)
    os.rename(mount / "dir/f7", mount / "moved")
    os.unlink(mount / "dir/f8")


class ByTurnsTest(InteropTest):
    def one_formats_the_other_reads(self, formatter, writer, reader):
        volume = mounted.Volume(self, client=formatter)
        mount = volume.mount("--enable-xattr", client=writer)
        fill(mount, 7)
        if os.path.isdir("/usr/share/perl"):
            mounted.run(["cp", "-a", "/usr/share/perl", mount.path])
        before = tree(mount)
        mount.unmount()
        self.check_with_juicefs(volume)
        if writer != JUICEFS:
            self.check_counts(volume)
        mount = volume.mount("--enable-xattr", client=reader)
        self.assertEqual([], mounted.differences(before, tree(mount)))
        self.assertEqual(b"blue \0 green", os.getxattr(mount / "dir/f2", "user.colour"))
        for name in os.listdir(mount.path):
            if name not in INTERNAL:
                mounted.run(["rm", "-rf", mount / name])
        mount.unmount()
        self.check_with_juicefs(volume)
        self.assertEqual((0, 0), Recount(volume.database).usage())

    def test_they_format_we_write_they_read(self):
        self.one_formats_the_other_reads(JUICEFS, self.ours(), JUICEFS)

    def test_we_format_they_write_we_read(self):
        self.one_formats_the_other_reads(self.ours(), JUICEFS, self.ours())

    def test_we_format_and_write_they_read(self):
        self.one_formats_the_other_reads(self.ours(), self.ours(), JUICEFS)

    def test_the_trash_is_shared(self):
        volume = mounted.Volume(self, client=JUICEFS, trash_days=1)
        mount = volume.mount(client=self.ours())
        with open(mount / "thrown", "wb") as file:
            file.write(b"away" * 1000)
        inode = os.stat(mount / "thrown").st_ino
        os.unlink(mount / "thrown")
        mount.unmount()
        mount = volume.mount(client=JUICEFS)
        hour = [n for n in os.listdir(mount / ".trash")]
        self.assertEqual(1, len(hour))
        thrown = mount / f".trash/{hour[0]}/1-{inode}-thrown"
        with open(thrown, "rb") as file:
            self.assertEqual(b"away" * 1000, file.read())
        os.rename(thrown, mount / "back")
        mount.unmount()
        mount = volume.mount(client=self.ours())
        with open(mount / "back", "rb") as file:
            self.assertEqual(b"away" * 1000, file.read())
        mount.unmount()
        self.check_with_juicefs(volume)


class FormatTest(InteropTest):
    def test_same_schema_setting_and_counters(self):
        mine, theirs = mounted.Volume(self, client=self.ours()), mounted.Volume(self, client=JUICEFS)
        self.assertEqual(schema(theirs.database), schema(mine.database))
        told = []
        for volume in (mine, theirs):
            database = sqlite3.connect(volume.database)
            setting = json.loads(database.execute("select value from jfs_setting where name='format'").fetchone()[0])
            rows = {name: database.execute(f"select * from {name} order by 1").fetchall() for name in ("jfs_counter", "jfs_edge")}
            rows["nodes"] = database.execute("select inode, type, mode, nlink, length, parent from jfs_node order by 1").fetchall()
            database.close()
            for differs in ("UUID", "Bucket"):
                setting.pop(differs)
            told.append((setting, rows))
        self.assertEqual(told[1], told[0])

    def test_status_and_info_have_the_same_shape(self):
        volume = mounted.Volume(self, client=JUICEFS)
        mount = volume.mount(client=self.ours())
        with open(mount / "f", "wb") as file:
            file.write(b"i" * 5_000_000)
        mine, theirs = volume.status(client=self.ours()), volume.status(client=JUICEFS)
        self.assertEqual(theirs["Setting"], mine["Setting"])
        self.assertEqual(set(theirs["Sessions"][0]), set(mine["Sessions"][0]))
        self.assertEqual(set(theirs["Stat"]), set(mine["Stat"]))
        asked = [volume.run("info", mount / "f", client=client).stdout for client in (JUICEFS, self.ours())]
        self.assertEqual(asked[0], asked[1])


def own_files(mount_path, client, seed, seconds, told):
    """Works on names that only this client uses; tells what must be there in the end."""
    source, bodies = random.Random(seed), {}
    folder = os.path.join(mount_path, "shared")
    deadline = time.monotonic() + seconds
    number = 0
    try:
        while time.monotonic() < deadline:
            name = f"{client}-{source.randrange(12)}"
            path, what = os.path.join(folder, name), source.random()
            if what < 0.5:
                body = source.randbytes(source.choice((10, 5000, 200_000)))
                with open(path, "wb") as file:
                    file.write(body)
                bodies[name] = body
            elif what < 0.7 and name in bodies:
                with open(path, "ab") as file:
                    file.write(b"+" * 100)
                bodies[name] += b"+" * 100
            elif what < 0.85 and name in bodies:
                other = f"{client}-{source.randrange(12)}"
                os.rename(path, os.path.join(folder, other))
                bodies[other] = bodies.pop(name)
            elif name in bodies:
                os.unlink(path)
                del bodies[name]
            number += 1
        told.put((client, number, bodies, ""))
    except BaseException as problem:
        told.put((client, number, bodies, f"{type(problem).__name__}: {problem}"))


def fight(mount_path, seed, seconds, told):
    """Creates, renames, links and removes names that the other client wants too. Only honest errors are allowed."""
    source, surprises = random.Random(seed), []
    folder = os.path.join(mount_path, "fight")
    deadline = time.monotonic() + seconds

    def name():
        return os.path.join(folder, *([f"d{source.randrange(3)}"] if source.random() < 0.5 else []), f"n{source.randrange(10)}")

    actions = {"create": lambda: os.close(os.open(name(), os.O_CREAT | os.O_WRONLY, 0o644)), "mkdir": lambda: os.mkdir(name()),
               "unlink": lambda: os.unlink(name()), "rmdir": lambda: os.rmdir(name()), "rename": lambda: os.rename(name(), name()),
               "link": lambda: os.link(name(), name()), "symlink": lambda: os.symlink("x", name()), "stat": lambda: os.stat(name()),
               "chmod": lambda: os.chmod(name(), 0o600)}
    count = 0
    while time.monotonic() < deadline:
        what = source.choice(list(actions))
        try:
            actions[what]()
        except OSError as problem:
            if problem.errno not in EXPECTED:
                surprises.append(f"{what}: {problem}")
        count += 1
    told.put((count, surprises[:10]))


class AtOnceTest(InteropTest):
    def mount_both(self, *flags):
        volume = mounted.Volume(self, client=JUICEFS)
        return volume, volume.mount(*flags, client=self.ours()), volume.mount(*flags, client=JUICEFS)

    def test_each_with_its_own_names(self):
        volume, mine, theirs = self.mount_both()
        os.mkdir(mine / "shared")
        told = multiprocessing.Queue()
        workers = [multiprocessing.Process(target=own_files, args=(mount.path, f"{who}{n}", n, 8, told))
                   for who, mount in (("ours", mine), ("theirs", theirs)) for n in range(2)]
        for worker in workers:
            worker.start()
        wanted = {}
        for _ in workers:
            client, count, bodies, problem = told.get(timeout=120)
            self.assertEqual("", problem, client)
            self.assertGreater(count, 10, client)
            wanted.update(bodies)
        for worker in workers:
            worker.join()
        time.sleep(2.5)  # both kernels' timeouts of one second have passed
        for mount in (mine, theirs):
            self.assertEqual(set(wanted), set(os.listdir(mount / "shared")))
            for name, body in wanted.items():
                with open(mount / f"shared/{name}", "rb") as file:
                    self.assertTrue(file.read() == body, f"{name} through {mount.client}")
        mine.unmount()
        theirs.unmount()
        self.check_with_juicefs(volume)
        counted = Recount(volume.database)
        self.assertEqual(counted.usage(), counted.stored_usage())

    def test_both_want_the_same_names(self):
        volume, mine, theirs = self.mount_both()
        os.makedirs(mine / "fight")
        for number in range(3):
            os.mkdir(mine / f"fight/d{number}")
        told = multiprocessing.Queue()
        workers = [multiprocessing.Process(target=fight, args=(mount.path, n, 8, told))
                   for n, mount in enumerate((mine, theirs, mine, theirs))]
        for worker in workers:
            worker.start()
        for _ in workers:
            count, surprises = told.get(timeout=120)
            self.assertEqual([], surprises, mine.log_text()[-3000:])
            self.assertGreater(count, 50)
        for worker in workers:
            worker.join()
        time.sleep(2.5)
        self.assertEqual([], mounted.differences(tree(mine), tree(theirs)))
        mine.unmount()
        theirs.unmount()
        self.check_with_juicefs(volume)

    def test_what_one_writes_the_other_reads(self):
        _, mine, theirs = self.mount_both()
        for number in range(20):
            writer, reader = (mine, theirs) if number % 2 else (theirs, mine)
            body = random.Random(number).randbytes(300_000 + number)
            with open(writer / "passed", "wb") as file:
                file.write(body)
            time.sleep(1.1)  # close-to-open, plus the kernel's attribute timeout
            with open(reader / "passed", "rb") as file:
                self.assertTrue(file.read() == body, f"round {number}")

    def test_locks_hold_across_clients(self):
        _, mine, theirs = self.mount_both()
        with open(mine / "lock", "wb"):
            pass
        time.sleep(1.1)
        for first, second in ((mine, theirs), (theirs, mine)):
            for call in (fcntl.flock, fcntl.lockf):
                one, two = os.open(first / "lock", os.O_RDWR), os.open(second / "lock", os.O_RDWR)
                call(one, fcntl.LOCK_EX)
                with self.assertRaises(OSError) as refused:
                    call(two, fcntl.LOCK_EX | fcntl.LOCK_NB)
                self.assertIn(refused.exception.errno, (errno.EAGAIN, errno.EACCES))
                call(one, fcntl.LOCK_UN)
                call(two, fcntl.LOCK_EX | fcntl.LOCK_NB)
                os.close(one)
                os.close(two)

    def test_both_compact_one_chunk_of_holes(self):
        """Both read and write it all the time, so both rewrite it; every byte stays in its place, and no slice is lost or left."""
        volume, mine, theirs = self.mount_both()
        pages, step = 12, 100_000
        with open(mine / "f", "wb") as file:
            file.truncate(pages * step)
        time.sleep(1.1)
        stop, wrong = threading.Event(), []

        def work(mount, first):
            version = 0
            while not stop.is_set():
                version = version % 250 + 1
                fd = os.open(mount / "f", os.O_RDWR)
                for number in range(first, pages, 2):  # each client has pages of its own
                    os.pwrite(fd, bytes([number + 1, version]) * 300, number * step)
                    os.fsync(fd)
                os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
                for number in range(pages):
                    piece = os.pread(fd, 1000, number * step)
                    if piece[:600] not in (bytes([number + 1, piece[1]]) * 300, bytes(600)) or any(piece[600:]):
                        wrong.append((mount.client, number, piece[:4]))
                    if number % 2 == first and piece[1] != version:
                        wrong.append((mount.client, number, piece[1], "its own version is", version))
                os.close(fd)

        workers = [threading.Thread(target=work, args=(mine, 0)), threading.Thread(target=work, args=(theirs, 1))]
        for worker in workers:
            worker.start()
        time.sleep(8)
        stop.set()
        for worker in workers:
            worker.join()
        self.assertEqual([], wrong[:5])
        self.assertGreater(compactions(mine), 3)
        self.assertGreater(compactions(theirs), 3)
        mine.unmount()
        theirs.unmount()
        self.check_with_juicefs(volume)

    def test_each_appends_to_one_file(self):
        # Appends of two clients take turns; none is lost.
        _, mine, theirs = self.mount_both()
        with open(mine / "log", "wb"):
            pass
        time.sleep(1.1)

        def append(mount, who):
            for number in range(25):
                fd = os.open(mount / "log", os.O_RDWR | os.O_APPEND)
                fcntl.flock(fd, fcntl.LOCK_EX)
                os.close(os.open(mount / "log", os.O_RDONLY))  # an open asks for the newest length
                os.write(fd, f"{who} {number}\n".encode())
                os.fsync(fd)
                os.close(fd)
                time.sleep(1.05 / 25)

        for who, mount in (("ours", mine), ("theirs", theirs), ("ours again", mine)):
            append(mount, who)
            time.sleep(1.1)
        for mount in (mine, theirs):
            with open(mount / "log") as file:
                self.assertEqual([f"{who} {n}" for who in ("ours", "theirs", "ours again") for n in range(25)], file.read().splitlines())


class HolesTest(InteropTest):
    """Chunks that we compacted around their holes: several records of one slice. On the engine of KISEKI_TEST_META."""

    PIECES = [(number * 700_000, 60_000) for number in range(12)] + [((64 << 20) - 9, 30)]

    def ours_compacted(self, trash_days):
        volume = mounted.Volume(self, client=JUICEFS, trash_days=trash_days)
        mount = volume.mount(client=self.ours())
        body = write_each(mount / "f", self.PIECES, times=3)
        wait_for_compaction(mount, "f", 0)
        fd = os.open(mount / "f", os.O_RDONLY)
        self.assertEqual(pages_of(self.PIECES, len(body)), data_of(fd))
        os.close(fd)
        return volume, mount, body

    def holds(self, mount, name, body):
        with open(mount / name, "rb") as file:
            self.assertTrue(file.read() == bytes(body), f"{name} through {mount.client}")

    def they_compact(self, volume, path):
        """`juicefs compact`; what it left of the first chunk, in records with data."""
        volume.run("compact", path, client=JUICEFS)
        told = volume.run("info", path, "--raw", client=JUICEFS).stdout
        return [line for line in told.splitlines() if re.match(r"\|\s+0 \| +\d*[1-9]\d* ", line)]

    def test_they_read_compact_collect_and_check(self):
        """SEMANTICS: JuiceFS's clients fill all of them with zeros"""
        for trash_days in (0, 1):
            with self.subTest(trash_days=trash_days):
                volume, mount, body = self.ours_compacted(trash_days)
                mount.unmount()
                self.check_with_juicefs(volume)
                volume.run("gc", "--delete", volume.meta, client=JUICEFS, env={**os.environ, "JFS_GC_SKIPPEDTIME": "1"})
                self.check_with_juicefs(volume)
                mount = volume.mount(client=JUICEFS)
                self.holds(mount, "f", body)
                self.assertEqual(1, len(self.they_compact(volume, mount / "f")))
                self.holds(mount, "f", body)
                mount.unmount()
                self.check_with_juicefs(volume)
                mount = volume.mount(client=self.ours())
                self.holds(mount, "f", body)
                fd = os.open(mount / "f", os.O_RDONLY)
                self.assertEqual(1, len(data_of(fd)))
                os.close(fd)
                mount.unmount()
                self.check_with_juicefs(volume)

    def test_both_write_copy_and_compact_in_turn(self):
        volume, mount, body = self.ours_compacted(0)
        body = bytearray(body)
        source = random.Random(5)
        for turn in range(6):
            fd = os.open(mount / "f", os.O_RDWR)
            for _ in range(8):
                at, piece = source.randrange(9_000_000), source.randbytes(source.randrange(1, 40_000))
                os.pwrite(fd, piece, at)
                os.fsync(fd)
                body[at:at + len(piece)] = piece
            into = open(mount / f"copy{turn}", "wb")
            self.assertEqual(5_000_000, os.copy_file_range(fd, into.fileno(), 5_000_000, 1_000_000, 0))
            into.close()
            if turn % 2:
                os.ftruncate(fd, 3_000_000)
                os.ftruncate(fd, len(body))
                body[3_000_000:] = bytes(len(body) - 3_000_000)
            os.close(fd)
            before = compactions(mount) if mount.client != JUICEFS else 0
            if mount.client == JUICEFS:
                self.they_compact(volume, mount / "f")
            elif turn == 0:
                write_each(mount / "g", self.PIECES, times=3)
                wait_for_compaction(mount, "g", before)
            self.holds(mount, "f", body)
            mount.unmount()
            self.check_with_juicefs(volume)
            mount = volume.mount(client=self.ours() if mount.client == JUICEFS else JUICEFS)
            self.holds(mount, "f", body)
        for name in [n for n in os.listdir(mount.path) if n not in INTERNAL]:
            os.unlink(mount / name)
        mount.unmount()
        for _ in range(10):  # a gc may end before it has deleted all it found
            volume.run("gc", "--delete", volume.meta, client=JUICEFS, env={**os.environ, "JFS_GC_SKIPPEDTIME": "1"})
            if not volume.block_files():
                break
        self.check_with_juicefs(volume)
        self.assertEqual([], volume.block_files())


class CopyRaceTest(InteropTest):
    """Without a trash, JuiceFS copies slices that we compact away between its look at them and its commit: it must look again."""

    def compacted_meanwhile(self, marks, copy):
        """`copy(source, target)` with its commit held up, known by one of `marks(chunk list, inode of target)`, until we have compacted."""
        server = redis.Server(self)
        proxy = redis.Proxy(self, server)
        volume = redis.Volume(self, server.port)
        uncached = ("--cache-size", "0")  # who has kept a block does not miss its object
        mine = volume.mount(*uncached)
        theirs = volume.mount(*uncached, client=JUICEFS, meta=f"redis://127.0.0.1:{proxy.port}/1")
        body = write_each(theirs / "f", [(number * 40_000, 50_000) for number in range(12)], times=3)
        with open(theirs / "copy", "wb"):
            pass
        before, old = compactions(mine), volume.block_files()
        proxy.say("hold", marks(server, *(os.stat(theirs / name).st_ino for name in ("f", "copy"))))
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            copied = pool.submit(copy, theirs / "f", theirs / "copy")
            self.until(lambda: proxy.say("held") == "1", "the copy commits")
            wait_for_compaction(mine, "f", before)
            self.until(lambda: not set(old) & set(volume.block_files()), "the old blocks are deleted")
            self.assertFalse(copied.done())
            proxy.say("release")
            copied.result(60)
        self.assertEqual("1", proxy.say("held"))
        mine.unmount()
        for mount in (theirs, volume.mount(*uncached)):
            for name in ("f", "copy"):
                with open(mount / name, "rb") as file:
                    self.assertTrue(file.read() == body, f"{name} through {mount.client}")
            mount.unmount()
        self.check_with_juicefs(volume)

    def until(self, condition, what):
        deadline = time.monotonic() + 60
        while not condition():
            self.assertLess(time.monotonic(), deadline, what)
            time.sleep(0.02)

    def test_a_copied_range(self):
        def copy(source, target):
            with open(source, "rb") as src, open(target, "r+b") as into:
                left = os.fstat(src.fileno()).st_size
                while left > 0:
                    left -= os.copy_file_range(src.fileno(), into.fileno(), left)

        self.compacted_meanwhile(lambda server, source, target: f"c{target}_0", copy)

    def test_a_clone(self):
        def clone(source, target):
            os.unlink(target)
            mounted.run([JUICEFS, "clone", source, target])

        def reference(server, source, _):
            first = redis_records.Connection(server.port, 1).call("LRANGE", f"c{source}_0", 0, 0)[0]
            _, slice_id, size = struct.unpack(">IQI", first[:16])
            return f"k{slice_id}_{size}"

        self.compacted_meanwhile(reference, clone)


class LongLockTest(InteropTest):
    """Another process holds SQLite's write lock longer than JuiceFS waits; our users only wait."""

    def test_a_held_write_lock_is_waited_for(self):
        volume = mounted.Volume(self, client=self.ours())
        mount = volume.mount(client=self.ours())
        with open(mount / "before", "w") as file:
            file.write("b")
        holder = sqlite3.connect(volume.database, timeout=30, isolation_level=None, check_same_thread=False)
        holder.execute("begin immediate")
        outcome = []

        def work():
            try:
                os.mkdir(mount / "made")
                with open(mount / "made/file", "w") as file:
                    file.write("x" * 1000)
                outcome.append("done")
            except OSError as problem:
                outcome.append(str(problem))

        worker = threading.Thread(target=work)
        began = time.monotonic()
        worker.start()
        with open(mount / "before") as file:
            self.assertEqual("b", file.read(), "readers do not wait for a writer")
        time.sleep(45)
        self.assertEqual([], outcome)
        holder.execute("rollback")
        holder.close()
        worker.join(60)
        self.assertEqual(["done"], outcome)
        self.assertGreater(time.monotonic() - began, 45)


if __name__ == "__main__":
    if not JUICEFS or shutil.which(JUICEFS) is None:
        print("SKIPPED ALL: JUICEFS names no binary", file=sys.stderr)
        sys.exit(mounted.SKIPPED_ALL)
    mounted.main()
