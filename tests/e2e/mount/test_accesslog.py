#!/usr/bin/env python3
""".accesslog tells whoever reads it what the file system is asked, in JuiceFS's words."""
import os
import re
import stat
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import mounted  # noqa: E402

LINE = re.compile(r"\d{4}\.\d\d\.\d\d \d\d:\d\d:\d\d\.\d{6} \[uid:(\d+),gid:(\d+),pid:(\d+)\] (\w+) (.*) - (.+) <(\d+\.\d{6})>$")


class Reading:
    """Reads an access log until it is told to stop; `lines` are (operation, arguments and result, status, pid)."""

    def __init__(self, path):
        self.file = os.open(path, os.O_RDONLY)
        self.text, self.over = "", False
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        while not self.over:
            self.text += os.read(self.file, 1 << 16).decode()

    def stop(self):
        time.sleep(1.1)  # a reader gathers for a second
        self.over = True
        self.thread.join()
        os.close(self.file)
        lines = [LINE.match(line) for line in self.text.splitlines() if line != "#"]
        if None in lines:
            raise AssertionError(self.text)
        return [(m[4], m[5], m[6], int(m[3])) for m in lines]


class AccessLogTest(mounted.MountedTest):
    flags = ("--enable-xattr",)

    def test_it_is_one_of_the_internal_files(self):
        self.assertLessEqual({".accesslog", ".config", ".stats"}, set(os.listdir(self.mount.path)))
        found = os.stat(self.path(".accesslog"))
        self.assertEqual((0x7FFFFFFF00000001, 0o400, 0), (found.st_ino, stat.S_IMODE(found.st_mode), found.st_size))
        with self.assertRaises(PermissionError):
            os.open(self.path(".accesslog"), os.O_WRONLY)
        self.remount("--hide-internal", "--prefix-internal")
        self.assertNotIn(".jfs.accesslog", os.listdir(self.mount.path))
        self.assertTrue(os.path.exists(self.path(".jfs.accesslog")))

    def test_lines(self):
        log, other = Reading(self.path(".accesslog")), Reading(self.path(".accesslog"))
        os.mkdir(self.path("d"), 0o755)
        fd = os.open(self.path("d/f"), os.O_CREAT | os.O_RDWR, 0o640)
        os.write(fd, b"hello")
        os.fsync(fd)
        os.pread(fd, 5, 0)
        os.close(fd)
        os.chmod(self.path("d/f"), 0o600)
        os.rename(self.path("d/f"), self.path("d/g"))
        os.symlink("g", self.path("d/s"))
        os.setxattr(self.path("d/g"), "user.k", b"value")
        for refused in ("none", "li\nne"):
            with self.assertRaises(FileNotFoundError):
                os.stat(self.path("d", refused))
        os.listdir(self.path("d"))
        os.unlink(self.path("d/g"))
        lines, owner = log.stop(), f"{os.geteuid()},{os.getegid()}"
        d, = {int(re.match(rf"\(1,d,\?rwxr-xr-x:00755\): \((\d+),\[drwxr-xr-x:0040755,2,{owner},", what)[1])
              for op, what, status, _ in lines if op == "mkdir"}
        f, = {int(re.match(rf"\({d},f,-rw-r-----:0100640\): \((\d+),\[-rw-r-----:0100640,1,{owner},.*,0\]\) \[fh:\d+\]$", what)[1])
              for op, what, _, _ in lines if op == "create"}
        for op, pattern, status in (("write", rf"\({f},5,0,\d+\)", "OK"), ("fsync", rf"\({f},0\)", "OK"),
                                    ("flush", rf"\({f},\d+,[0-9A-F]{{16}}\)", "OK"), ("release", rf"\({f},\d+\)", "OK"),
                                    ("setattr", rf"\({f}\[0\],0x1,\[mode=-rw-------:00600\]\): \({f},.*\)", "OK"),
                                    ("rename", rf"\({d},f,{d},g,0\)", "OK"), ("symlink", rf"\({d},s,g\): \(.*l.*\)", "OK"),
                                    ("setxattr", rf"\({f},user.k,5,0\)", "OK"),
                                    ("lookup", rf"\({d},none\)", "no such file or directory"),
                                    ("lookup", rf"\({d},li\\nne\)", "no such file or directory"),
                                    ("opendir", rf"\({d}\) \[fh:\d+\]", "OK"), ("readdir", rf"\({d},0,0,\w+\): \(4\)", "OK"),
                                    ("unlink", rf"\({d},g\)", "OK")):
            found = [what for o, what, s, _ in lines if o == op and s == status and re.fullmatch(pattern, what)]
            self.assertTrue(found, f"{op} {pattern} is not in\n{log.text}")
        self.assertTrue(all(pid == os.getpid() for op, _, _, pid in lines if op in ("mkdir", "create", "rename")))
        self.assertIn(("mkdir", "create"), zip(*[iter([op for op, *_ in other.stop() if op in ("mkdir", "create")])] * 2))
        self.assertNotIn("read (9223372032559808513", log.text, "who looks at the log makes no lines by it")

    def test_silence(self):
        fd = os.open(self.path(".accesslog"), os.O_RDONLY)
        os.read(fd, 1 << 16)
        began = time.monotonic()
        self.assertEqual(b"#\n", os.read(fd, 1 << 16))
        self.assertGreater(time.monotonic() - began, 0.9)
        os.close(fd)
        os.stat(self.mount.path)


if __name__ == "__main__":
    mounted.main()
