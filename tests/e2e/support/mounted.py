"""Volumes for tests that mount: made in a directory of their own, always taken away again.

Environment: KISEKI the binary under test; KISEKI_TEST_META=redis puts the metadata of every volume on a redis-server of its
own instead of into a SQLite file; KISEKI_TEST_DIR where volumes live (default: /dev/shm if roomy, else the temporary
directory); CI=true makes failures of what would otherwise be skipped.
"""
import contextlib
import ctypes
import hashlib
import json
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "support"))
from ports import free_port  # noqa: E402,F401  (tests say mounted.free_port)

SKIPPED_ALL = 77  # what CTest knows as "skipped"
MARK = "KISEKI_TEST_VOLUME"
PREFIX = "kiseki-e2e-"
LIBC = ctypes.CDLL(None, use_errno=True)
MNT_DETACH = 2


def in_ci():
    return os.environ.get("CI", "").lower() in ("1", "true", "yes")


def binary():
    """The client under test."""
    name = os.environ.get("KISEKI", "kiseki")
    return os.path.abspath(name) if "/" in name else name


def need(condition, reason):
    """Skips the test aloud, or fails it in CI."""
    if condition:
        return
    if in_ci():
        raise AssertionError(f"CI needs this: {reason}")
    raise unittest.SkipTest(f"SKIPPED: {reason}")


def need_tool(*names):
    for name in names:
        need(shutil.which(name), f"{name} is not installed")


def main(argument_names=None):
    """Runs the tests of the calling file. Without /dev/fuse: says so and ends as skipped, or as failed in CI."""
    missing = None
    if not os.path.exists("/dev/fuse"):
        missing = "there is no /dev/fuse"
    elif not os.access("/dev/fuse", os.R_OK | os.W_OK):
        missing = "/dev/fuse is closed to this user: its mode should be 0666"
    elif shutil.which(binary()) is None:
        missing = f"the client {binary()} does not exist"
    if missing:
        print(f"SKIPPED ALL: {missing}", file=sys.stderr)
        sys.exit(1 if in_ci() else SKIPPED_ALL)
    signal.signal(signal.SIGTERM, clean_up_and_end)
    remove_leftovers()
    program = unittest.main(verbosity=2, exit=False)
    result = program.result
    if result.wasSuccessful() and result.testsRun and len(result.skipped) == result.testsRun:
        print("SKIPPED ALL: every test of this file was skipped, see above", file=sys.stderr)
        sys.exit(SKIPPED_ALL)
    sys.exit(0 if result.wasSuccessful() else 1)


OPEN_VOLUMES = []
MAIN_PROCESS = os.getpid()


def clean_up_and_end(*_):
    """Somebody stops us (a time limit): no mount stays behind, and no further test begins."""
    if os.getpid() == MAIN_PROCESS:
        print("stopped by SIGTERM", file=sys.stderr)
        for volume in list(OPEN_VOLUMES):
            volume.close()
    os._exit(1)


def base_dir():
    chosen = os.environ.get("KISEKI_TEST_DIR")
    if chosen:
        return chosen
    shm = "/dev/shm"
    if os.access(shm, os.W_OK) and shutil.disk_usage(shm).free > 6 << 30:
        return shm
    return tempfile.gettempdir()


def mountpoints(below="/"):
    """What is mounted there, the lowest mount first."""
    with open("/proc/self/mountinfo") as text:
        paths = [re.sub(r"\\(\d{3})", lambda m: chr(int(m[1], 8)), line.split()[4]) for line in text]
    return [path for path in paths if f"{path}/".startswith(below)]


def detach(mountpoint):
    """Takes a mount off the tree without asking whoever serves it, as umount(8) does even with -l: a dead one never answers."""
    if os.geteuid() != 0:
        return run(["fusermount3", "-uz", mountpoint])
    if LIBC.umount2(mountpoint.encode(), MNT_DETACH) != 0:
        raise OSError(ctypes.get_errno(), f"umount2 {mountpoint}")


def unmount_lazily(mountpoint):
    for _ in range(mountpoints().count(mountpoint)):
        try:
            detach(mountpoint)
        except (OSError, AssertionError):
            if mountpoint in mountpoints():  # else its client was faster
                raise


def remove_leftovers():
    """Takes away what an earlier run left behind when it was killed: its number is in the name."""
    for name in os.listdir(base_dir()):
        if not name.startswith(PREFIX):
            continue
        owner = name[len(PREFIX):].split("-")[0]
        if owner.isdigit() and not os.path.exists(f"/proc/{owner}"):
            remove_root(os.path.join(base_dir(), name))


def remove_root(root):
    """Takes off every mount below `root`, also those a client was not supposed to make, then the files."""
    for mountpoint in reversed(mountpoints(f"{root}/")):
        unmount_lazily(mountpoint)
    shutil.rmtree(root, ignore_errors=True)


def kill_marked(mark):
    for pid in marked_processes(mark):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass


def marked_processes(mark):
    found = []
    for name in os.listdir("/proc"):
        if not name.isdigit() or int(name) == os.getpid():
            continue
        try:
            with open(f"/proc/{name}/environ", "rb") as text:
                if f"{MARK}={mark}".encode() in text.read().split(b"\0"):
                    found.append(int(name))
        except OSError:
            continue
    return found


class Mount:
    """One mounted client of a volume."""

    def __init__(self, volume, client, flags, foreground, path=None, prefix=(), meta=None):
        self.volume, self.client = volume, client
        volume.mounts_made += 1
        self.number = volume.mounts_made
        self.path = path or os.path.join(volume.root, f"mnt{self.number}")
        self.mark = f"{os.path.basename(volume.root)}.{self.number}"
        self.log = os.path.join(volume.root, f"log{self.number}")
        self.process = None
        os.makedirs(self.path, exist_ok=True)
        cache = [] if "--cache-dir" in flags else ["--cache-dir", os.path.join(volume.root, f"cache{self.number}")]
        self.command = [*prefix, client, "mount", meta or volume.meta, self.path, "--no-usage-report", "--log", self.log, *cache, *flags]
        self._start(foreground)

    def _start(self, foreground):
        environment = {**os.environ, MARK: self.mark}
        if foreground:
            with open(self.log + ".console", "ab") as console:
                self.process = subprocess.Popen(self.command, env=environment, stdin=subprocess.DEVNULL, stdout=console, stderr=console)
        else:
            done = subprocess.run([*self.command, "-d"], env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                                  timeout=60)
            if done.returncode != 0:
                raise AssertionError(f"mount: exit {done.returncode}\n{done.stdout}{done.stderr}{self.log_text()}")
        deadline = time.monotonic() + 30
        while not os.path.ismount(self.path):
            if time.monotonic() > deadline or (self.process and self.process.poll() is not None):
                raise AssertionError(f"not mounted: {' '.join(self.command)}\n{self.log_text()}")
            time.sleep(0.01)

    def log_text(self):
        text = ""
        for name in (self.log, self.log + ".console"):
            if os.path.exists(name):
                with open(name, errors="replace") as file:
                    text += file.read()[-6000:]
        return text

    def pids(self):
        return marked_processes(self.mark)

    def resident(self):
        """Memory of the client, in bytes."""
        pages = 0
        for pid in self.pids():
            with open(f"/proc/{pid}/statm") as text:
                pages += int(text.read().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def wait_gone(self, seconds=30):
        deadline = time.monotonic() + seconds
        while self.pids():
            if self.process:
                self.process.poll()
            if time.monotonic() > deadline:
                raise AssertionError(f"processes {self.pids()} still run {seconds} s after the unmount\n{self.log_text()}")
            time.sleep(0.02)

    def unmount(self):
        """As a person does it: umount, then the client ends by itself."""
        for attempt in range(100):
            done = subprocess.run(["umount", self.path], capture_output=True, text=True)
            if done.returncode == 0:
                break
            if attempt == 99:
                raise AssertionError(f"umount {self.path}: {done.stderr}")
            time.sleep(0.1)
        self.wait_gone()

    def kill(self):
        """kill -9 of every process of this mount at once, and the dead mount is taken off the tree."""
        kill_marked(self.mark)
        self.wait_gone()
        unmount_lazily(self.path)

    def close(self):
        unmount_lazily(self.path)
        deadline = time.monotonic() + 5
        while self.pids() and time.monotonic() < deadline:
            if self.process:
                self.process.poll()
            time.sleep(0.05)
        kill_marked(self.mark)
        if self.process:
            self.process.wait()

    def __truediv__(self, name):
        return os.path.join(self.path, name)


def metadata_url(test, database):
    """Where the metadata of a fresh volume goes."""
    engine = os.environ.get("KISEKI_TEST_META", "sqlite")
    if engine == "redis":
        import redis  # it needs this module
        return redis.Server(test).url()
    assert engine == "sqlite", f"KISEKI_TEST_META={engine}: sqlite or redis"
    return f"sqlite3://{database}"


class Volume:
    """A volume on SQLite, or on the engine that KISEKI_TEST_META names, and a local directory."""

    def __init__(self, test, client=None, trash_days=0, format_flags=(), formatted=True):
        self.client = client or binary()
        self.root = tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-", dir=base_dir())
        os.chmod(self.root, 0o755)
        self.database = os.path.join(self.root, "meta.db")
        self.meta = metadata_url(test, self.database)
        self.objects = os.path.join(self.root, "objects/")
        self.mounts, self.mounts_made = [], 0
        self.mark = f"{os.path.basename(self.root)}.0"
        OPEN_VOLUMES.append(self)
        test.addCleanup(self.close)
        if formatted:
            self.run("format", self.meta, "e2e", "--storage", "file", "--bucket", self.objects, "--trash-days", str(trash_days),
                     *format_flags)

    def run(self, *arguments, client=None, check=True, timeout=120, env=None):
        """Runs a verb of the client. Answers the finished process; with `check` a failure fails the test."""
        done = subprocess.run([client or self.client, *arguments], capture_output=True, text=True, stdin=subprocess.DEVNULL,
                              timeout=timeout, env={**(env or os.environ), MARK: self.mark})
        if check and done.returncode != 0:
            raise AssertionError(f"{' '.join(arguments)}: exit {done.returncode}\n{done.stdout}{done.stderr}")
        return done

    def mount(self, *flags, client=None, foreground=False, path=None, prefix=(), meta=None):
        """`prefix`: a command that runs the client, as nsenter does; `meta`: another way to the same volume."""
        mounted = Mount(self, client or self.client, list(flags), foreground, path, prefix, meta)
        self.mounts.append(mounted)
        return mounted

    def status(self, client=None):
        text = self.run("status", self.meta, client=client).stdout
        return json.loads(text[text.index("{"):])

    def block_files(self):
        """Every object of a file's data."""
        return sorted(os.path.join(folder, name) for folder, _, names in os.walk(os.path.join(self.objects, "e2e", "chunks"))
                      for name in names)

    def close(self):
        for mounted in self.mounts:
            mounted.close()
        remove_root(self.root)
        kill_marked(self.mark)
        if self in OPEN_VOLUMES:
            OPEN_VOLUMES.remove(self)


class MountedTest(unittest.TestCase):
    """One fresh volume, mounted at self.mount.path; self.remount() gives it to a new client with an empty cache, there."""
    flags = ()
    format_flags = ()

    def setUp(self):
        self.volume = Volume(self, format_flags=self.format_flags)
        self.mount = self.volume.mount(*self.flags)

    def path(self, *names):
        return os.path.join(self.mount.path, *names)

    def remount(self, *flags):
        self.mount.unmount()
        self.mount = self.volume.mount(*self.flags, *flags, path=self.mount.path)


@contextlib.contextmanager
def inside(folder):
    """With that working directory."""
    before = os.getcwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def run(command, **more):
    """A command that must succeed; its output is in the failure."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=more.pop("timeout", 600), **more)
    if done.returncode != 0:
        raise AssertionError(f"{command}: exit {done.returncode}\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
    return done.stdout


def describe(path, times=True):
    """Everything a copy must keep of one file, its content included."""
    found = os.lstat(path)
    kind = stat.S_IFMT(found.st_mode)
    told = {"mode": oct(found.st_mode), "uid": found.st_uid, "gid": found.st_gid}
    if times and kind != stat.S_IFLNK:
        told["mtime"] = found.st_mtime_ns
    if kind == stat.S_IFREG:
        told.update(size=found.st_size, nlink=found.st_nlink)
        with open(path, "rb") as file:
            told["sha256"] = hashlib.file_digest(file, "sha256").hexdigest()
    elif kind == stat.S_IFLNK:
        told["target"] = os.readlink(path)
    elif kind in (stat.S_IFCHR, stat.S_IFBLK):
        told["rdev"] = found.st_rdev
    return told


def owned_here(told):
    """A tree as whoever runs the tests copies it: only root keeps the owners."""
    if os.geteuid() == 0:
        return told
    return {path: found | {"uid": os.geteuid(), "gid": os.getegid()} for path, found in told.items()}


def tree_of(top, times=True, hidden=()):
    """{path below top: description} of a whole tree."""
    told = {}
    for folder, folders, names in os.walk(top):
        folders[:] = [n for n in folders if n not in hidden]
        for name in folders + [n for n in names if n not in hidden]:
            path = os.path.join(folder, name)
            told[os.path.relpath(path, top)] = describe(path, times)
    return told


def differences(want, got, limit=20):
    """Readable lines for what differs between two trees."""
    lines = [f"missing: {name}" for name in sorted(set(want) - set(got))]
    lines += [f"not expected: {name}" for name in sorted(set(got) - set(want))]
    lines += [f"{name}: want {want[name]}, got {got[name]}" for name in sorted(set(want) & set(got)) if want[name] != got[name]]
    return lines[:limit] + ([f"... and {len(lines) - limit} more"] if len(lines) > limit else [])
