"""What a mount costs: processor time and memory of all its processes, and how much of the machine others took."""
import os
import resource
import time

TICK = os.sysconf("SC_CLK_TCK")
MARK = "KISEKI_PERF_SUBJECT"  # environment variable that every process of one mount inherits


def processes(mark, binary, mountpoint):
    """Pids of the mount: those that inherited the mark, or run the binary with the mount point among their arguments."""
    found = []
    for name in os.listdir("/proc"):
        if not name.isdigit() or int(name) == os.getpid():
            continue
        try:
            with open(f"/proc/{name}/environ", "rb") as text:
                inherited = f"{MARK}={mark}".encode() in text.read().split(b"\0")
            if not inherited:
                with open(f"/proc/{name}/cmdline", "rb") as text:
                    named = mountpoint.encode() in text.read().split(b"\0")
                inherited = named and os.readlink(f"/proc/{name}/exe") == binary
            if inherited:
                found.append(int(name))
        except OSError:
            continue  # it ended, or is not ours to look at
    return found


def cpu_seconds(pids):
    """User and system time of the processes so far."""
    total = 0
    for pid in pids:
        try:
            with open(f"/proc/{pid}/stat") as text:
                fields = text.read().rsplit(")", 1)[1].split()
            total += int(fields[11]) + int(fields[12])
        except OSError:
            continue
    return total / TICK


def memory_mib(pids, field):
    """Sum over the processes of a line of /proc/PID/status: VmRSS, or VmHWM for the peak."""
    total = 0
    for pid in pids:
        try:
            with open(f"/proc/{pid}/status") as text:
                for line in text:
                    if line.startswith(field + ":"):
                        total += int(line.split()[1])
        except OSError:
            continue
    return total / 1024


def reset_peak(pids):
    """Lets VmHWM begin anew. Needs root or the same user."""
    for pid in pids:
        with open(f"/proc/{pid}/clear_refs", "w") as control:
            control.write("5")


def _busy_seconds():
    with open("/proc/stat") as text:
        fields = [int(n) for n in text.readline().split()[1:]]
    return (sum(fields[:8]) - fields[3] - fields[4]) / TICK  # all but idle and iowait


def _children_seconds():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


class Meter:
    """Around one row: processor time of the mount, and the share of the machine that neither it nor the load used.

    The load must have ended (been waited for) inside the block.
    """

    def __init__(self, pids):
        self._pids = pids

    def __enter__(self):
        self._start = (time.monotonic(), _busy_seconds(), _children_seconds(), cpu_seconds(self._pids))
        return self

    def __exit__(self, *problem):
        wall, busy, children, cpu = self._start
        self.wall = time.monotonic() - wall
        self.cpu = cpu_seconds(self._pids) - cpu
        others = _busy_seconds() - busy - (_children_seconds() - children) - self.cpu
        self.foreign = max(0.0, others / (self.wall * os.cpu_count()))
