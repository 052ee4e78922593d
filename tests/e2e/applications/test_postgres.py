#!/usr/bin/env python3
"""PostgreSQL on a volume: nothing it acknowledged is lost when it or the client is killed, and no page is damaged."""
import glob
import os
import pwd
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import mounted  # noqa: E402

SECONDS = int(os.environ.get("KISEKI_PGBENCH_SECONDS", "10"))
# pgbench moves money: these are equal after every transaction, and after every crash.
SUMS = ("select (select sum(abalance) from pgbench_accounts) = (select coalesce(sum(delta), 0) from pgbench_history), "
        "(select sum(tbalance) from pgbench_tellers) = (select coalesce(sum(delta), 0) from pgbench_history), "
        "(select sum(bbalance) from pgbench_branches) = (select coalesce(sum(delta), 0) from pgbench_history)")


def programs():
    """Where Debian's server package keeps initdb and its neighbours; "" when it is not installed."""
    return max(glob.glob("/usr/lib/postgresql/*/bin"), default="")


def children(parent):
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/stat") as text:
                if int(text.read().rsplit(")", 1)[1].split()[1]) == parent:
                    found.append(int(name))
        except OSError:
            continue
    return found


class PostgresTest(mounted.MountedTest):
    def setUp(self):
        mounted.need(os.geteuid() == 0, "the server runs as a user of its own, which only root can become")
        mounted.need(programs() and shutil.which("psql"), "PostgreSQL is not installed: apt-get install postgresql")
        self.owner = pwd.getpwnam("postgres")
        super().setUp()
        self.socket = tempfile.mkdtemp(prefix="kiseki-pg-", dir="/tmp")
        self.addCleanup(shutil.rmtree, self.socket, ignore_errors=True)
        os.chown(self.socket, self.owner.pw_uid, self.owner.pw_gid)
        self.log = os.path.join(self.volume.root, "postgres.log")
        os.mkdir(self.path("pg"))
        os.chown(self.path("pg"), self.owner.pw_uid, self.owner.pw_gid)
        self.tool("initdb", "--data-checksums", "--auth=trust", "--no-instructions", self.path("pg/data"))
        self.start()
        self.addCleanup(self.kill_server)  # before the volume goes
        self.tool("createdb", "bench")
        self.tool("pgbench", "--initialize", "--quiet", "--scale=3", "--foreign-keys", "bench")

    def as_owner(self):
        return {"user": self.owner.pw_uid, "group": self.owner.pw_gid, "extra_groups": [], "cwd": self.socket,
                "env": {**os.environ, "PGHOST": self.socket, "PGUSER": "postgres", "LC_ALL": "C"}}

    def tool(self, name, *arguments):
        return mounted.run([os.path.join(programs(), name), *arguments], **self.as_owner())

    def ask(self, statement):
        return self.tool("psql", "--no-psqlrc", "--tuples-only", "--no-align", "--command", statement, "bench").strip()

    def start(self):
        with open(self.log, "ab") as log:
            self.server = subprocess.Popen(
                [os.path.join(programs(), "postgres"), "-D", self.path("pg/data"), "-k", self.socket, "-c", "listen_addresses=",
                 "-c", "checkpoint_timeout=30s", "-c", "max_wal_size=64MB", "-c", "shared_buffers=16MB"],
                stdout=log, stderr=log, start_new_session=True, **self.as_owner())
        deadline = time.monotonic() + 120
        ready = [os.path.join(programs(), "pg_isready"), "--quiet"]
        while subprocess.run(ready, **self.as_owner()).returncode != 0:
            self.assertIsNone(self.server.poll(), self.log_text())
            self.assertLess(time.monotonic(), deadline, f"the server does not recover\n{self.log_text()}")
            time.sleep(0.1)

    def log_text(self):
        with open(self.log, errors="replace") as text:
            return text.read()[-5000:]

    def kill_server(self):
        """kill -9 of the postmaster and all its children."""
        family = [self.server.pid, *children(self.server.pid)]
        for pid in family:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.server.wait()
        while any(os.path.exists(f"/proc/{pid}") for pid in family):
            time.sleep(0.05)

    def stop(self):
        self.server.send_signal(signal.SIGINT)  # a fast shutdown
        self.assertEqual(0, self.server.wait(120), self.log_text())

    def load(self, seconds):
        return subprocess.Popen([os.path.join(programs(), "pgbench"), "--client=4", "--jobs=2", f"--time={seconds}", "--no-vacuum", "bench"],
                                stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, start_new_session=True, **self.as_owner())

    def acknowledged(self, load):
        told, _ = load.communicate(timeout=120)
        return int(re.search(r"transactions actually processed: (\d+)", told).group(1))

    def crash_under_load(self, crash):
        """Afterwards the server runs again, with all that pgbench was told is committed."""
        before = int(self.ask("select count(*) from pgbench_history"))
        load = self.load(SECONDS + 60)
        time.sleep(SECONDS)
        crash()
        confirmed = self.acknowledged(load)
        self.assertGreater(confirmed, 10)
        self.start()
        after = int(self.ask("select count(*) from pgbench_history"))
        self.assertGreaterEqual(after, before + confirmed, "acknowledged transactions are gone")
        self.assertEqual("t|t|t", self.ask(SUMS))

    def kill_client(self):
        self.mount.kill()
        self.kill_server()
        self.mount = self.volume.mount(*self.flags, path=self.mount.path)

    def test_crashes_and_checksums(self):
        self.crash_under_load(self.kill_server)
        self.crash_under_load(self.kill_client)
        load = self.load(SECONDS)
        self.assertGreater(self.acknowledged(load), 10)
        self.ask("vacuum full")
        self.ask("reindex database bench")
        self.assertEqual("t|t|t", self.ask(SUMS))
        self.stop()
        self.remount()
        told = self.tool("pg_checksums", "--check", self.path("pg/data"))
        self.assertRegex(told, r"Bad checksums: +0\n")
        self.start()
        self.assertEqual("t|t|t", self.ask(SUMS))
        self.tool("pg_amcheck", "--install-missing", "--heapallindexed", "bench")
        self.stop()


if __name__ == "__main__":
    mounted.main()
