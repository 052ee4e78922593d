#!/usr/bin/env python3
"""Mount options and flags that decide who may do what: remount, read-only, squashing, subdirectories, chattr, ACLs."""
import errno
import os
import stat
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import mounted  # noqa: E402
from syscalls import FS_APPEND, FS_IMMUTABLE, FS_SECURE, get_flags, set_flags  # noqa: E402
from users import NOBODY, as_user  # noqa: E402


def refusal(call, *arguments):
    """The name of the errno a call fails with; "" when it succeeds."""
    try:
        call(*arguments)
        return ""
    except OSError as problem:
        return errno.errorcode[problem.errno]


class OptionsTest(mounted.MountedTest):
    def options(self):
        """Of the mount, as the kernel tells them."""
        with open("/proc/self/mountinfo") as table:
            return next(set(line.split()[5].split(",")) for line in table if line.split()[4] == self.mount.path)

    def make(self, name, body=b"body"):
        with open(self.path(name), "wb") as file:
            file.write(body)
        return self.path(name)

    def test_options_of_the_mount(self):
        """README: -o dev, suid, noexec and noatime are the kernel's; without them devices and set-user-id have no effect."""
        mounted.need(os.geteuid() == 0, "only root makes devices and allows them")
        self.assertLessEqual({"rw", "nosuid", "nodev", "noatime"}, self.options())
        null = self.path("null")
        os.mknod(null, 0o666 | stat.S_IFCHR, os.makedev(1, 3))
        self.assertEqual("EACCES", refusal(open, null, "wb"))
        self.remount("-o", "dev,suid,noexec")
        self.assertFalse({"nosuid", "nodev"} & self.options())
        with open(self.path("null"), "wb") as device:
            device.write(b"gone")
        self.remount("-o", "dev,suid,noexec", "-o", "nosuid")
        self.assertLessEqual({"nosuid", "noexec"}, self.options(), "the last word counts")
        self.assertNotIn("nodev", self.options())
        script = self.make("script", b"#!/bin/sh\n")
        os.chmod(script, 0o755)
        self.assertEqual("EACCES", refusal(subprocess.run, [script]))

    def test_remount(self):
        """README: `kiseki mount -o remount,ro PATH` changes the kernel's options of a living mount, and what is not named stays."""
        mounted.need(os.geteuid() == 0, "only root remounts")
        keeps = os.open(self.make("f"), os.O_RDONLY)
        self.volume.run("mount", "-o", "remount,ro,noexec", self.mount.path)
        self.assertLessEqual({"ro", "noexec", "nosuid", "nodev"}, self.options())
        self.assertEqual("EROFS", refusal(os.mkdir, self.path("d")))
        self.assertEqual(b"body", os.read(keeps, 10))
        os.close(keeps)
        self.volume.run("mount", "-o", "remount,rw", self.mount.path)
        self.assertLessEqual({"rw", "noexec"}, self.options())
        os.mkdir(self.path("d"))
        self.assertNotEqual(0, self.volume.run("mount", "-o", "remount,ro", self.volume.root + "/none", check=False).returncode)

    def test_read_only(self):
        """SEMANTICS: a mount with --read-only changes nothing and answers EROFS."""
        self.make("f")
        os.mkdir(self.path("d"))
        self.remount("--read-only", "--enable-xattr")
        file = self.path("f")
        for call, *arguments in ((os.mkdir, self.path("e")), (os.unlink, file), (os.rename, file, file + "2"),
                                 (os.chmod, file, 0o600), (os.truncate, file, 0), (open, file, "ab"),
                                 (os.setxattr, file, "user.a", b"1"), (os.link, file, file + "2"),
                                 (os.symlink, "f", self.path("s")), (os.rmdir, self.path("d")), (os.utime, file)):
            self.assertEqual("EROFS", refusal(call, *arguments), call.__name__)
        with open(file, "rb") as reader:
            self.assertEqual(b"body", reader.read())

    def test_squashing(self):
        """README: --root-squash makes root, --all-squash makes everybody act as one owner."""
        mounted.need(os.geteuid() == 0, "only root can become somebody else")
        os.chmod(self.path(), 0o777)
        for flag, by_root, by_user in (("--root-squash", 1234, NOBODY), ("--all-squash", 1234, 1234)):
            with self.subTest(flag=flag):
                self.remount(flag, "1234:5678")
                mine, theirs = self.path(flag + "-root"), self.path(flag + "-user")
                os.mknod(mine)
                self.assertEqual(0, as_user(lambda: os.mknod(theirs)))
                self.assertEqual((by_root, by_user), (os.stat(mine).st_uid, os.stat(theirs).st_uid))
                self.assertEqual(5678, os.stat(mine).st_gid)

    def make_private_things(self):
        """As root: a file and a directory for nobody else, and what everybody may read."""
        os.chmod(self.path(), 0o755)
        for name, mode in (("secret", 0o600), ("readable", 0o644), ("program", 0o711)):
            os.chmod(self.make(name, b"#!/bin/true\n"), mode)
        os.mkdir(self.path("closed"), 0o700)
        self.make("closed/inner")
        os.mkdir(self.path("named"))  # its names may be read, but not what stands behind them
        self.make("named/inner")
        os.chmod(self.path("named"), 0o744)
        os.mkdir(self.path("open"))
        os.chmod(self.path("open"), 0o777)

    def check_stranger(self):
        """In the process of somebody the things of root are closed to."""
        checks = [("EACCES", open, self.path("secret")), ("EACCES", open, self.path("readable"), "ab"),
                  ("", open, self.path("readable")), ("EACCES", os.listdir, self.path("closed")),
                  ("EACCES", os.stat, self.path("closed/inner")), ("", os.listdir, self.path("named")),
                  ("EACCES", os.stat, self.path("named/inner")), ("EACCES", os.truncate, self.path("readable"), 0),
                  ("EPERM", os.chmod, self.path("readable"), 0o666), ("EPERM", os.chown, self.path("readable"), 1234, 5678),
                  ("EACCES", os.unlink, self.path("readable")), ("EACCES", os.mkdir, self.path("new")),
                  ("EACCES", os.rename, self.path("readable"), self.path("open/readable")),
                  ("EACCES", os.getxattr, self.path("secret"), "user.a"),
                  ("EACCES", os.setxattr, self.path("readable"), "user.a", b"1"),
                  ("EPERM", os.utime, self.path("readable"), (1, 1)),
                  ("", os.mkdir, self.path("open/mine")), ("", os.rmdir, self.path("open/mine")),
                  ("EACCES", open, self.path(".config")), ("", open, self.path(".stats"))]
        wrong = []
        for want, call, *arguments in checks:
            got = refusal(call, *arguments)
            if got != want:
                wrong.append(f"{call.__name__} {arguments}: {got or 'allowed'}, not {want or 'allowed'}")
        return wrong

    def test_the_squashed_are_held_to_what_they_became(self):
        """README: what the mode of a file forbids to the owner they act as, the squashed may not do, root least of all."""
        mounted.need(os.geteuid() == 0, "only root can become somebody else")
        self.make_private_things()
        for flag in ("--root-squash", "--all-squash"):
            with self.subTest(flag=flag):
                self.remount(flag, "1234:5678", "--enable-xattr")
                self.assertEqual([], self.check_stranger())
                self.assertEqual("EPERM", refusal(os.setxattr, self.path("open"), "trusted.a", b"1"))

        def check():
            wrong = self.check_stranger()
            if wrong:
                print(wrong, file=sys.stderr)
                raise OSError(errno.EPROTO, "see above")
        for flags in (("--all-squash", "1234:5678"), ("--root-squash", "1234:5678"), ("--non-default-permission",)):
            with self.subTest(flags=flags):
                self.remount(*flags, "--enable-xattr")
                self.assertEqual(0, as_user(check))
        self.assertEqual("", refusal(open, self.path("secret")), "root is root without squashing")
        self.assertTrue(os.access(self.path("secret"), os.R_OK))
        self.assertEqual(errno.EACCES, as_user(lambda: os.stat(self.path("closed/inner"))))

    def test_sync(self):
        """README: -o sync makes each write wait until it is stored."""
        self.remount("-o", "sync,dirsync,nodiratime")
        with open("/proc/self/mounts") as table:
            options = next(set(line.split()[3].split(",")) for line in table if line.split()[1] == self.mount.path)
        self.assertLessEqual({"sync", "dirsync"}, options)
        self.assertLessEqual({"nodiratime"} if os.geteuid() == 0 else {"noatime"}, options)
        blocks = len(self.volume.block_files())
        fd = os.open(self.path("f"), os.O_CREAT | os.O_WRONLY)
        os.write(fd, b"x" * 10_000)
        self.assertEqual(blocks + 1, len(self.volume.block_files()))
        self.mount.kill()
        try:
            os.close(fd)
        except OSError:
            pass
        self.mount = self.volume.mount()
        with open(self.path("f"), "rb") as file:
            self.assertEqual(b"x" * 10_000, file.read())

    def test_what_changes_nothing_is_said(self):
        """README: a mount warns of what it accepts without effect."""
        self.mount.unmount()
        said = self.volume.run("mount", self.volume.meta, self.mount.path, "-d", "--log", self.mount.log, "--metrics", "",
                               "-o", "lazytime,strictatime,auto_unmount,max-fuse-io=4M").stderr
        self.volume.run("umount", self.mount.path)
        for words in ("option=lazytime", "option=strictatime", "option=auto_unmount", "mount.max_fuse_io asked=4194304 used=1048576"):
            self.assertIn(words, said)

    def test_subdirectory(self):
        """README: --subdir shows a directory of the volume as its root, and makes it where it is missing."""
        os.makedirs(self.path("a/b"))
        self.make("a/b/f")
        self.remount("--subdir", "/a/b")
        self.assertEqual(["f"], os.listdir(self.path()))
        self.assertEqual(1, os.stat(self.path()).st_ino)
        self.assertEqual(os.stat(self.path("..")).st_ino, os.stat(self.volume.root).st_ino, "the mount point's parent")
        self.remount("--subdir", "/new/deep")
        os.mknod(self.path("here"))
        self.remount()
        self.assertTrue(os.path.exists(self.path("new/deep/here")))

    def test_inode_flags(self):
        """SEMANTICS: chattr +i and +a hold against root too."""
        mounted.need(os.geteuid() == 0, "only root sets flags that hold against all")
        self.remount("--enable-ioctl", "--enable-xattr")
        file = self.make("f")
        os.mkdir(self.path("d"))
        self.make("d/inner")
        set_flags(file, FS_IMMUTABLE)
        self.assertEqual(FS_IMMUTABLE, get_flags(file))
        for call, *arguments in ((open, file, "ab"), (os.truncate, file, 0), (os.unlink, file), (os.chmod, file, 0o600),
                                 (os.rename, file, file + "2"), (os.link, file, file + "2"), (os.utime, file, (1, 1)),
                                 (os.setxattr, file, "user.a", b"")):
            self.assertEqual("EPERM", refusal(call, *arguments), call.__name__)
        set_flags(file, FS_APPEND)
        self.assertEqual("EPERM", refusal(open, file, "r+b"))
        with open(file, "ab") as log:
            log.write(b" and more")
        self.assertEqual("EPERM", refusal(os.unlink, file))
        set_flags(file, 0)
        set_flags(self.path("d"), FS_IMMUTABLE)
        for call, *arguments in ((os.mknod, self.path("d/new")), (os.unlink, self.path("d/inner")),
                                 (os.rename, file, self.path("d/f"))):
            self.assertEqual("EPERM", refusal(call, *arguments), call.__name__)
        with open(self.path("d/inner"), "ab") as inner:
            inner.write(b"x")
        set_flags(self.path("d"), 0)
        if os.geteuid() == 0:
            os.chown(file, NOBODY, NOBODY)
            self.assertEqual(errno.EPERM, as_user(lambda: set_flags(self.path("f"), FS_IMMUTABLE)))

    def test_what_flags_switch_on(self):
        """SEMANTICS: extended attributes need --enable-xattr, flags of chattr (a, i, s) --enable-ioctl."""
        mounted.need(os.geteuid() == 0, "only root sets flags that hold against all")
        file = self.make("f")
        self.assertEqual("ENOTSUP", refusal(os.setxattr, file, "user.a", b"1"))
        self.assertEqual("ENOTTY", refusal(set_flags, file, FS_APPEND))
        self.remount("--enable-xattr", "--enable-ioctl")
        os.setxattr(file, "user.a", b"1")
        self.assertEqual(b"1", os.getxattr(file, "user.a"))
        set_flags(file, FS_APPEND | FS_SECURE)
        self.assertEqual(FS_APPEND | FS_SECURE, get_flags(file))
        set_flags(file, 0)

    def test_trash(self):
        """SEMANTICS: with --trash-days over 0 deleted files move to .trash/YYYY-MM-DD-HH (UTC).
        SEMANTICS: only root may take them out.
        """
        mounted.need(os.geteuid() == 0, "only root may look into the trash")
        self.volume.run("config", self.volume.meta, "--yes", "--trash-days", "1")
        self.remount()
        os.chmod(self.path(), 0o777)
        os.unlink(self.make("f"))
        hours = os.listdir(self.path(".trash"))
        self.assertRegex(" ".join(hours), r"^20\d\d-\d\d-\d\d-\d\d$")
        kept = os.listdir(self.path(".trash", hours[0]))
        self.assertRegex(" ".join(kept), r"^1-\d+-f$")
        gone = self.path(".trash", hours[0], kept[0])
        if os.geteuid() == 0:
            self.assertNotEqual(0, as_user(lambda: os.rename(gone, self.path("mine"))))
            os.rename(gone, self.path("back"))
            with open(self.path("back"), "rb") as file:
                self.assertEqual(b"body", file.read())

    def test_times_of_directories_may_lag(self):
        """SEMANTICS: a directory's times may lag --skip-dir-mtime (100 ms) behind changes in it."""
        for lag, moves in (("1h", False), ("100ms", True), ("0", True)):
            with self.subTest(lag=lag):
                self.remount("--skip-dir-mtime", lag, "--attr-cache", "0s")
                os.mkdir(self.path(lag))
                made = os.stat(self.path(lag)).st_mtime_ns
                time.sleep(0.15 if lag == "100ms" else 0)
                os.mknod(self.path(lag, "f"))
                self.assertEqual(moves, os.stat(self.path(lag)).st_mtime_ns > made)

    def test_access_control_lists(self):
        """SEMANTICS: on volumes with ACLs, lists are inherited, decide, and go along with chmod."""
        mounted.need_tool("setfacl", "getfacl")
        mounted.need(os.geteuid() == 0, "only root can become somebody else")
        self.volume.run("config", self.volume.meta, "--yes", "--enable-acl")
        self.remount()
        file = self.make("f")
        os.chmod(file, 0o600)
        self.assertEqual(errno.EACCES, as_user(lambda: open(self.path("f"))))
        mounted.run(["setfacl", "-m", f"u:{NOBODY}:r", file])
        self.assertEqual(0, as_user(lambda: open(self.path("f"))))
        self.assertEqual(0o640, stat.S_IMODE(os.stat(file).st_mode), "the mask is the group's bits")
        os.chmod(file, 0o600)
        self.assertEqual(errno.EACCES, as_user(lambda: open(self.path("f"))))
        os.mkdir(self.path("d"))
        mounted.run(["setfacl", "-d", "-m", f"u:{NOBODY}:rwx,o::-", self.path("d")])
        os.mkdir(self.path("d/sub"))
        self.make("d/sub/f")
        told = mounted.run(["getfacl", "-cpn", self.path("d/sub/f")])
        self.assertIn(f"user:{NOBODY}:rwx", told)
        self.assertEqual(0o660, stat.S_IMODE(os.stat(self.path("d/sub/f")).st_mode))
        self.assertIn(f"default:user:{NOBODY}:rwx", mounted.run(["getfacl", "-cpn", self.path("d/sub")]))


if __name__ == "__main__":
    mounted.main()
