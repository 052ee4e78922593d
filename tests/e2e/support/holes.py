"""Files with holes: what a file shows, and a wait until a mount has compacted."""
import os
import time


def data_of(fd):
    """[begin, end) of every stretch that SEEK_DATA and SEEK_HOLE tell."""
    told, at = [], 0
    while True:
        try:
            begin = os.lseek(fd, at, os.SEEK_DATA)
        except OSError:  # ENXIO: no more data
            return told
        at = os.lseek(fd, begin, os.SEEK_HOLE)
        told.append((begin, at))


def pages_of(pieces, length):
    """The same for pieces (offset, bytes) that were written, in whole pages of 4 KiB."""
    told = []
    for begin, size in sorted(pieces):
        begin, end = begin // 4096 * 4096, min(length, -(-(begin + size) // 4096) * 4096)
        if told and begin <= told[-1][1]:
            told[-1] = (told[-1][0], max(end, told[-1][1]))
        else:
            told.append((begin, end))
    return told


def compactions(mount):
    with open(mount / ".stats") as text:
        for line in text:
            if line.startswith("juicefs_compact_size_histogram_bytes_total"):
                return int(line.split()[-1])
    return 0


def wait_for_compaction(mount, name, before, seconds=30):
    """Reads the file, which asks for one, until there has been one more than `before`."""
    deadline = time.monotonic() + seconds
    while compactions(mount) <= before:
        if time.monotonic() > deadline:
            raise AssertionError(f"{name} was not compacted within {seconds} s\n{mount.log_text()}")
        with open(mount / name, "rb", buffering=0) as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            file.read(1)
        time.sleep(0.02)


def write_each(path, pieces, times=1):
    """Every piece (offset, bytes) as a slice of its own; what the file holds then."""
    body = bytearray(max(at + size for at, size in pieces))
    fd = os.open(path, os.O_CREAT | os.O_RDWR, 0o644)
    for turn in range(times):
        for number, (at, size) in enumerate(pieces):
            piece = bytes([1 + (number + turn) % 255]) * size
            os.pwrite(fd, piece, at)
            os.fsync(fd)
            body[at:at + size] = piece
    os.close(fd)
    return bytes(body)
