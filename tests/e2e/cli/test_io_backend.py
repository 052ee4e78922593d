#!/usr/bin/env python3
"""Where io_uring is refused, as in many containers, `kiseki` runs the epoll build beside it, or says what to do."""
import ctypes
import errno
import os
import shutil
import stat
import struct
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import mounted  # noqa: E402

IO_URING_SETUP = 425
PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2


def refuse_io_uring():
    """Between fork and exec: from here on io_uring_setup answers EPERM, as under Docker's profile."""
    def instruction(code, true, false, value):
        return struct.pack("HBBI", code, true, false, value)

    program = (instruction(0x20, 0, 0, 0)                                 # load the number of the system call
               + instruction(0x15, 0, 1, IO_URING_SETUP)                  # is it this one?
               + instruction(0x06, 0, 0, 0x00050000 | errno.EPERM)        # then EPERM
               + instruction(0x06, 0, 0, 0x7FFF0000))                     # else go on
    code = ctypes.create_string_buffer(program, len(program))
    head = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(code)))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, head, 0, 0):
        raise OSError(ctypes.get_errno(), "seccomp")


class WithoutIoUring(unittest.TestCase):
    def setUp(self):
        self.volume = mounted.Volume(self, formatted=False)
        self.kiseki = os.path.join(self.volume.root, "kiseki")
        shutil.copy(shutil.which(mounted.binary()), self.kiseki)

    def run_refused(self, *words):
        return subprocess.run([self.kiseki, *words], preexec_fn=refuse_io_uring, capture_output=True, text=True, timeout=60)

    def test_says_what_to_do(self):
        done = self.run_refused("status", self.volume.meta)
        self.assertEqual(1, done.returncode, done.stderr)
        self.assertIn("io_uring is forbidden", done.stderr)
        self.assertIn(self.kiseki + "-epoll", done.stderr)

    def test_runs_the_build_on_epoll(self):
        other = self.kiseki + "-epoll"
        with open(other, "w") as script:
            script.write('#!/bin/sh\necho "epoll: $*"\n')
        os.chmod(other, stat.S_IRWXU)
        done = self.run_refused("status", self.volume.meta, "--session", "7")
        self.assertEqual(0, done.returncode, done.stderr)
        self.assertEqual(f"epoll: status {self.volume.meta} --session 7\n", done.stdout)


if __name__ == "__main__":
    mounted.main()
