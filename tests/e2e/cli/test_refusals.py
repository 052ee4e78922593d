#!/usr/bin/env python3
"""What cannot work is refused: exit 1, one clear sentence, nothing half made."""
import http.server
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import mounted  # noqa: E402
import redis  # noqa: E402


class RefusalTest(unittest.TestCase):
    def setUp(self):
        self.volume = mounted.Volume(self, formatted=False)
        self.root = self.volume.root
        self.target = os.path.join(self.root, "mnt-here")
        os.mkdir(self.target)

    def refused(self, *words, says=(), env=None):
        """One line on standard error that begins with "kiseki: " and says what it should; nothing new on the disk."""
        before = self.everything()
        done = self.volume.run(*words, check=False, timeout=60, env=env)
        self.assertEqual(1, done.returncode, done.stdout + done.stderr)
        sentences = [line for line in done.stderr.splitlines() if line.startswith("kiseki: ")]
        self.assertEqual(1, len(sentences), done.stderr)
        for word in says:
            self.assertIn(word, sentences[0])
        self.assertFalse(os.path.ismount(self.target))
        self.assertEqual(before, self.everything(), "something was left behind")
        return sentences[0]

    def everything(self):
        return sorted(os.path.join(folder, name) for folder, folders, names in os.walk(self.root) for name in folders + names
                      if not name.startswith("log") and not name.endswith(("-shm", "-wal")))

    def mount_refused(self, *words, says=()):
        log = os.path.join(self.root, "log")
        self.refused("mount", *words, says=says)
        self.refused("mount", *words, "-d", "--log", log, says=says)

    def format(self, *flags):
        self.volume.run("format", self.volume.meta, "e2e", "--bucket", self.volume.objects, *flags)


class FormatRefusals(RefusalTest):
    def test_names_and_values(self):
        meta, bucket = self.volume.meta, ("--bucket", self.volume.objects)
        self.refused("format", meta, "No_Good", *bucket, says=("No_Good", "a-z"))
        self.refused("format", meta, "e2e", *bucket, "--block-size", "100K", says=("--block-size", "power of two"))
        self.refused("format", meta, "e2e", *bucket, "--block-size", "32K", says=("--block-size", "64K", "16M"))
        self.refused("format", meta, "e2e", *bucket, "--trash-days", "-1", says=("--trash-days",))
        self.refused("format", meta, "e2e", *bucket, "--capacity", "lots", says=("--capacity", "lots"))
        self.refused("format", meta, "e2e", *bucket, "--compress", "brotli", says=("--compress", "lz4"))
        self.refused("format", meta, "e2e", *bucket, "--storage", "gs", says=("gs", "file", "s3"))
        self.refused("format", meta, "e2e", *bucket, "--encrypt-rsa-key", "/dev/null", says=("--encrypt-rsa-key", "empty"))
        self.refused("format", meta, "e2e", *bucket, "--encrypt-rsa-key", __file__, says=("not an RSA private key",))
        self.refused("format", meta, "e2e", *bucket, "--encrypt-algo", "rot13", says=("--encrypt-algo", "chacha20-rsa"))
        self.refused("format", "nonsense://x", "e2e", *bucket, says=("nonsense",))
        self.refused("format", "just-a-path", "e2e", *bucket, says=("just-a-path", "sqlite3://PATH"))
        self.refused("format", meta, "e2e", *bucket, says=("KISEKI_TRASH_DAYS", "soon"), env={**os.environ, "KISEKI_TRASH_DAYS": "soon"})

    def test_a_bucket_that_is_no_directory(self):
        meta = self.volume.meta
        self.refused("format", meta, "e2e", "--bucket", "", says=("--bucket", "missing"))
        self.refused("format", meta, "e2e", "--bucket", "https://host/bucket", says=("https://host/bucket", "--storage"))
        self.refused("objbench", "https://host/bucket", says=("--storage",))
        self.refused("objbench", "", says=("empty", "ENDPOINT"))
        self.format()
        self.refused("config", meta, "--bucket", "https://host/bucket", "--yes", says=("--storage",))
        self.mount_refused(meta, self.target, "--bucket", "https://host/bucket", says=("--storage",))

    def test_places_that_cannot_be_written(self):
        blocker = os.path.join(self.root, "blocker")
        with open(blocker, "w"):
            pass
        self.refused("format", self.volume.meta, "e2e", "--bucket", blocker + "/objects/", says=(blocker,))
        self.refused("format", f"sqlite3://{blocker}/v.db", "e2e", "--bucket", self.volume.objects, says=(blocker,))
        self.refused("format", f"sqlite3://{self.root}/no/such/dir/v.db", "e2e", "--bucket", self.volume.objects, says=("no/such/dir",))

    def test_a_store_in_use(self):
        os.makedirs(self.volume.objects + "e2e/chunks")
        with open(self.volume.objects + "e2e/chunks/1", "w") as file:
            file.write("somebody's")
        self.refused("format", self.volume.meta, "e2e", "--bucket", self.volume.objects, says=("not empty", "chunks/1"))

    def test_a_full_disk(self):
        mounted.need(os.geteuid() == 0, "making a small disk takes root")
        small = os.path.join(self.root, "mnt-small")
        os.mkdir(small)
        mounted.run(["mount", "-t", "tmpfs", "-o", "size=8k", "tmpfs", small])
        self.addCleanup(subprocess.run, ["umount", "-l", small])
        self.refused("format", f"sqlite3://{small}/v.db", "e2e", "--bucket", self.volume.objects)
        self.assertEqual([], os.listdir(small))


class MountRefusals(RefusalTest):
    def test_no_volume(self):
        self.mount_refused(self.volume.meta, self.target, says=("format",))
        with sqlite3.connect(os.path.join(self.root, "empty.db")) as database:
            database.execute("create table unrelated(a)")
        database.close()
        self.mount_refused(f"sqlite3://{self.root}/empty.db", self.target, says=("format",))
        self.refused("status", self.volume.meta, says=("format",))
        self.refused("config", self.volume.meta, says=("format",))

    def test_the_command_that_makes_a_volume_is_one_for_a_shell(self):
        urls = [f"sqlite3://{self.root}/my volume.db"]
        if shutil.which("redis-server"):
            urls.append(redis.Server(self).url() + "?read-timeout=9s&write-timeout=9s")
        for url in urls:
            self.refused("status", url, says=(f"`kiseki format '{url}' NAME`",))

    def test_a_damaged_database(self):
        with open(self.volume.database, "wb") as file:
            file.write(b"SQLite this is not" * 1000)
        self.mount_refused(self.volume.meta, self.target, says=(self.volume.database,))

    def test_a_volume_of_the_future_or_not_for_us(self):
        self.format()
        for old, new, word in (('"MetaVersion": 1', '"MetaVersion": 2', "version"),
                               ('"Compression": "none"', '"Compression": "lzma"', "lzma"),
                               ('"MinClientVersion": "1.1.0-A"', '"MinClientVersion": "9.0.0"', "9.0.0")):
            with sqlite3.connect(self.volume.database) as database:
                text = database.execute("select value from jfs_setting where name='format'").fetchone()[0]
                text = text.decode() if isinstance(text, bytes) else text
                self.assertIn(old, text)
                database.execute("update jfs_setting set value=? where name='format'", (text.replace(old, new),))
            database.close()
            self.mount_refused(self.volume.meta, self.target, says=(word,))
            with sqlite3.connect(self.volume.database) as database:
                database.execute("update jfs_setting set value=? where name='format'", (text,))
            database.close()

    def test_mount_points(self):
        self.format()
        self.mount_refused(self.volume.meta, os.path.join(self.root, "absent"), says=("absent", "does not exist"))
        plain = os.path.join(self.root, "plain")
        with open(plain, "w"):
            pass
        self.mount_refused(self.volume.meta, plain, says=(plain, "not a directory"))
        self.mount_refused(self.volume.meta, "/", says=("/",))

    def test_a_mount_point_in_use(self):
        self.format()
        mount = self.volume.mount()
        self.mount_refused(self.volume.meta, mount.path, says=(mount.path, "in use"))
        with open(mount / "f", "w") as file:
            file.write("still there")

    def test_values(self):
        self.format()
        meta, at = self.volume.meta, self.target
        self.mount_refused(meta, at, "--buffer-size", "1M", says=("--buffer-size", "16M"))
        self.mount_refused(meta, at, "--attr-cache", "soon", says=("--attr-cache", "1h30m"))
        self.mount_refused(meta, at, "--root-squash", "nobody", says=("--root-squash", "UID:GID"))
        self.mount_refused(meta, at, "--atime-mode", "never", says=("--atime-mode", "noatime"))
        self.mount_refused(meta, at, "-o", "frobnicate", says=("frobnicate",))
        self.mount_refused(meta, at, "-o", "buffer-size=x", says=("buffer-size", "x"))
        self.mount_refused(meta, at, "--buffer-size", "1P", says=("TiB of buffers", "--buffer-size"))
        self.mount_refused(meta, at, "--overflow-dir", self.root, "--overflow-size", "1P", says=("overflow", "No space left"))
        self.mount_refused(meta, at, "--heartbeat", "0", says=("--heartbeat", "1s"))
        self.mount_refused(meta, at, "--metrics", "127.0.0.1", says=("--metrics", "HOST:PORT"))
        self.mount_refused(meta, "", says=("empty", "MOUNTPOINT"))
        self.mount_refused(meta, at, "--fuse-transport", "pigeon", says=("--fuse-transport", "auto"))
        self.mount_refused(meta, at, "--config", self.root + "/none.toml", says=("none.toml",))

    def test_configuration_files(self):
        self.format()
        file = os.path.join(self.root, "k.toml")
        for text, words in (("[mount]\nbufer-size = 1\n", ("mount.bufer-size", "unknown key")),
                            ("[mount]\nbuffer-size = \"1Q\"\n", ("mount.buffer-size", "1Q")),
                            ("[mont]\n", ("[mont]", "mount")), ("a = = 1\n", ("line 1",))):
            with open(file, "w") as out:
                out.write(text)
            self.mount_refused(self.volume.meta, self.target, "--config", file, says=(file, *words))
        self.mount_refused(self.volume.meta, self.target, "--config", self.root, says=(self.root, "directory"))

    def test_an_address_where_no_redis_listens(self):
        web = http.server.HTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler)
        self.addCleanup(web.server_close)
        self.addCleanup(web.shutdown)
        threading.Thread(target=web.serve_forever, daemon=True).start()
        self.refused("status", f"redis://127.0.0.1:{web.server_port}/1", says=(str(web.server_port), "protocol", "check host and port"))

    def test_too_few_open_files(self):
        self.format()
        short = ["sh", "-c", 'ulimit -n 16; exec "$0" "$@"', mounted.binary()]
        for words in (["status", self.volume.meta], ["mount", self.volume.meta, self.target]):
            done = subprocess.run([*short, *words], capture_output=True, text=True, timeout=60)
            self.assertEqual(1, done.returncode, done.stderr)
            self.assertIn("only 16 open files", done.stderr)

    def test_a_database_that_is_not_ours_to_write(self):
        mounted.need(os.geteuid() == 0, "becoming somebody else takes root")
        self.format()
        os.chmod(self.target, 0o777)
        done = subprocess.run(["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", mounted.binary(), "mount",
                               self.volume.meta, self.target], capture_output=True, text=True, timeout=60)
        self.assertEqual(1, done.returncode, done.stderr)
        self.assertIn("--read-only", done.stderr)

    def test_logs_that_cannot_be_written(self):
        self.format()
        self.refused("mount", self.volume.meta, self.target, "-d", "--log", "/proc/nowhere/log", says=("/proc/nowhere",))

    def test_an_unwritable_store_with_check_storage(self):
        self.format()
        blocker = os.path.join(self.root, "blocker")
        with open(blocker, "w"):
            pass
        self.mount_refused(self.volume.meta, self.target, "--bucket", blocker, "--check-storage", says=(blocker,))

    def test_umount_of_what_is_not_mounted(self):
        self.refused("umount", self.target, says=(self.target, "not a mount point"))

    def test_umount_of_what_is_no_volume(self):
        self.refused("umount", "/proc", says=("/proc", "proc", "not a volume"))
        self.refused("mount", "-o", "remount,ro", "/proc", says=("/proc", "not a volume"))
        self.refused("mount", "-o", "remount,ro", self.target, says=(self.target, "not a mount point"))
        self.assertTrue(os.path.ismount("/proc"))


class WarningTest(unittest.TestCase):
    def test_flags_without_effect_warn_once_and_only_when_given(self):
        volume = mounted.Volume(self)
        mount = volume.mount("--writeback", "--cache-eviction", "lru", foreground=True)
        told = [line for line in mount.log_text().splitlines() if "no_effect" in line]
        self.assertEqual(1, len(told), mount.log_text())
        self.assertIn("--writeback", told[0])
        self.assertIn("--cache-eviction", told[0])

    def test_flags_that_a_remount_does_not_change(self):
        mounted.need(os.geteuid() == 0, "remounting takes root")
        volume = mounted.Volume(self)
        mount = volume.mount()
        told = volume.run("mount", "-o", "remount,noexec,buffer-size=1G", mount.path).stderr
        self.assertIn("mount.remount_keeps", told)
        self.assertIn("--buffer-size", told)

    def test_a_directory_of_objects_that_is_gone(self):
        volume = mounted.Volume(self)
        os.rename(volume.objects, volume.objects.rstrip("/") + ".elsewhere")
        mount = volume.mount(foreground=True)
        self.assertIn("mount.no_objects", mount.log_text())


if __name__ == "__main__":
    mounted.main()
