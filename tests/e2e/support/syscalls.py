"""System calls that Python's os module lacks, each raising OSError like its neighbours there."""
import ctypes
import fcntl
import os
import struct

RENAME_NOREPLACE, RENAME_EXCHANGE, RENAME_WHITEOUT = 1, 2, 4
FALLOC_KEEP_SIZE, FALLOC_PUNCH_HOLE, FALLOC_COLLAPSE, FALLOC_ZERO, FALLOC_INSERT = 1, 2, 8, 16, 32
FS_SECURE, FS_IMMUTABLE, FS_APPEND = 0x1, 0x10, 0x20
F_OFD_GETLK, F_OFD_SETLK, F_OFD_SETLKW = 36, 37, 38
AT_FDCWD, AT_EMPTY_PATH, AT_SYMLINK_FOLLOW = -100, 0x1000, 0x400

_libc = ctypes.CDLL(None, use_errno=True)
_HANDLE_BYTES = 128


def _checked(result):
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def renameat2(old, new, flags):
    _checked(_libc.renameat2(AT_FDCWD, os.fsencode(old), AT_FDCWD, os.fsencode(new), flags))


def fallocate(fd, mode, offset, length):
    _checked(_libc.fallocate(fd, mode, ctypes.c_long(offset), ctypes.c_long(length)))


def link_nameless(fd, path):
    """Gives an O_TMPFILE its first name."""
    _checked(_libc.linkat(AT_FDCWD, f"/proc/self/fd/{fd}".encode(), AT_FDCWD, os.fsencode(path), AT_SYMLINK_FOLLOW))


def name_to_handle(path):
    """An opaque handle of a file."""
    handle = ctypes.create_string_buffer(struct.pack("Ii", _HANDLE_BYTES, 0), 8 + _HANDLE_BYTES)
    mount_id = ctypes.c_int()
    _checked(_libc.name_to_handle_at(AT_FDCWD, os.fsencode(path), handle, ctypes.byref(mount_id), 0))
    return handle.raw


def open_handle(mount_fd, handle, flags):
    return _checked(_libc.open_by_handle_at(mount_fd, ctypes.create_string_buffer(handle, len(handle)), flags))


def get_flags(path):
    """chattr's bits."""
    fd = os.open(path, os.O_RDONLY)
    try:
        return struct.unpack("I", fcntl.ioctl(fd, 0x80086601, bytes(8))[:4])[0]
    finally:
        os.close(fd)


def set_flags(path, flags):
    fd = os.open(path, os.O_RDONLY)
    try:
        fcntl.ioctl(fd, 0x40086602, struct.pack("Q", flags))
    finally:
        os.close(fd)


def ofd_lock(fd, kind, start, length, command=F_OFD_SETLK):
    """A lock that belongs to the open file; answers (kind, start, length, pid) as the kernel left them."""
    asked = struct.pack("hhqqi4x", kind, os.SEEK_SET, start, length, 0)
    kind, _, start, length, pid = struct.unpack("hhqqi4x", fcntl.fcntl(fd, command, asked))
    return kind, start, length, pid
