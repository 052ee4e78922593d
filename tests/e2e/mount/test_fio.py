#!/usr/bin/env python3
"""fio writes blocks that carry their checksum and offset, and reads them back: buffered, mapped, direct, odd sizes."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import mounted  # noqa: E402

COMMON = ["--verify=crc32c", "--verify_fatal=1", "--fallocate=none", "--verify_state_save=0", "--group_reporting", "--minimal"]
INTERNAL = {".accesslog", ".config", ".control", ".stats", ".trash"}


class FioTest(mounted.MountedTest):
    def setUp(self):
        mounted.need_tool("fio")
        super().setUp()

    def write_and_verify(self, *arguments):
        command = ["fio", "--name=verify", f"--directory={self.path()}", *COMMON, *arguments]
        mounted.run([*command, "--do_verify=1"])
        self.remount()
        mounted.run(["fio", "--name=verify", f"--directory={self.path()}", *COMMON, *arguments, "--verify_only"])

    def test_buffered_sequential(self):
        self.write_and_verify("--rw=write", "--bs=1M", "--size=192M", "--ioengine=psync", "--end_fsync=1")

    def test_buffered_random(self):
        self.write_and_verify("--rw=randwrite", "--bs=4k-64k", "--size=24M", "--numjobs=3", "--ioengine=psync", "--end_fsync=1")

    def test_mapped_random(self):
        self.write_and_verify("--rw=randwrite", "--bs=4k", "--size=16M", "--ioengine=mmap")

    def test_direct_random(self):
        self.write_and_verify("--rw=randwrite", "--bs=4k", "--size=12M", "--ioengine=psync", "--direct=1", "--numjobs=2")

    def test_direct_sequential(self):
        self.write_and_verify("--rw=write", "--bs=1M", "--size=192M", "--ioengine=psync", "--direct=1")

    def test_direct_asynchronous(self):
        self.write_and_verify("--rw=randwrite", "--bs=64k", "--size=32M", "--ioengine=libaio", "--direct=1", "--iodepth=16")

    def write_and_compare(self, *arguments):
        """For sizes that vary: fio's own second run would draw others, so the remounted files are compared by digest."""
        mounted.run(["fio", "--name=verify", f"--directory={self.path()}", *COMMON, *arguments, "--do_verify=1"])
        before = mounted.tree_of(self.path(), hidden=INTERNAL)
        self.remount()
        self.assertEqual([], mounted.differences(before, mounted.tree_of(self.path(), hidden=INTERNAL)))

    def test_unaligned_sizes(self):
        self.write_and_compare("--rw=randwrite", "--bsrange=700-70000", "--bs_unaligned", "--size=16M", "--ioengine=psync")

    def test_small_appends(self):
        self.write_and_compare("--rw=write", "--bsrange=100-9000", "--bs_unaligned", "--size=8M", "--ioengine=psync", "--numjobs=2")


if __name__ == "__main__":
    mounted.main()
