"""What is compared: file systems that can be mounted, each on fresh volumes of its own."""
import os
import re
import shlex
import shutil
import signal
import subprocess
import time

from . import measure


class MountFailed(Exception):
    pass


def parse(text):
    """NAME=cli:BINARY (JuiceFS's command line) or NAME=null:BINARY (BINARY MOUNTPOINT [OPTIONS], in the foreground)."""
    name, _, rest = text.partition("=")
    kind, _, path = rest.partition(":")
    if not name or kind not in KINDS or not path:
        raise ValueError(f"--subject {text}: wanted NAME=cli:BINARY or NAME=null:BINARY")
    binary = shutil.which(path)
    if binary is None:
        raise ValueError(f"--subject {text}: {path} is not an executable")
    return KINDS[kind](name, os.path.realpath(binary))


class Subject:
    is_null = False

    def __init__(self, name, binary):
        self.name, self.binary = name, binary
        self.flags, self.format_flags, self.cache_flags = [], [], []
        self.mounted = False

    def begin(self, work, group):
        """A new empty volume below `work`, for one group of rows."""
        self.root = os.path.join(work, f"{self.name}-{group}")
        self.mountpoint = os.path.join(self.root, "mnt")
        self.mark = f"{os.getpid()}-{self.name}-{group}"
        os.makedirs(self.mountpoint)

    def end(self):
        """Removes the volume."""
        self.unmount()
        shutil.rmtree(self.root, ignore_errors=True)

    def environment(self):
        return {**os.environ, measure.MARK: self.mark}

    def pids(self):
        return measure.processes(self.mark, self.binary, self.mountpoint)

    def wait_mounted(self, seconds=30):
        deadline = time.monotonic() + seconds
        while not os.path.ismount(self.mountpoint):
            if time.monotonic() > deadline:
                raise MountFailed(f"{self.name}: {self.mountpoint} is not mounted after {seconds} s")
            time.sleep(0.002)
        os.statvfs(self.mountpoint)

    def wait_gone(self, seconds=30):
        deadline = time.monotonic() + seconds
        while self.pids() and time.monotonic() < deadline:
            time.sleep(0.02)
        for pid in self.pids():  # only processes of this mount, each by its number
            os.kill(pid, signal.SIGKILL)

    def mount(self, zero_timeouts=False):
        """Mounts and answers the seconds until the first statfs was answered."""
        began = time.monotonic()
        self.start(zero_timeouts)
        self.wait_mounted()
        self.mounted = True
        return time.monotonic() - began

    def unmount(self):
        if not self.mounted:
            return
        for attempt in range(50):
            if subprocess.run(["umount", self.mountpoint], capture_output=True).returncode == 0:
                break
            time.sleep(0.1)
        else:
            subprocess.run(["umount", "-l", self.mountpoint], capture_output=True)
        self.mounted = False
        self.wait_gone()

    def remount(self, cold=False, zero_timeouts=False):
        self.unmount()
        if cold:
            self.clear_cache()
        return self.mount(zero_timeouts)

    def clear_cache(self):
        pass


class CommandLine(Subject):
    """Kiseki, JuiceFS, or whatever takes the same verbs and flags. SQLite, objects and cache lie below the root."""
    mdtests = 0  # each in a directory of its own

    def begin(self, work, group):
        super().begin(work, group)
        self.meta = f"sqlite3://{self.root}/meta.db"
        self.cache = os.path.join(self.root, "cache")
        self.caching = ["--cache-dir", self.cache, "--cache-size", "8192"]
        if self.cache_flags and group == "data":
            self.caching = ["--cache-size", "8192", *self.cache_flags]
        self.run("format", self.meta, "perf", "--storage", "file", "--bucket", f"{self.root}/objects/",
                 "--trash-days", "0", *self.format_flags)

    def run(self, *arguments):
        done = subprocess.run(["nice", "-n", "-19", self.binary, *arguments] if os.geteuid() == 0
                              else [self.binary, *arguments], env=self.environment(), stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=60)
        if done.returncode != 0:
            raise MountFailed(f"{self.name}: {shlex.join(arguments)}: exit {done.returncode}\n{done.stdout}{done.stderr}")

    def start(self, zero_timeouts):
        zero = ["--attr-cache", "0", "--entry-cache", "0", "--dir-entry-cache", "0"] if zero_timeouts else []
        self.run("mount", self.meta, self.mountpoint, "-d", "--no-usage-report", "--backup-meta", "0",
                 "--log", f"{self.root}/log", *self.caching, *zero, *self.flags)

    def clear_cache(self):
        shutil.rmtree(self.cache, ignore_errors=True)

    def mdtest(self, threads, files):
        """Files per second that the verb mdtest creates with a slice each, straight on the metadata engine. `files`: of
        each thread in each of five directories."""
        self.mdtests += 1
        command = [self.binary, "mdtest", self.meta, f"/mdtest{self.mdtests}", "--threads", str(threads), "--dirs", "4", "--depth", "1",
                   "--files", str(files), "--write", "4096", "--no-usage-report"]
        nice = ["nice", "-n", "-19"] if os.geteuid() == 0 else []
        done = subprocess.run([*nice, *command], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300)
        rate = re.search(r'files in .*\(([0-9]+) files/s\)', done.stdout + done.stderr)
        if done.returncode != 0 or not rate:
            raise OSError(f"{shlex.join(command)}: exit {done.returncode}: {(done.stdout + done.stderr)[-300:]}")
        return float(rate[1])


class Null(Subject):
    """A file system that keeps nothing: what the kernel and the protocol cost. Rows that need memory are left out."""
    is_null = True
    process = None

    def start(self, zero_timeouts):
        timeouts = ["attr=0", "entry=0"] if zero_timeouts else ["attr=1", "entry=1"]
        nice = ["nice", "-n", "-19"] if os.geteuid() == 0 else []
        with open(f"{self.root}/log", "ab") as log:
            self.process = subprocess.Popen([*nice, self.binary, self.mountpoint, *timeouts, *self.flags],
                                            env=self.environment(), stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def wait_mounted(self, seconds=30):
        deadline = time.monotonic() + seconds
        while not os.path.ismount(self.mountpoint):
            if self.process.poll() is not None or time.monotonic() > deadline:
                with open(f"{self.root}/log") as log:
                    raise MountFailed(f"{self.name}: {self.binary} did not mount: {log.read()}")
            time.sleep(0.002)
        os.statvfs(self.mountpoint)

    def wait_gone(self, seconds=30):
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


KINDS = {"cli": CommandLine, "null": Null}
