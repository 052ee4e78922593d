"""Random writers and readers on several mounts of one volume, and what they must never see.

Workers are processes, each on one mount; what is true of the volume is written down in memory that they share, before and after
each change. Names and attributes may be as old as the kernel's timeouts allow; everything else holds at once:

* whoever opens a file after another closed it reads all of what was written (close-to-open), also where only a part of it was;
* a name that is renamed over always opens, as one whole version, never an older one than seen before;
* of many who make one name with O_EXCL, mkdir, link or a rename that replaces nothing, one at a time succeeds;
* appending loses nothing, without any lock;
* under a lock, appending keeps the order and counting counts, through one descriptor that stays open too;
* what is renamed to and fro exists exactly once in the end.
"""
import ctypes
import errno
import fcntl
import multiprocessing
import os
import random
import time
import traceback

import syscalls

fork = multiprocessing.get_context("fork")

RECORD = 64
STALE = 1.0      # --attr-cache, --entry-cache, --dir-entry-cache
SLACK = 1.5      # a busy machine runs nobody for a while
SLOTS = REWRITTEN = PATCHED = CONTESTED = LOCKED = 4
NAMES, TOKENS, FOLDERS = 24, 16, 4
RECORDS = 700    # of a file that is patched
MOST_WORKERS = 16
LAST = 4096      # so many times of changes are remembered


class Violation(Exception):
    """Something that must never be seen was."""


def record(kind, number, version, index, count):
    return (b"%s %04d %012d %08d %08d" % (kind, number, version, index, count)).ljust(RECORD - 1) + b"\n"


def text_of(kind, number, version):
    """The whole of a version: its length follows from its number, each record says where it stands."""
    count = 1 + random.Random(version * 31 + number).randrange(1, 700)
    return b"".join(record(kind, number, version, i, count) for i in range(count))


def parse(line, kind, number, index):
    """The version and the number of records that a record tells of."""
    words = line.split()
    if len(line) != RECORD or len(words) != 5 or words[0] != kind or int(words[1]) != number or int(words[3]) != index:
        raise Violation(f"{kind.decode()}{number}: record {index} reads {line[:RECORD]!r}")
    return int(words[2]), int(words[4])


def describe(body, kind, number):
    """The runs of records of one version that a file consists of: where each ends, and its version."""
    runs = []
    for at in range(0, len(body), RECORD):
        line = body[at:at + RECORD]
        words = line.split()
        good = len(line) == RECORD and len(words) == 5 and words[0] == kind and words[1] == b"%04d" % number and int(words[3]) == at // RECORD
        version = int(words[2]) if good else "zeros" if line == bytes(len(line)) else f"{line!r}"
        if runs and runs[-1][1] == version:
            runs[-1][0] = at // RECORD + 1
        else:
            runs.append([at // RECORD + 1, version])
    return f"{len(body)} bytes, records " + ", ".join(f"..{end}: {version}" for end, version in runs[:20])


def read_whole(path, flags=0):
    return read_all(os.open(path, os.O_RDONLY | flags))


def read_all(fd):
    try:
        parts = []
        while True:
            part = os.read(fd, 1 << 20)
            if not part:
                return b"".join(parts)
            parts.append(part)
    finally:
        os.close(fd)


def write_whole_at(fd, body, offset):
    done = 0
    while done < len(body):
        done += os.pwrite(fd, body[done:], offset + done)


def write_whole(fd, body):
    write_whole_at(fd, body, 0)


class Truth:
    """What every worker knows, in shared memory."""

    def __init__(self, mounts, trash):
        def numbers(count):
            return fork.RawArray(ctypes.c_longlong, count)

        self.mounts, self.trash = mounts, trash
        self.published, self.started = numbers(SLOTS), numbers(SLOTS)
        self.moments = numbers(SLOTS * LAST)              # ns at which each version of a slot was there
        self.written, self.begun = numbers(REWRITTEN), numbers(REWRITTEN)
        self.patched, self.patching = numbers(PATCHED), numbers(PATCHED)
        self.patches = numbers(PATCHED * RECORDS)         # version of each record
        self.exists, self.since = numbers(NAMES), numbers(NAMES)
        self.holder = numbers(CONTESTED * 4)
        self.in_section = numbers(LOCKED * 2)
        self.counted, self.appended = numbers(LOCKED * 2), numbers(LOCKED)
        self.appended_freely = numbers(LOCKED * MOST_WORKERS)
        self.done, self.last_mount, self.handovers = numbers(1), numbers(LOCKED * 2), numbers(1)
        self.slot_locks = [fork.Lock() for _ in range(SLOTS)]
        self.file_locks = [fork.Lock() for _ in range(REWRITTEN)]
        self.patch_locks = [fork.Lock() for _ in range(PATCHED)]
        self.name_locks = [fork.Lock() for _ in range(NAMES)]
        self.violations = fork.SimpleQueue()

    def prepare(self):
        top = self.mounts[0]
        for folder in ["names", "tmp", "contest", "locks", *(f"tokens{i}" for i in range(FOLDERS))]:
            os.mkdir(os.path.join(top, folder))
        for i in range(TOKENS):
            with open(os.path.join(top, f"tokens{i % FOLDERS}", f"t{i}"), "wb") as file:
                file.write(text_of(b"tok", i, i))
        for i in range(SLOTS):
            with open(os.path.join(top, f"slot{i}"), "wb") as file:
                file.write(text_of(b"slot", i, 0))
        for i in range(REWRITTEN):
            with open(os.path.join(top, f"file{i}"), "wb") as file:
                file.write(text_of(b"file", i, 0))
        for i in range(PATCHED):
            with open(os.path.join(top, f"part{i}"), "wb") as file:
                file.write(b"".join(record(b"part", i, 0, index, 0) for index in range(RECORDS)))
        for i in range(LOCKED):
            for name in (f"log{i}", f"free{i}", f"flock{i}", f"posix{i}", f"kept{i}"):
                with open(os.path.join(top, "locks", name), "wb") as file:
                    file.write(b"0".zfill(12) if name[:3] not in ("log", "fre") else b"")


class Worker:
    """One process on one mount: does a random thing again and again."""

    def __init__(self, truth, mount, number, seed):
        self.truth, self.mount, self.number = truth, mount, number
        self.top = truth.mounts[mount]
        self.random = random.Random(seed)
        self.seen = [0] * SLOTS
        self.kept = {}
        self.roles = [self.replace, self.read_slot, self.read_slot, self.rewrite, self.read_rewritten, self.read_rewritten, self.patch,
                      self.read_patched, self.read_patched, self.change_name, self.watch_name, self.list_names, self.contest, self.move_token, self.append, self.append_freely, self.count, self.count_kept]

    def path(self, *names):
        return os.path.join(self.top, *names)

    def run(self, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            role = self.random.choice(self.roles)
            try:
                role()
            except Violation as problem:
                self.truth.violations.put(f"worker {self.number} on mount {self.mount}: {role.__name__}: {problem}")
            except Exception as problem:  # noqa: BLE001  (no call of a role may fail)
                line = traceback.extract_tb(problem.__traceback__)[-1].lineno
                self.truth.violations.put(f"worker {self.number} on mount {self.mount}: {role.__name__}: line {line}: {problem!r}")
            self.truth.done[0] += 1  # a lost count does not matter

    # ---- a name that is renamed over ----

    def replace(self):
        slot, truth = self.random.randrange(SLOTS), self.truth
        with truth.slot_locks[slot]:
            version = truth.started[slot] = truth.published[slot] + 1
            new = self.path("tmp", f"w{self.number}")
            with open(new, "wb") as file:
                file.write(text_of(b"slot", slot, version))
            os.replace(new, self.path(f"slot{slot}"))
            truth.moments[slot * LAST + version % LAST] = time.monotonic_ns()
            truth.published[slot] = version
        self.seen[slot] = max(self.seen[slot], version)

    def read_slot(self):
        slot, truth = self.random.randrange(SLOTS), self.truth
        at_least = self.published_before(slot, time.monotonic_ns() - int((STALE + SLACK) * 1e9))
        body = self.read_replaced(self.path(f"slot{slot}"))
        if body is None:
            return
        at_most = truth.started[slot]
        version, count = parse(body[:RECORD], b"slot", slot, 0)
        if body != text_of(b"slot", slot, version):
            raise Violation(f"slot{slot}: version {version} has {len(body)} bytes of {count * RECORD}, or other contents")
        if not at_least <= version <= at_most:
            raise Violation(f"slot{slot}: version {version} was read, not one of {at_least}..{at_most}")
        if version < self.seen[slot]:
            raise Violation(f"slot{slot}: version {version} after version {self.seen[slot]}")
        self.seen[slot] = version

    def read_replaced(self, path):
        """What a file holds; without trash it may go meanwhile: another client does not know that we have it open."""
        try:
            return read_whole(path)
        except OSError as error:
            if self.truth.trash or error.errno not in (errno.ENOENT, errno.ESTALE):
                raise
            return None

    def published_before(self, slot, moment):
        version = self.truth.published[slot]
        oldest = max(0, version - LAST // 2)
        while version > oldest and self.truth.moments[slot * LAST + version % LAST] > moment:
            version -= 1
        return version

    # ---- a file that is written anew in place ----

    def rewrite(self):
        number, truth = self.random.randrange(REWRITTEN), self.truth
        with truth.file_locks[number]:
            version = truth.begun[number] = truth.written[number] + 1
            body = text_of(b"file", number, version)
            how = self.random.randrange(3)
            fd = os.open(self.path(f"file{number}"), os.O_WRONLY | (os.O_TRUNC if how == 0 else 0))
            if how == 1:
                os.ftruncate(fd, len(body))
            write_whole(fd, body)
            if how == 2:
                os.ftruncate(fd, len(body))
            os.close(fd)
            truth.written[number] = version

    def read_rewritten(self):
        number, truth = self.random.randrange(REWRITTEN), self.truth
        closed = truth.written[number]
        body = read_whole(self.path(f"file{number}"))
        begun = truth.begun[number]
        if begun == closed:
            if body != text_of(b"file", number, closed):
                raise Violation(f"file{number}: not version {closed} alone, closed before the open: "
                                f"{self.seen_again(f'file{number}', body, b'file', number)}")
            return
        for at in range(0, len(body) - RECORD + 1, RECORD):
            line = body[at:at + RECORD]
            if line == bytes(RECORD):  # between ftruncate and write
                continue
            version, _ = parse(line, b"file", number, at // RECORD)
            if not closed <= version <= begun:
                raise Violation(f"file{number}: record {at // RECORD} of version {version}, not one of {closed}..{begun}")

    def seen_again(self, name, body, kind, number):
        """What was read, what is read now, and what past the page cache."""
        again, direct = read_whole(self.path(name)), read_whole(self.path(name), os.O_DIRECT)
        told = describe(body, kind, number)
        for how, other in (("opened again", again), ("past the page cache", direct)):
            told += f"; {how} " + ("the same" if other == body else describe(other, kind, number))
        return told

    def patch(self):
        """A few records anywhere, in one write or two."""
        number, truth = self.random.randrange(PATCHED), self.truth
        with truth.patch_locks[number]:
            version = truth.patching[number] = truth.patched[number] + 1
            fd = os.open(self.path(f"part{number}"), os.O_WRONLY)
            for _ in range(self.random.randrange(1, 3)):
                first = self.random.randrange(RECORDS)
                records = range(first, min(RECORDS, first + self.random.choice((1, 10, 200))))
                write_whole_at(fd, b"".join(record(b"part", number, version, index, 0) for index in records), first * RECORD)
                for index in records:
                    truth.patches[number * RECORDS + index] = version
            os.close(fd)
            truth.patched[number] = version

    def read_patched(self):
        number, truth = self.random.randrange(PATCHED), self.truth
        closed = truth.patched[number]
        body = read_whole(self.path(f"part{number}"))
        versions = truth.patches[number * RECORDS:(number + 1) * RECORDS]
        if truth.patching[number] != closed:
            return
        if body != b"".join(record(b"part", number, version, index, 0) for index, version in enumerate(versions)):
            wrong = [index for index, version in enumerate(versions)
                     if body[index * RECORD:(index + 1) * RECORD] != record(b"part", number, version, index, 0)]
            raise Violation(f"part{number}: after version {closed} was closed records {wrong[0]}..{wrong[-1]} are not "
                            f"{sorted({versions[index] for index in wrong})}: {self.seen_again(f'part{number}', body, b'part', number)}")

    # ---- names that come and go ----

    def change_name(self):
        number, truth = self.random.randrange(NAMES), self.truth
        if not truth.name_locks[number].acquire(block=False):
            return
        with_name = self.path("names", f"n{number}")
        try:
            truth.since[number] = 1 << 62
            if truth.exists[number]:
                os.rmdir(with_name) if number % 3 == 0 else os.unlink(with_name)
            elif number % 3 == 0:
                os.mkdir(with_name)
            elif number % 3 == 1:
                os.close(os.open(with_name, os.O_WRONLY | os.O_CREAT | os.O_EXCL))
            else:
                os.symlink("nowhere", with_name)
            truth.exists[number] ^= 1
            truth.since[number] = time.monotonic_ns()
        finally:
            truth.name_locks[number].release()

    def settled(self, number, moment):
        return self.truth.since[number] + int((STALE + SLACK) * 1e9) < moment

    def watch_name(self):
        number, truth = self.random.randrange(NAMES), self.truth
        since, want = truth.since[number], truth.exists[number]
        if not self.settled(number, time.monotonic_ns()):
            return
        there = os.path.lexists(self.path("names", f"n{number}"))
        if truth.since[number] == since and there != bool(want):
            raise Violation(f"n{number} {'is missing' if want else 'is still there'}")

    def list_names(self):
        truth, now = self.truth, time.monotonic_ns()
        before = [(truth.since[i], truth.exists[i]) for i in range(NAMES)]
        listed = set(os.listdir(self.path("names")))
        for i in range(NAMES):
            if before[i][0] + int((STALE + SLACK) * 1e9) >= now or truth.since[i] != before[i][0]:
                continue
            if (f"n{i}" in listed) != bool(before[i][1]):
                raise Violation(f"n{i} {'is missing in' if before[i][1] else 'is still in'} the listing {sorted(listed)}")

    # ---- one winner ----

    def contest(self):
        kind, number, truth = self.random.randrange(4), self.random.randrange(CONTESTED), self.truth
        place = kind * CONTESTED + number
        prize, own = self.path("contest", f"{kind}.{number}"), self.path("tmp", f"c{self.number}")
        try:
            if kind == 0:
                os.close(os.open(prize, os.O_WRONLY | os.O_CREAT | os.O_EXCL))
            elif kind == 1:
                os.mkdir(prize)
            else:
                os.close(os.open(own, os.O_WRONLY | os.O_CREAT))
                os.link(own, prize) if kind == 2 else syscalls.renameat2(own, prize, syscalls.RENAME_NOREPLACE)
        except FileExistsError:
            return
        if truth.holder[place] != 0:
            raise Violation(f"{prize} was made while worker {truth.holder[place]} had it")
        truth.holder[place] = self.number + 1
        time.sleep(self.random.random() * 0.002)
        if truth.holder[place] != self.number + 1:
            raise Violation(f"{prize} was taken by {truth.holder[place]}")
        truth.holder[place] = 0
        os.rmdir(prize) if kind == 1 else os.unlink(prize)

    # ---- things that move ----

    def move_token(self):
        token = f"t{self.random.randrange(TOKENS)}"
        source, target = self.random.sample(range(FOLDERS), 2)
        try:
            os.rename(self.path(f"tokens{source}", token), self.path(f"tokens{target}", token))
        except FileNotFoundError:
            pass  # it is elsewhere

    # ---- under locks ----

    def entered(self, place):
        truth = self.truth
        if truth.in_section[place] != 0:
            raise Violation(f"worker {truth.in_section[place] - 1} holds lock {place} too")
        truth.in_section[place] = self.number + 1
        if truth.last_mount[place] != self.mount:
            truth.last_mount[place] = self.mount
            truth.handovers[0] += 1

    def leave(self, place):
        if self.truth.in_section[place] != self.number + 1:
            raise Violation(f"worker {self.truth.in_section[place] - 1} came into lock {place}")
        self.truth.in_section[place] = 0

    def append(self):
        number, truth = self.random.randrange(LOCKED), self.truth
        guard = os.open(self.path("locks", f"flock{number}"), os.O_RDWR)
        fcntl.flock(guard, fcntl.LOCK_EX)
        self.entered(number)
        log = os.open(self.path("locks", f"log{number}"), os.O_WRONLY | os.O_APPEND)
        index = truth.appended[number]
        os.write(log, record(b"log", number, self.number, index, 0))
        os.close(log)
        truth.appended[number] = index + 1
        self.leave(number)
        fcntl.flock(guard, fcntl.LOCK_UN)
        os.close(guard)

    def append_freely(self):
        """A few records, some in one write."""
        number, truth = self.random.randrange(LOCKED), self.truth
        place = self.number * LOCKED + number
        fd = os.open(self.path("locks", f"free{number}"), os.O_WRONLY | os.O_APPEND)
        for _ in range(self.random.randrange(1, 4)):
            count, first = self.random.randrange(1, 4), truth.appended_freely[place]
            os.write(fd, b"".join(record(b"free", number, self.number, first + i, 0) for i in range(count)))
            truth.appended_freely[place] += count
        os.close(fd)

    def count(self):
        """Under a record lock, the file opened anew."""
        number, truth = self.random.randrange(LOCKED), self.truth
        place = LOCKED + number
        guard = os.open(self.path("locks", f"flock{number}"), os.O_RDWR)
        fcntl.lockf(guard, fcntl.LOCK_EX)
        self.entered(place)
        fd = os.open(self.path("locks", f"posix{number}"), os.O_RDWR)
        self.add_one(fd, truth.counted, number, "posix")
        os.close(fd)
        self.leave(place)
        os.close(guard)

    def count_kept(self):
        """Under the lock of the very file, through a descriptor that stays open.
        SEMANTICS: on Redis a lock is a point of agreement too: letting go of it, or of having it alone, writes out what was written, and who gets it sees that, through descriptors opened before as well.
        """
        number, truth = self.random.randrange(LOCKED), self.truth
        if number not in self.kept:
            self.kept[number] = os.open(self.path("locks", f"kept{number}"), os.O_RDWR)
        fd = self.kept[number]
        fcntl.flock(fd, fcntl.LOCK_EX)
        self.add_one(fd, truth.counted, LOCKED + number, "kept")
        os.fsync(fd)
        fcntl.flock(fd, fcntl.LOCK_UN)

    def add_one(self, fd, counted, place, name):
        want, got = counted[place], os.pread(fd, 12, 0)
        if int(got or b"-1") != want:
            raise Violation(f"{name}{place % LOCKED}: {got!r} was read, {want} counted")
        os.pwrite(fd, b"%012d" % (want + 1), 0)
        counted[place] = want + 1


def work(truth, mount, number, seed, seconds):
    try:
        Worker(truth, mount, number, seed).run(seconds)
    finally:
        os._exit(0)


def check_end(truth):
    """When all is quiet: what must be there, seen through every mount."""
    problems = []
    time.sleep(STALE + SLACK)
    for top in truth.mounts:
        where = [(folder, name) for folder in range(FOLDERS) for name in os.listdir(os.path.join(top, f"tokens{folder}"))]
        if sorted(name for _, name in where) != sorted(f"t{i}" for i in range(TOKENS)):
            problems.append(f"{top}: tokens {where}")
        for folder, name in where:
            if read_whole(os.path.join(top, f"tokens{folder}", name)) != text_of(b"tok", int(name[1:]), int(name[1:])):
                problems.append(f"{top}: {name} has other contents")
        for i in range(SLOTS):
            if read_whole(os.path.join(top, f"slot{i}")) != text_of(b"slot", i, truth.published[i]):
                problems.append(f"{top}: slot{i} is not its last version")
        for i in range(LOCKED):
            log = read_whole(os.path.join(top, "locks", f"log{i}"))
            order = [int(log[at:at + RECORD].split()[3]) for at in range(0, len(log), RECORD)]
            if order != list(range(truth.appended[i])):
                problems.append(f"{top}: log{i} has {len(order)} records, {truth.appended[i]} were appended; "
                                f"missing {sorted(set(range(truth.appended[i])) - set(order))[:10]}")
            problems += check_free_appends(truth, top, i)
    return problems


def check_free_appends(truth, top, number):
    """Each worker's records, in its order."""
    free = read_whole(os.path.join(top, "locks", f"free{number}"))
    lines = [free[at:at + RECORD].split() for at in range(0, len(free), RECORD)]
    problems = []
    for worker in range(MOST_WORKERS):
        order = [int(line[3]) for line in lines if len(line) == 5 and int(line[2]) == worker]
        count = truth.appended_freely[worker * LOCKED + number]
        if order != list(range(count)):
            missing = sorted(set(range(count)) - set(order))[:10]
            problems.append(f"{top}: free{number} has {len(order)} records of worker {worker}, {count} were appended; missing {missing}")
    return problems


def supervise(truth, started, seconds):
    """Answers what the processes found, or that they hang."""
    for process in started:
        process.start()
    problems = []
    deadline = time.monotonic() + seconds
    while any(process.is_alive() for process in started):
        while not truth.violations.empty():
            problems.append(truth.violations.get())
        if time.monotonic() > deadline or len(problems) > 50:
            for process in started:
                process.kill()
            problems.append("workers hung" if len(problems) <= 50 else "and more")
            break
        time.sleep(0.1)
    for process in started:
        process.join()
    while not truth.violations.empty():
        problems.append(truth.violations.get())
    return problems


def pass_on(truth, mount, number, handovers):
    """Takes one lock again and again until it has gone often enough from mount to mount."""
    worker = Worker(truth, mount, number, number)
    try:
        fd = os.open(worker.path("lock"), os.O_RDWR)
        while truth.handovers[0] < handovers:
            fcntl.flock(fd, fcntl.LOCK_EX)
            worker.entered(0)
            truth.done[0] += 1
            worker.leave(0)
            fcntl.flock(fd, fcntl.LOCK_UN)
    except Exception as problem:  # noqa: BLE001
        truth.violations.put(repr(problem))
    finally:
        os._exit(0)


def hand_over(mounts, handovers, workers_each=2):
    """Answers (problems, what was done)."""
    truth = Truth(mounts, True)
    problems = supervise(truth, [fork.Process(target=pass_on, args=(truth, mount, mount * workers_each + i, handovers))
                                 for mount in range(len(mounts)) for i in range(workers_each)], 60 + handovers / 20)
    return problems, {"locked": truth.done[0], "handovers": truth.handovers[0]}


def run(mounts, seconds, seed, trash, workers_each=3):
    """Answers (problems, what was done). `trash`: what is removed stays readable for those who have it open."""
    truth = Truth(mounts, trash)
    truth.prepare()
    started = [fork.Process(target=work, args=(truth, mount, mount * workers_each + i, seed * 1000 + mount * workers_each + i, seconds))
               for mount in range(len(mounts)) for i in range(workers_each)]
    problems = supervise(truth, started, seconds + 120)
    told = {"steps": truth.done[0], "replaced": sum(truth.published), "rewritten": sum(truth.written), "patched": sum(truth.patched),
            "appended": sum(truth.appended), "appended_freely": sum(truth.appended_freely), "counted": sum(truth.counted), "handovers": truth.handovers[0]}
    if not problems:
        problems = check_end(truth)
    return problems, told
