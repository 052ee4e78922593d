"""System calls by name on one directory, with answers that two file systems can be compared by."""
import errno
import mmap
import os
import stat

from mounted import describe
from syscalls import fallocate, link_nameless, renameat2

SLOTS = 4


def watched(name, arguments):
    """What a call may change the times of: paths, and slots of open files."""
    if name == "setxattr" and arguments[2] == 0:
        return []  # an empty value may be there already
    paths = [a for a in arguments if isinstance(a, str) and name not in ("setxattr", "getxattr", "removexattr", "symlink")]
    if name in ("setxattr", "getxattr", "removexattr"):
        paths = [arguments[0]]
    if name == "symlink":
        paths = [arguments[1]]
    slots = [arguments[0]] if name in ("write", "pwrite", "ftruncate", "fallocate", "fchmod", "map", "linkfd") else []
    if name == "copy":
        slots = [arguments[2]]
    return [*paths, *{os.path.dirname(path) or "." for path in paths}, *slots]


class Side:
    """One of the directories compared: the same calls are made in each."""

    def __init__(self, top):
        self.top, self.fds = top, {}
        self.values = 0  # of extended attributes, each another: ext4 does not move ctime for the value that is there

    def close(self):
        for fd in self.fds.values():
            os.close(fd)
        self.fds = {}

    def call(self, who, name, *arguments):
        """As user `who`: what the call answers, or the name of its errno."""
        groups = os.getgroups()
        try:
            if who:
                os.setgroups([])
                os.setegid(who)
                os.seteuid(who)
            return getattr(self, "do_" + name)(*arguments)
        except OSError as problem:
            return errno.errorcode.get(problem.errno, problem.errno)
        except ValueError as problem:  # an embedded NUL, a slot that is free
            return str(problem)
        finally:
            if who:
                os.seteuid(0)
                os.setegid(0)
                os.setgroups(groups)

    def path(self, name):
        return f"{self.top}/{name}" if name else ""

    def fd(self, slot):
        if slot not in self.fds:
            raise ValueError("no such slot")
        return self.fds[slot]

    # ---- times ----

    def stat_of(self, what):
        try:
            return os.fstat(self.fds[what]) if isinstance(what, int) else os.lstat(self.path(what))
        except (OSError, KeyError):
            return None

    def times(self, things):
        """{thing: its stat}, for `moved` to compare with."""
        return {thing: self.stat_of(thing) for thing in things}

    def moved(self, before):
        """Which of mtime and ctime have changed since, for what still is the same inode. Not of FIFOs: what goes through them stays in
        the kernel, which moves the times of its own file systems only."""
        told = {}
        for thing, was in before.items():
            now = self.stat_of(thing)
            if was and now and was.st_ino == now.st_ino and not stat.S_ISFIFO(now.st_mode):
                told[thing] = {field for field in ("st_mtime_ns", "st_ctime_ns") if getattr(was, field) != getattr(now, field)}
        return told

    def tree(self):
        """Everything below, but the times, which are each side's own."""
        told = {}
        for folder, folders, names in os.walk(self.top):
            for name in folders + names:
                path = os.path.join(folder, name)
                told[os.path.relpath(path, self.top)] = {
                    **describe(path, times=False), "nlink": os.lstat(path).st_nlink,
                    "xattrs": {key: os.getxattr(path, key, follow_symlinks=False)
                               for key in os.listxattr(path, follow_symlinks=False)}}
        return told

    @staticmethod
    def attributes(found):
        size = None if stat.S_ISDIR(found.st_mode) else found.st_size
        return oct(found.st_mode), found.st_nlink, found.st_uid, found.st_gid, size, found.st_rdev

    # ---- open files ----

    def do_open(self, slot, path, flags, mode):
        fd = os.open(self.path(path), flags | os.O_NONBLOCK, mode)
        if slot in self.fds:
            os.close(self.fds[slot])
        self.fds[slot] = fd

    def do_close(self, slot):
        os.close(self.fd(slot))
        del self.fds[slot]

    def do_write(self, slot, size, byte):
        return os.write(self.fd(slot), bytes([byte]) * size)

    def do_pwrite(self, slot, offset, size, byte):
        return os.pwrite(self.fd(slot), bytes([byte]) * size, offset)

    def do_read(self, slot, size):
        return os.read(self.fd(slot), size)

    def do_pread(self, slot, offset, size):
        return os.pread(self.fd(slot), size, offset)

    def do_lseek(self, slot, offset, whence):
        fd = self.fd(slot)
        # Where a directory ends is every file system's own.
        return None if stat.S_ISDIR(os.fstat(fd).st_mode) else os.lseek(fd, offset, whence)

    def do_ftruncate(self, slot, length):
        os.ftruncate(self.fd(slot), length)

    def do_fallocate(self, slot, mode, offset, length):
        fallocate(self.fd(slot), mode, offset, length)

    def do_copy(self, source, source_offset, target, target_offset, size):
        return os.copy_file_range(self.fd(source), self.fd(target), size, source_offset, target_offset)

    def do_map(self, slot, offset, size, byte):
        """Writes through a shared mapping, inside the file."""
        fd = self.fd(slot)
        length = os.fstat(fd).st_size
        if not stat.S_ISREG(os.fstat(fd).st_mode) or length == 0:
            return None
        with mmap.mmap(fd, length) as memory:
            end = min(offset + size, length)
            if offset < end:
                memory[offset:end] = bytes([byte]) * (end - offset)
                memory.flush()

    def do_fsync(self, slot):
        os.fsync(self.fd(slot))

    def do_fstat(self, slot):
        return self.attributes(os.fstat(self.fd(slot)))

    def do_fchmod(self, slot, mode):
        os.fchmod(self.fd(slot), mode)

    def do_listfd(self, slot):
        return sorted(os.listdir(self.fd(slot)))

    def do_linkfd(self, slot, path):
        link_nameless(self.fd(slot), self.path(path))

    # ---- paths ----

    def do_truncate(self, path, length):
        os.truncate(self.path(path), length)

    def do_mkdir(self, path, mode):
        os.mkdir(self.path(path), mode)

    def do_rmdir(self, path):
        os.rmdir(self.path(path))

    def do_unlink(self, path):
        os.unlink(self.path(path))

    def do_symlink(self, target, path):
        os.symlink(target, self.path(path))

    def do_link(self, old, new, follow):
        os.link(self.path(old), self.path(new), follow_symlinks=follow)

    def do_rename(self, old, new):
        os.rename(self.path(old), self.path(new))

    def do_renameat2(self, old, new, flags):
        renameat2(self.path(old), self.path(new), flags)

    def do_mknod(self, path, mode, device):
        os.mknod(self.path(path), mode, device)

    def do_chmod(self, path, mode):
        os.chmod(self.path(path), mode)

    def do_chown(self, path, uid, gid, follow):
        os.chown(self.path(path), uid, gid, follow_symlinks=follow)

    def do_utime(self, path, times):
        os.utime(self.path(path), ns=times) if times else os.utime(self.path(path))
        return os.stat(self.path(path)).st_mtime_ns if times else None

    def do_access(self, path, mode):
        return os.access(self.path(path), mode, effective_ids=True)

    def do_readlink(self, path):
        return [os.readlink(self.path(path))]  # not a string: those are errors

    def do_listdir(self, path):
        return sorted(os.listdir(self.path(path)))

    def do_stat(self, path, follow):
        return self.attributes(os.stat(self.path(path), follow_symlinks=follow))

    def do_setxattr(self, path, name, size, flags):
        self.values += 1
        os.setxattr(self.path(path), name, bytes([self.values % 256]) * size, flags, follow_symlinks=False)

    def do_getxattr(self, path, name):
        return os.getxattr(self.path(path), name, follow_symlinks=False)

    def do_listxattr(self, path):
        return sorted(os.listxattr(self.path(path), follow_symlinks=False))

    def do_removexattr(self, path, name):
        os.removexattr(self.path(path), name, follow_symlinks=False)
