#!/usr/bin/env python3
"""A mount whose Redis is away, restarts, is full, read-only, loading, stalled or cut off: what waits, what fails, what goes on."""
import errno
import os
import sys
import threading
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import mounted  # noqa: E402
import redis  # noqa: E402


def write(path, body):
    with open(path, "wb") as file:
        file.write(body)


def read(path):
    with open(path, "rb") as file:
        return file.read()


class Later:
    """Runs something in a thread; `result` waits for it and raises what it raised."""

    def __init__(self, work):
        self.value = self.error = None
        self.thread = threading.Thread(target=self.run, args=(work,), daemon=True)
        self.thread.start()

    def run(self, work):
        try:
            self.value = work()
        except BaseException as error:  # noqa: BLE001  (handed to the one who asks)
            self.error = error

    def running(self):
        return self.thread.is_alive()

    def result(self, seconds=60):
        self.thread.join(seconds)
        if self.thread.is_alive():
            raise AssertionError("still waiting")
        if self.error:
            raise self.error
        return self.value


class Load:
    """Threads that make files one after another, each renamed once it is written, and remember what was acknowledged."""

    def __init__(self, folder, threads):
        self.folder, self.stopped = folder, False
        self.made, self.refused = [[] for _ in range(threads)], []
        self.threads = [threading.Thread(target=self.run, args=(i,), daemon=True) for i in range(threads)]
        for thread in self.threads:
            thread.start()

    def run(self, thread):
        while not self.stopped:
            name = f"{thread}-{len(self.made[thread])}"
            try:
                write(os.path.join(self.folder, f"tmp-{name}"), name.encode())
                os.rename(os.path.join(self.folder, f"tmp-{name}"), os.path.join(self.folder, name))
            except OSError as error:
                self.refused.append((name, error.errno))
                return
            self.made[thread].append(name)

    def finish(self):
        self.stopped = True
        for thread in self.threads:
            thread.join(120)

    def count(self):
        return sum(len(names) for names in self.made)

    def check(self, test):
        want = {name for names in self.made for name in names}
        test.assertEqual(want, set(os.listdir(self.folder)))
        for name in want:
            test.assertEqual(name.encode(), read(os.path.join(self.folder, name)))


class TroubleTest(unittest.TestCase):
    def setUp(self):
        self.server = redis.Server(self)
        self.proxy = redis.Proxy(self, self.server)
        self.volume = redis.Volume(self, self.proxy.port)
        self.mount = self.volume.mount("--hide-internal")

    def events(self, name):
        return self.mount.log_text().count(name)

    def test_a_restart_is_waited_for(self):
        # SEMANTICS: requests wait for a server that restarts, at most 30 s each
        write(self.mount / "before", b"x" * 100_000)
        self.assertEqual(b"x" * 100_000, read(self.mount / "before"))
        time.sleep(1.2)  # appendfsync everysec
        self.server.kill()
        new = Later(lambda: write(self.mount / "during", b"y" * 5000))
        time.sleep(1)
        self.assertTrue(new.running(), "a change waits for the server")
        self.server.start()
        new.result()
        self.assertEqual(b"y" * 5000, read(self.mount / "during"))
        self.assertEqual(["before", "during"], sorted(os.listdir(self.mount.path)))
        self.assertEqual(1, self.events("redis.away"), self.mount.log_text())
        self.assertEqual(1, self.events("redis.back"), self.mount.log_text())

    def test_what_the_kernel_keeps_is_read_while_the_server_is_away(self):
        mount = self.volume.mount("--attr-cache", "1h", "--entry-cache", "1h")
        body = os.urandom(300_000)
        write(mount / "file", body)
        self.assertEqual(body, read(mount / "file"))
        file = os.open(mount / "file", os.O_RDONLY)
        self.addCleanup(os.close, file)
        os.pread(file, len(body), 0)
        self.server.kill()
        self.assertEqual(body, Later(lambda: os.pread(file, len(body), 0)).result(10))
        self.server.start()

    def test_what_is_known_is_told_while_the_server_is_away(self):
        # SEMANTICS: what this mount knows is told meanwhile without waiting (names, attributes, link targets, contents in memory)
        # SEMANTICS: with the first new connection all that is forgotten, before anything is answered
        os.mkdir(self.mount / "d")
        body = os.urandom(300_000)
        write(self.mount / "d/file", body)
        os.symlink("file", self.mount / "d/link")
        other = self.volume.mount("--hide-internal")
        os.mkdir(other / "theirs")
        time.sleep(1.2)  # it is heard of here, and the kernel asks anew

        def known():
            self.assertEqual(len(body), os.stat(self.mount / "d/file").st_size)
            self.assertEqual(["file", "link"], sorted(os.listdir(self.mount / "d")))
            self.assertEqual(body, read(self.mount / "d/file"))
            self.assertEqual("file", os.readlink(self.mount / "d/link"))
            self.assertFalse(os.path.exists(self.mount / "d/none"))

        known()
        time.sleep(1.2)  # appendfsync everysec; and what the kernel was told holds for a second
        self.server.kill()
        for _ in range(3):
            begin = time.monotonic()
            Later(known).result(10)
            self.assertLess(time.monotonic() - begin, 2, "from memory")
            time.sleep(1.2)
        unknown = Later(lambda: os.stat(self.mount / "theirs/unknown"))
        change = Later(lambda: os.chmod(self.mount / "d/file", 0o600))
        time.sleep(1)
        self.assertTrue(unknown.running(), "what is not known waits")
        self.assertTrue(change.running(), "and so do changes")

        self.server.start()
        write(other / "d/file", b"new")
        os.mkdir(other / "d/dir")
        while not self.events("redis.back"):
            time.sleep(0.01)
        self.assertEqual(b"new", read(self.mount / "d/file"), "seen at once")
        self.assertEqual(["dir", "file", "link"], sorted(os.listdir(self.mount / "d")))
        change.result()
        with self.assertRaises(FileNotFoundError):
            unknown.result()
        self.assertEqual(0o600, os.stat(self.mount / "d/file").st_mode & 0o777)
        self.assertEqual(1, self.events("redis.away"), self.mount.log_text())

    def test_a_silent_network_holds_up_nobody_for_long_who_reads_what_is_known(self):
        # SEMANTICS: a network that drops everything is noticed after about six seconds
        write(self.mount / "file", b"x" * 5000)
        self.assertEqual(b"x" * 5000, read(self.mount / "file"))
        self.assertEqual(["file"], os.listdir(self.mount.path))
        time.sleep(1.2)  # what the kernel was told holds for a second
        self.proxy.say("partition", "on")
        self.assertEqual(b"x" * 5000, Later(lambda: read(self.mount / "file")).result(20))
        begin = time.monotonic()
        self.assertEqual(["file"], os.listdir(self.mount.path))
        self.assertEqual(5000, os.stat(self.mount / "file").st_size)
        self.assertLess(time.monotonic() - begin, 2, "from memory")
        change = Later(lambda: os.mkdir(self.mount / "dir"))
        time.sleep(1)
        self.assertTrue(change.running())
        self.proxy.say("partition", "off")
        self.proxy.say("reset")
        change.result()
        self.assertEqual(["dir", "file"], sorted(os.listdir(self.mount.path)))
        self.assertEqual(1, self.events("redis.away"), self.mount.log_text())
        self.assertEqual(1, self.events("redis.back"), self.mount.log_text())

    def test_old_answers_end_after_a_while(self):
        # SEMANTICS: for at most `--stale-reads`
        mount = self.volume.mount("--stale-reads", "2s", "--hide-internal")
        write(mount / "file", b"x")
        time.sleep(1.2)
        os.stat(mount / "file")
        self.server.kill()
        time.sleep(1.2)
        self.assertEqual(1, Later(lambda: os.stat(mount / "file")).result(10).st_size)
        time.sleep(2.5)
        late = Later(lambda: os.stat(mount / "file"))
        time.sleep(1)
        self.assertTrue(late.running())
        self.server.start()
        self.assertEqual(1, late.result().st_size)

    def test_nothing_acknowledged_is_lost_over_resets(self):
        stop = threading.Event()

        def trouble():
            while not stop.wait(0.05):
                self.proxy.say("reset")

        resets = threading.Thread(target=trouble)
        resets.start()
        try:
            for i in range(150):
                write(self.mount / f"f{i}", b"%d" % i)
                if i % 3 == 0:
                    os.rename(self.mount / f"f{i}", self.mount / f"g{i}")
                if i % 5 == 1:
                    os.remove(self.mount / f"{'f' if i % 3 else 'g'}{i}")
        finally:
            stop.set()
            resets.join()
        want = {f"{'f' if i % 3 else 'g'}{i}" for i in range(150) if i % 5 != 1}
        self.assertEqual(want, set(os.listdir(self.mount.path)))
        for name in want:
            self.assertEqual(name[1:].encode(), read(self.mount / name))
        self.mount.unmount()
        self.assertEqual(str(len(want)), self.server.command("GET", "totalInodes").strip())
        self.assertEqual(str(len(want) * 4096), self.server.command("GET", "usedSpace").strip())

    def test_lost_replies_change_nothing_twice(self):
        # SEMANTICS: a change whose answer was lost with the connection is neither made twice nor reported wrong
        os.mkdir(self.mount / "d")
        for i in range(20):
            self.proxy.say("cut", "reply", "EVALSHA")
            write(self.mount / f"d/f{i}", b"abc")
            self.proxy.say("cut", "reply", "EVALSHA")
            os.rename(self.mount / f"d/f{i}", self.mount / f"d/r{i}")
        self.proxy.say("cut", "reply", "EVALSHA")
        os.remove(self.mount / "d/r0")
        self.assertGreater(int(self.proxy.say("cuts")), 20)
        self.assertEqual({f"r{i}" for i in range(1, 20)}, set(os.listdir(self.mount / "d")))
        self.mount.unmount()
        self.assertEqual("20", self.server.command("GET", "totalInodes").strip())

    def test_a_full_server_is_enospc(self):
        write(self.mount / "file", b"x" * 1000)
        self.server.command("CONFIG", "SET", "maxmemory", "1mb")
        with self.assertRaises(OSError) as caught:
            for i in range(100):
                write(self.mount / f"more{i}", b"x" * 1000)
        self.assertEqual(errno.ENOSPC, caught.exception.errno)
        self.assertEqual(b"x" * 1000, read(self.mount / "file"), "reading goes on")
        for i in range(3):
            with self.assertRaises(OSError) as caught:
                os.mkdir(self.mount / f"dir{i}")
            self.assertEqual(errno.ENOSPC, caught.exception.errno)
        self.server.command("CONFIG", "SET", "maxmemory", "0")
        write(self.mount / "room again", b"x")
        self.assertEqual(1, self.events("redis.full"), self.mount.log_text())
        self.assertEqual(1, self.events("redis.room_again"), self.mount.log_text())

    def test_a_read_only_server_is_waited_for(self):
        write(self.mount / "file", b"x")
        self.server.command("CONFIG", "SET", "replica-serve-stale-data", "yes")
        self.server.command("REPLICAOF", "127.0.0.1", str(mounted.free_port()))
        new = Later(lambda: os.mkdir(self.mount / "dir"))
        time.sleep(0.7)
        self.assertTrue(new.running())
        self.server.command("REPLICAOF", "NO", "ONE")
        new.result()
        self.assertTrue(os.path.isdir(self.mount / "dir"))
        self.assertEqual(1, self.events("redis.refuses"), self.mount.log_text())

    def test_a_loading_server_is_waited_for(self):
        self.server.command("CONFIG", "SET", "key-load-delay", "0")
        for i in range(20):
            write(self.mount / f"f{i}", b"x")
        time.sleep(1.2)
        self.server.config += ["--key-load-delay", "20000"]  # 20 ms for each key of the file
        self.server.kill()
        new = Later(lambda: os.mkdir(self.mount / "dir"))
        self.server.start()
        new.result()
        self.assertEqual(21, len(os.listdir(self.mount.path)))

    def test_a_stall_is_only_slow(self):
        write(self.mount / "file", b"x")
        begin = time.monotonic()
        self.proxy.say("stall", 2000)
        os.mkdir(self.mount / "dir")
        self.assertGreater(time.monotonic() - begin, 1.5)
        self.assertEqual(0, self.events("redis.away"), self.mount.log_text())
        self.server.stop_for_a_while()
        new = Later(lambda: os.mkdir(self.mount / "dir2"))
        time.sleep(2)
        self.server.go_on()
        new.result()

    def test_many_who_wait_are_only_slow(self):
        """All at once behind a stall: nobody is told EAGAIN, and what waits takes little memory."""
        self.proxy.say("stall", 3000)
        before = self.mount.resident()
        load = Load(self.mount.path, 400)
        time.sleep(2.5)
        self.assertEqual(0, load.count(), "all wait")
        self.assertLess(self.mount.resident() - before, 64 << 20)
        time.sleep(2.5)
        load.finish()
        self.assertEqual([], load.refused, self.mount.log_text())
        self.assertGreater(load.count(), 400)
        load.check(self)
        self.assertEqual(0, self.events("redis.away"), self.mount.log_text())

    def test_loss_is_only_slow(self):
        # Of 100 pieces of a stream 30 come 200 ms late, and with them all behind: what TCP makes of lost packets.
        self.proxy.say("loss", 30)
        load = Load(self.mount.path, 4)
        time.sleep(20)
        load.finish()
        self.proxy.say("loss", 0)
        self.assertEqual([], load.refused, self.mount.log_text())
        self.assertGreater(load.count(), 20)  # each wait holds up what comes behind it, of all four
        load.check(self)
        print(f"30 % loss: {load.count()} files in 20 s, none refused, none lost")
        self.assertEqual(0, self.events("redis.away"), self.mount.log_text())

    def test_kills_under_load_lose_nothing_acknowledged(self):
        load = Load(self.mount.path, 4)
        for _ in range(5):
            time.sleep(1.5)
            self.server.kill()
            time.sleep(0.5)
            self.server.start()
        time.sleep(1.5)
        load.finish()
        self.assertEqual([], load.refused, self.mount.log_text())
        load.check(self)
        print(f"5 kills of Redis under load: {load.count()} files acknowledged, none refused, none lost")
        self.mount.unmount()
        self.assertEqual(str(load.count()), self.server.command("GET", "totalInodes").strip())
        self.assertEqual(str(load.count() * 4096), self.server.command("GET", "usedSpace").strip())

    def test_a_killed_script_runs_again(self):
        self.server.command("CONFIG", "SET", "lua-time-limit", "20")
        spin = Later(lambda: self.server.command("EVAL", "while true do end", "0", check=False))
        time.sleep(0.2)
        new = Later(lambda: os.mkdir(self.mount / "dir"))
        time.sleep(0.3)
        self.assertTrue(new.running(), "-BUSY is waited for")
        self.server.command("SCRIPT", "KILL")
        spin.result()
        new.result()
        self.server.command("SCRIPT", "FLUSH")
        os.mkdir(self.mount / "after the scripts were forgotten")


class ShortPatienceTest(unittest.TestCase):
    def test_a_partition_ends_in_an_error_and_heals_without_a_remount(self):
        # SEMANTICS: then fail with ETIMEDOUT or EIO
        # SEMANTICS: after such an error it may or may not have been made
        server = redis.Server(self)
        proxy = redis.Proxy(self, server)
        volume = redis.Volume(self, proxy.port, query="?read-timeout=1s&dial_timeout=1s")
        mount = volume.mount()
        write(mount / "file", b"x")
        proxy.say("partition", "on")
        with self.assertRaises(OSError) as caught:
            Later(lambda: os.mkdir(mount / "dir")).result(100)
        self.assertIn(caught.exception.errno, (errno.EIO, errno.ETIMEDOUT))
        proxy.say("partition", "off")
        proxy.say("reset")
        for _ in range(100):
            try:
                os.mkdir(mount / "dir2")
                break
            except OSError:
                time.sleep(0.1)
        self.assertTrue(os.path.isdir(mount / "dir2"))

    def test_who_is_cut_off_tells_what_was(self):
        # SEMANTICS: others' changes do not show then, also when only this mount is cut off
        server = redis.Server(self)
        proxy = redis.Proxy(self, server)
        volume = redis.Volume(self, proxy.port, query="?read-timeout=1s&dial_timeout=1s")
        mount = volume.mount("--hide-internal", "--attr-cache", "100ms", "--entry-cache", "100ms")
        other = volume.mount("--hide-internal", meta=server.url())
        os.mkdir(mount / "d")
        write(mount / "d/file", b"old")
        self.assertEqual(b"old", read(mount / "d/file"))
        proxy.say("partition", "on")
        deadline = time.monotonic() + 60
        while "redis.away" not in mount.log_text():
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.1)
        time.sleep(2)  # and connecting anew has failed
        write(other / "d/file", b"newer")
        os.mkdir(other / "d/more")
        self.assertEqual(3, Later(lambda: os.stat(mount / "d/file").st_size).result(10))
        self.assertFalse(Later(lambda: os.path.exists(mount / "d/more")).result(10))
        proxy.say("partition", "off")
        proxy.say("reset")
        while "redis.back" not in mount.log_text():
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.1)
        self.assertEqual(b"newer", read(mount / "d/file"))
        self.assertTrue(os.path.exists(mount / "d/more"))


if __name__ == "__main__":
    mounted.main()
