"""The rows: groups share one volume per subject; a repetition runs a whole group on one subject, then on the next."""
import json
import os
import subprocess
import sys
import time

from . import measure

MIB = 1 << 20


class RowFailed(Exception):
    pass


class Context:
    """What a group needs to run its rows on one subject, and where their results go."""

    def __init__(self, subject, options, results):
        self.subject, self.options, self.results = subject, options, results
        self.mountpoint = subject.mountpoint

    def wants(self, *rows):
        return any(self.options.wants(row) for row in rows)

    def path(self, *parts):
        return os.path.join(self.mountpoint, *parts)

    def record(self, row, unit, **values):
        self.results.setdefault(row, {"unit": unit, "subjects": {}})
        self.results[row]["subjects"].setdefault(self.subject.name, []).append(values)
        shown = " ".join(f"{k}={v:.4g}" for k, v in values.items() if isinstance(v, (int, float)))
        print(f"  {self.subject.name:>12} {row:<22} {shown}", file=sys.stderr, flush=True)

    def guard(self, row, action):
        """Runs one row; its failure is a line in the report, not the end of the run."""
        if not self.wants(row):
            return
        try:
            action()
        except (RowFailed, subprocess.TimeoutExpired, OSError) as problem:
            self.results.setdefault(row, {"unit": "", "subjects": {}})
            self.results[row].setdefault("failures", {})[self.subject.name] = str(problem)
            print(f"  {self.subject.name:>12} {row:<22} FAILED: {problem}", file=sys.stderr, flush=True)

    def drop_kernel_caches(self, what="3"):
        subprocess.run(["sync", "-f", self.mountpoint], capture_output=True)
        if os.geteuid() == 0:
            with open("/proc/sys/vm/drop_caches", "w") as control:
                control.write(what)

    def measured(self, row, unit, command, operations, **more):
        """A command whose whole run is the row: `operations` of them in its wall time."""
        with measure.Meter(self.subject.pids()) as meter:
            done = subprocess.run(command, capture_output=True, timeout=900)
        if done.returncode != 0:
            raise RowFailed(done.stderr.decode(errors="replace")[-400:])
        self.record(row, unit, rate=operations / meter.wall, cpu_us=meter.cpu * 1e6 / operations, foreign=meter.foreign, **more)

    def loadgen(self, row, unit, *arguments, time_of="per_second"):
        with measure.Meter(self.subject.pids()) as meter:
            done = subprocess.run([self.options.loadgen, *map(str, arguments)], capture_output=True, text=True, timeout=900)
        if done.returncode != 0:
            raise RowFailed((done.stdout + done.stderr)[-400:])
        told = json.loads(done.stdout)
        self.record(row, unit, rate=told[time_of], cpu_us=meter.cpu * 1e6 / max(1, told["ops"]), p50=told["p50_us"],
                    p99=told["p99_us"], foreign=meter.foreign)

    def quietly(self, *arguments):
        """loadgen outside any measurement: preparation."""
        done = subprocess.run([self.options.loadgen, *map(str, arguments)], capture_output=True, text=True, timeout=900)
        if done.returncode != 0:
            raise RowFailed((done.stdout + done.stderr)[-400:])

    def fio(self, row, unit, file, direction, *arguments, jobs=1):
        """unit MiB/s: per MiB; otherwise per operation. Percentiles are of single calls."""
        command = ["fio", "--output-format=json", f"--name={row}", f"--filename={self.path(file)}", "--ioengine=psync",
                   f"--rw={direction}", f"--numjobs={jobs}", "--group_reporting", "--fallocate=none", *arguments]
        with measure.Meter(self.subject.pids()) as meter:
            done = subprocess.run(command, capture_output=True, text=True, timeout=900)
        if done.returncode != 0:
            raise RowFailed((done.stdout + done.stderr)[-400:])
        job = json.loads(done.stdout[done.stdout.index("{"):])["jobs"][0]
        side = job["read" if "read" in direction else "write"]
        in_mib = unit == "MiB/s"
        amount = side["io_bytes"] / MIB if in_mib else side["total_ios"]
        times = side["clat_ns"]["percentile"]
        self.record(row, unit, rate=side["bw_bytes"] / MIB if in_mib else side["iops"],
                    cpu_us=meter.cpu * 1e6 / max(1, amount), p50=times["50.000000"] / 1000, p99=times["99.000000"] / 1000,
                    foreign=meter.foreign)


def data(at):
    size = f"--size={at.options.big_mib}M"
    whole = ("--bs=1M", size)

    def write(row, direct):
        if not at.subject.is_null and os.path.exists(at.path("big1")):
            os.unlink(at.path("big1"))
        at.fio(row, "MiB/s", "big1", "write", *whole, f"--direct={direct}", "--end_fsync=1")

    at.guard("seqw_direct", lambda: write("seqw_direct", 1))
    at.guard("seqw_buffered", lambda: write("seqw_buffered", 0))
    reads = [row for row in ("seqr_cold", "seqr_cached_direct", "seqr_cached_buffered", "seqr_pagecache", "randread4k_direct_1",
                             "randread4k_direct_8") if at.wants(row)]
    if reads and not at.subject.is_null:
        if not os.path.exists(at.path("big1")) or os.path.getsize(at.path("big1")) < at.options.big_mib * MIB:
            at.guard(reads[0], lambda: subprocess.run(["dd", "if=/dev/zero", f"of={at.path('big1')}", "bs=1M", "conv=fsync",
                                                       f"count={at.options.big_mib}"], check=True, capture_output=True))
        at.subject.remount(cold=True)
        at.drop_kernel_caches()
        at.guard("seqr_cold", lambda: at.fio("seqr_cold", "MiB/s", "big1", "read", *whole))
    if reads:
        subprocess.run(["dd", f"if={at.path('big1')}", "of=/dev/null", "bs=1M", f"count={at.options.big_mib}"], capture_output=True)
    at.guard("seqr_cached_direct", lambda: at.fio("seqr_cached_direct", "MiB/s", "big1", "read", *whole, "--direct=1"))
    at.drop_kernel_caches()
    at.guard("seqr_cached_buffered", lambda: at.fio("seqr_cached_buffered", "MiB/s", "big1", "read", *whole, "--invalidate=0"))
    at.guard("seqr_pagecache", lambda: at.fio("seqr_pagecache", "MiB/s", "big1", "read", *whole, "--invalidate=0"))
    timed = ("--bs=4k", size, "--direct=1", "--time_based", f"--runtime={at.options.seconds}", "--norandommap", "--randrepeat=0")
    for jobs in (1, 8):
        row = f"randread4k_direct_{jobs}"
        at.guard(row, lambda: at.fio(row, "op/s", "big1", "randread", *timed, jobs=jobs))
    for jobs in (1, 8):
        row = f"randwrite4k_direct_{jobs}"
        at.guard(row, lambda: at.fio(row, "op/s", "big1", "randwrite", *timed, "--end_fsync=1", jobs=jobs))


def stats(at, suffix):
    for threads in (1, 8):
        row = f"stat{suffix}_{threads}"
        at.guard(row, lambda: at.loadgen(row, "op/s", "stat", "--dir", at.mountpoint, "--threads", threads, "--seconds",
                                         at.options.seconds))


def timed_names(at, row, where, name, *more):
    """One row in an empty directory (a null server's root is always empty); what it leaves goes away unmeasured."""
    if not at.subject.is_null:
        subprocess.run(["rm", "-rf", where], check=True)
        os.mkdir(where)
    at.loadgen(row, "op/s", name, "--dir", where, "--seconds", at.options.seconds, *more)


def names(at):
    stats(at, "")
    where = at.mountpoint if at.subject.is_null else at.path("names")
    for name in ("open_close", "create_unlink") if at.subject.is_null else ("open_close", "create_unlink", "mkdir", "rename"):
        for threads in (1, 8):
            row = f"{name}_{threads}"
            at.guard(row, lambda: timed_names(at, row, where, name, "--threads", threads))
    if not at.subject.is_null:
        at.guard("create_unlink_8d", lambda: timed_names(at, "create_unlink_8d", where, "create_unlink", "--threads", 8, "--private-dirs"))


def names_without_timeouts(at):
    stats(at, "0")


def files(at):
    count = at.options.small_files
    for threads in (1, 8, 16):
        write, read = f"small_write_{threads}", f"small_read_{threads}"
        if not at.wants(write, read):
            continue
        where = at.mountpoint if at.subject.is_null else at.path(f"small{threads}")
        os.makedirs(where, exist_ok=True)
        common = ("--dir", where, "--prefix", "w", "--threads", threads, "--count", count, "--size", 128 << 10)
        at.guard(write, lambda: at.loadgen(write, "file/s", "write_files", *common))
        if at.subject.is_null:
            continue
        if not os.listdir(where):
            at.quietly("write_files", *common)
        at.drop_kernel_caches()
        at.guard(read, lambda: at.loadgen(read, "file/s", "read_files", *common))
        subprocess.run(["rm", "-rf", where], check=True)
    tiny = ("--dir", at.mountpoint, "--count", 1000, "--size", 4096)
    if at.wants("tiny_read_cold", "tiny_read_warm"):
        at.quietly("prepare", *tiny)
        if not at.subject.is_null:
            at.subject.remount(cold=True)
        for row in ("tiny_read_cold", "tiny_read_warm"):
            at.drop_kernel_caches()
            at.guard(row, lambda: at.loadgen(row, "file/s", "read_files", *tiny))


def listing(at):
    where = at.path("dir10k")
    if not at.wants("ls_f_10k", "ls_l_10k"):
        return
    if not at.subject.is_null and not os.path.isdir(where):
        os.mkdir(where)
        at.quietly("prepare", "--dir", where, "--prefix", "e", "--count", 10000, "--size", 0, "--threads", 1)
    drop = ("--drop", "echo 2 > /proc/sys/vm/drop_caches") if os.geteuid() == 0 else ()
    for row, call in (("ls_f_10k", "ls_f"), ("ls_l_10k", "ls_l")):
        at.guard(row, lambda: at.loadgen(row, "entry/s", call, "--dir", where, "--rounds", 5, *drop))


def tree(at):
    if at.subject.is_null or not at.wants("untar", "find", "tar_read", "cp_a", "rm_rf"):
        return
    count, archive = at.options.tree()
    source, copy = at.path("src"), at.path("copy")
    for path in (source, copy):
        subprocess.run(["rm", "-rf", path], check=True)
    os.mkdir(source)
    unpack = ["tar", "xf", archive, "-C", source]
    if at.wants("untar"):
        at.guard("untar", lambda: at.measured("untar", "file/s", unpack, count))
    else:
        subprocess.run(unpack, check=True)
    at.drop_kernel_caches("2")
    at.guard("find", lambda: at.measured("find", "file/s", ["find", source, "-size", "+100000k"], count))
    at.drop_kernel_caches()
    at.guard("tar_read", lambda: at.measured("tar_read", "file/s", ["sh", "-c", f"tar cf - -C {source} . | cat > /dev/null"], count))
    at.drop_kernel_caches()
    at.guard("cp_a", lambda: at.measured("cp_a", "file/s", ["cp", "-a", source, copy], count))
    at.guard("rm_rf", lambda: at.measured("rm_rf", "file/s", ["rm", "-rf", source], count))


def engine(at):
    """No mount takes part; CPU is not told, for both run the engine in a process of their own."""
    if not at.subject.is_null:
        at.guard("mdtest_64", lambda: at.record("mdtest_64", "file/s", rate=at.subject.mdtest(64, at.options.mdtest_files)))


def memory(at):
    def idle():
        time.sleep(at.options.idle_seconds)
        at.record("idle_rss", "MiB", size=measure.memory_mib(at.subject.pids(), "VmRSS"))

    def peak(row, action):
        measure.reset_peak(at.subject.pids())
        action()
        at.record(row, "MiB", size=measure.memory_mib(at.subject.pids(), "VmHWM"))

    def write():
        subprocess.run(["dd", "if=/dev/zero", f"of={at.path('large')}", "bs=1M", f"count={at.options.write_mib}", "conv=fsync"],
                       check=True, capture_output=True)

    def read():
        at.quietly("read_files", *many, "--threads", at.options.readers)

    at.guard("mount_time", lambda: at.record("mount_time", "s", size=at.subject.remount()))
    at.guard("idle_rss", idle)
    if at.subject.is_null:
        return
    at.guard("peak_rss_write", lambda: peak("peak_rss_write", write))
    if os.path.exists(at.path("large")):
        os.unlink(at.path("large"))
    if at.wants("peak_rss_readers"):
        many = ("--dir", at.path("cold"), "--prefix", "c", "--count", at.options.readers, "--size", 4 * MIB)
        if not os.path.isdir(at.path("cold")):
            os.mkdir(at.path("cold"))
            at.quietly("write_files", *many)
        at.subject.remount(cold=True)
        at.drop_kernel_caches()
        at.guard("peak_rss_readers", lambda: peak("peak_rss_readers", read))


# name, rows, function, mounted without kernel timeouts
GROUPS = [
    ("data", ["seqw_direct", "seqw_buffered", "seqr_cold", "seqr_cached_direct", "seqr_cached_buffered", "seqr_pagecache",
              "randread4k_direct_1", "randread4k_direct_8", "randwrite4k_direct_1", "randwrite4k_direct_8"], data, False),
    ("names", ["stat_1", "stat_8", "open_close_1", "open_close_8", "create_unlink_1", "create_unlink_8", "create_unlink_8d",
               "mkdir_1", "mkdir_8", "rename_1", "rename_8"], names, False),
    ("names0", ["stat0_1", "stat0_8"], names_without_timeouts, True),
    ("files", ["small_write_1", "small_read_1", "small_write_8", "small_read_8", "small_write_16", "small_read_16",
               "tiny_read_cold", "tiny_read_warm"], files, False),
    ("listing", ["ls_f_10k", "ls_l_10k"], listing, False),
    ("tree", ["untar", "find", "tar_read", "cp_a", "rm_rf"], tree, False),
    ("engine", ["mdtest_64"], engine, False),
    ("memory", ["mount_time", "idle_rss", "peak_rss_write", "peak_rss_readers"], memory, False),
]
ROW_ORDER = [row for _, rows, _, _ in GROUPS for row in rows]
