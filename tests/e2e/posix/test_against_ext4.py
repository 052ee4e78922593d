#!/usr/bin/env python3
"""Random system calls on a volume and on an ext4 next to it: after each, the same answer, the same tree, the same times moved.

A failure prints the shortest list of calls it could find that still shows the difference, and the seed it came from.
KISEKI_SEED and KISEKI_SEEDS choose other lists, KISEKI_STEPS their length.
"""
import os
import random
import stat
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import mounted  # noqa: E402
from calls import Side, watched  # noqa: E402
from syscalls import (FALLOC_KEEP_SIZE, FALLOC_PUNCH_HOLE, FALLOC_ZERO, RENAME_EXCHANGE, RENAME_NOREPLACE,  # noqa: E402
                      RENAME_WHITEOUT)

PATHS = ["a", "b", "c", "d", "d/a", "d/b", "d/e", "d/e/a", "d/e/b", "s", "d/s"]
ODD_PATHS = ["", "a/", "d/", "d/.", "d/..", "none/x", "a/x", "s/a", "x" * 255, "x" * 256, "d/e/../a", "."]
TARGETS = ["a", "d", "d/e", "../a", "s", "nowhere", "d/s", "t" * 4095, "t" * 100]
MODES = [0, 0o400, 0o600, 0o644, 0o711, 0o755, 0o777, 0o1777, 0o2755, 0o2777, 0o4755, 0o6777, 0o2644]
OWNERS = [0, 1234, 65534]
CHOWNS = [(uid, gid) for uid in [-1, *OWNERS] for gid in [-1, *OWNERS]][1:]  # (-1, -1) may or may not move ctime
OPEN_FLAGS = [os.O_RDONLY, os.O_WRONLY, os.O_RDWR, os.O_WRONLY | os.O_CREAT, os.O_RDWR | os.O_CREAT, os.O_RDWR | os.O_CREAT,
              os.O_RDWR | os.O_CREAT | os.O_EXCL, os.O_RDWR | os.O_TRUNC, os.O_WRONLY | os.O_CREAT | os.O_TRUNC,
              os.O_WRONLY | os.O_APPEND, os.O_RDWR | os.O_CREAT | os.O_APPEND, os.O_RDONLY | os.O_DIRECTORY,
              os.O_RDONLY | os.O_NOFOLLOW, os.O_PATH, os.O_PATH | os.O_NOFOLLOW, os.O_TMPFILE | os.O_RDWR,
              os.O_RDONLY | os.O_CREAT | os.O_DIRECTORY, os.O_RDONLY | os.O_TRUNC]
NODES = [stat.S_IFIFO, stat.S_IFSOCK, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFREG]
FALLOCATES = [0, FALLOC_KEEP_SIZE, FALLOC_PUNCH_HOLE | FALLOC_KEEP_SIZE, FALLOC_ZERO, FALLOC_ZERO | FALLOC_KEEP_SIZE,
              FALLOC_PUNCH_HOLE]
RENAMES = [RENAME_NOREPLACE, RENAME_EXCHANGE, RENAME_WHITEOUT, RENAME_EXCHANGE | RENAME_NOREPLACE]
FINE_TIMES = tuple(int(part) for part in os.uname().release.split(".")[:2]) >= (6, 13)  # before, ext4's clock ticks every 4 ms
XATTRS = ["user.a", "user.b", "trusted.t", "user.", "bare", "user." + "n" * 251]


def draw_calls(seed, count):
    """A list of calls: (who, name, arguments...)."""
    chance = random.Random(seed)

    def path():
        return chance.choice(ODD_PATHS) if chance.random() < 0.06 else chance.choice(PATHS)

    def slot():
        return chance.randrange(4)

    def offset():
        return chance.choice([0, 1, 100, 4095, 4096, 10_000, 70_000, 1 << 20])

    def size():
        return chance.choice([0, 1, 100, 4096, 5000, 65_536, 200_000])

    drawn = {
        "open": (14, lambda: (slot(), path(), chance.choice(OPEN_FLAGS), chance.choice(MODES))),
        "close": (5, lambda: (slot(),)),
        "write": (8, lambda: (slot(), size(), chance.randrange(256))),
        "pwrite": (8, lambda: (slot(), offset(), size(), chance.randrange(256))),
        "read": (4, lambda: (slot(), size())),
        "pread": (5, lambda: (slot(), offset(), size())),
        "lseek": (3, lambda: (slot(), offset(), chance.choice([os.SEEK_SET, os.SEEK_CUR, os.SEEK_END]))),
        "ftruncate": (4, lambda: (slot(), offset())),
        "truncate": (3, lambda: (path(), offset())),
        "fallocate": (5, lambda: (slot(), chance.choice(FALLOCATES), offset(), size())),
        "copy": (3, lambda: (slot(), offset(), slot(), offset(), size())),
        "map": (4, lambda: (slot(), offset(), size(), chance.randrange(256))),
        "fsync": (1, lambda: (slot(),)),
        "fstat": (3, lambda: (slot(),)),
        "fchmod": (1, lambda: (slot(), chance.choice(MODES))),
        "listfd": (1, lambda: (slot(),)),
        "linkfd": (2, lambda: (slot(), path())),
        "mkdir": (7, lambda: (path(), chance.choice(MODES))),
        "rmdir": (3, lambda: (path(),)),
        "unlink": (5, lambda: (path(),)),
        "symlink": (3, lambda: (chance.choice(TARGETS), path())),
        "link": (5, lambda: (path(), path(), chance.random() < 0.3)),
        "rename": (7, lambda: (path(), path())),
        "renameat2": (4, lambda: (path(), path(), chance.choice(RENAMES))),
        "mknod": (3, lambda: (path(), chance.choice(NODES) | 0o644, chance.choice([0, 259, os.makedev(240, 7)]))),
        "chmod": (4, lambda: (path(), chance.choice(MODES))),
        "chown": (4, lambda: (path(), *chance.choice(CHOWNS), chance.random() < 0.5)),
        "utime": (3, lambda: (path(), chance.choice([None, (10**18, 10**18 + 1), (-5, -10**18), (1 << 62, 5 * 10**18)]))),
        "access": (2, lambda: (path(), chance.choice([0, 1, 2, 4, 6, 7]))),
        "readlink": (2, lambda: (path(),)),
        "listdir": (3, lambda: (path(),)),
        "stat": (3, lambda: (path(), chance.random() < 0.5)),
        "setxattr": (4, lambda: (path(), chance.choice(XATTRS), size() % 300, chance.choice([0, 1, 2]))),
        "getxattr": (2, lambda: (path(), chance.choice(XATTRS))),
        "listxattr": (2, lambda: (path(),)),
        "removexattr": (2, lambda: (path(), chance.choice(XATTRS))),
    }
    names, weights = list(drawn), [weight for weight, _ in drawn.values()]
    calls = []
    for name in chance.choices(names, weights, k=count):
        who = chance.choice([0, 0, 0, 65534])
        calls.append((who, name, *drawn[name][1]()))
    return calls


class AgainstExt4Test(mounted.MountedTest):
    flags = ("-o", "dev,suid", "--enable-xattr", "--skip-dir-mtime", "0", "--hide-internal")

    def setUp(self):
        mounted.need(os.geteuid() == 0, "only root mounts a file system image and becomes somebody else")
        mounted.need_tool("mkfs.ext4", "losetup")
        super().setUp()
        self.ext4 = os.path.join(self.volume.root, "mnt-ext4")
        image = os.path.join(self.volume.root, "image")
        os.mkdir(self.ext4)
        with open(image, "wb") as file:
            file.truncate(512 << 20)
        mounted.run(["mkfs.ext4", "-q", "-I", "256", image])
        done = subprocess.run(["mount", "-o", "loop,noatime,dev,suid", image, self.ext4], capture_output=True, text=True)
        mounted.need(done.returncode == 0, f"no loop mount here: {done.stderr}")
        self.addCleanup(subprocess.run, ["umount", "-l", self.ext4])
        self.runs = 0

    def difference(self, calls):
        """Runs the calls in two fresh directories. Answers (index, what differs), or nothing."""
        self.runs += 1
        tops = [os.path.join(top, f"run{self.runs}") for top in (self.ext4, self.mount.path)]
        for top in tops:
            os.makedirs(top + "/top")
            os.chmod(top + "/top", 0o777)
        want, got = sides = [Side(top + "/top") for top in tops]
        try:
            for index, (who, name, *arguments) in enumerate(calls):
                before = [side.times(watched(name, arguments)) for side in sides]
                answers = [side.call(who, name, *arguments) for side in sides]
                if answers[0] != answers[1]:
                    return index, f"ext4 answers {answers[0]}, the volume {answers[1]}"
                moved = [side.moved(was) for side, was in zip(sides, before)]
                if isinstance(answers[0], str):  # a call that failed; ext4 moves times by some that leave a whiteout
                    moved[0] = {thing: set() for thing in moved[0]}
                if FINE_TIMES and moved[0] != moved[1]:
                    return index, f"times moved: ext4 {moved[0]}, the volume {moved[1]}"
            if trees := mounted.differences(want.tree(), got.tree()):
                return len(calls) - 1, f"afterwards: {trees}"
            return None
        finally:
            for side in sides:
                side.close()
            mounted.run(["rm", "-rf", *tops])

    def shortest(self, calls):
        """Leaves out what is not needed for a difference."""
        index, _ = self.difference(calls)
        calls, piece = calls[:index + 1], max(1, index // 2)
        while piece:
            at = 0
            while at < len(calls):
                fewer = calls[:at] + calls[at + piece:]
                found = self.difference(fewer) if fewer else None
                if found:
                    calls = fewer[:found[0] + 1]
                else:
                    at += piece
            piece //= 2
        return calls

    def test_seeds(self):
        """SEMANTICS: what POSIX and Linux leave no choice in, a volume answers as ext4 does."""
        first, steps = int(os.environ.get("KISEKI_SEED", "1")), int(os.environ.get("KISEKI_STEPS", "120"))
        for seed in range(first, first + int(os.environ.get("KISEKI_SEEDS", "10"))):
            calls = draw_calls(seed, steps)
            if self.difference(calls):
                calls = self.shortest(calls)
                found = self.difference(calls)
                lines = "\n".join(f"  {call}" for call in calls)
                self.fail(f"seed {seed}, in short:\n{lines}\n{found[1] if found else 'not every time'}")


if __name__ == "__main__":
    mounted.main()
