#!/usr/bin/env python3
"""The verbs that speak about a volume, as a person or a script sees them: words, JSON, exit codes."""
import json
import os
import sqlite3
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import mounted  # noqa: E402


def setting(volume):
    """The format row as it lies in the database."""
    with sqlite3.connect(volume.database) as database:
        text = database.execute("select value from jfs_setting where name='format'").fetchone()[0]
    return json.loads(text)


class HelpTest(unittest.TestCase):
    def run_kiseki(self, *words):
        return subprocess.run([mounted.binary(), *words], capture_output=True, text=True, timeout=30)

    def test_help_teaches(self):
        for words in ([], ["--help"], ["mount", "--help"], ["-h", "format"], ["status", "-h"], ["info", "-help"], ["help"], ["h"], ["help", "mount"]):
            done = self.run_kiseki(*words)
            self.assertEqual(0, done.returncode, words)
            self.assertIn("USAGE", done.stdout)
        self.assertIn("--buffer-size", self.run_kiseki("mount", "--help").stdout)
        self.assertEqual(self.run_kiseki("mount", "--help").stdout, self.run_kiseki("help", "mount").stdout)
        self.assertEqual(3, self.run_kiseki("help", "frobnicate").returncode)

    def test_version(self):
        for words in (["version"], ["--version"], ["-V"], ["mount", "-V"]):
            done = self.run_kiseki(*words)
            self.assertEqual(0, done.returncode)
            self.assertTrue(done.stdout.startswith("kiseki version "), done.stdout)

    def test_exit_codes_of_wrong_words(self):
        self.assertEqual(3, self.run_kiseki("frobnicate").returncode)
        self.assertIn("No help topic for 'frobnicate'", self.run_kiseki("frobnicate").stderr)
        few = self.run_kiseki("format", "sqlite3://x.db")
        self.assertEqual(1, few.returncode)
        self.assertIn("META-URL NAME", few.stdout)
        self.assertEqual(1, self.run_kiseki("status", "--nope", "x").returncode)


class FormatTest(unittest.TestCase):
    def test_what_a_new_volume_is(self):
        volume = mounted.Volume(self, trash_days=1)
        self.assertEqual("e2e", setting(volume)["Name"])
        self.assertEqual(volume.objects, setting(volume)["Bucket"])
        self.assertEqual(["juicefs_uuid"], os.listdir(os.path.join(volume.objects, "e2e")), "tests of the store are gone")
        with open(os.path.join(volume.objects, "e2e", "juicefs_uuid")) as file:
            self.assertEqual(setting(volume)["UUID"], file.read())

    def test_flags_before_and_after_and_from_outside(self):
        volume = mounted.Volume(self, formatted=False)
        file = os.path.join(volume.root, "k.toml")
        with open(file, "w") as out:
            out.write("[format]\ninodes = 1000\nblock-size = \"1M\"\n")
        volume.run("--trash-days=3", "format", "-capacity", "2", volume.meta, "--config", file, "e2e", "--bucket", volume.objects,
                   env={**os.environ, "KISEKI_INODES": "2000"})
        made = setting(volume)
        self.assertEqual((3, 2 << 30, 2000, 1024), (made["TrashDays"], made["Capacity"], made["Inodes"], made["BlockSize"]))

    def test_a_database_without_a_volume_gets_one(self):
        volume = mounted.Volume(self, formatted=False)
        mounted.need(volume.meta.startswith("sqlite3://"), "files are SQLite's")
        for name, script in (("empty.db", ""), ("others.db", "create table unrelated(a)")):
            path = os.path.join(volume.root, name)
            with sqlite3.connect(path) as database:
                database.executescript(script)
            open(path, "a").close()
            volume.run("format", f"sqlite3://{path}", "e2e-" + name[0], "--bucket", volume.objects)
            self.assertEqual("e2e-" + name[0], json.loads(volume.run("config", f"sqlite3://{path}").stdout)["Name"])

    def test_a_bucket_that_is_relative_becomes_absolute(self):
        volume = mounted.Volume(self, formatted=False)
        subprocess.run([mounted.binary(), "format", "sqlite3://meta.db", "e2e", "--bucket", "objects"], cwd=volume.root, check=True,
                       capture_output=True)
        self.assertEqual(volume.objects, setting(volume)["Bucket"])

    def test_again_changes_only_what_is_given(self):
        volume = mounted.Volume(self, trash_days=1)
        before = setting(volume)
        volume.run("format", volume.meta, "e2e", "--trash-days", "5")
        after = setting(volume)
        self.assertEqual({**before, "TrashDays": 5}, after)
        volume.run("format", volume.meta, "e2e", "--trash-days", "9", "--no-update")
        self.assertEqual(after, setting(volume))
        refused = volume.run("format", volume.meta, "e2e", "--block-size", "1M", check=False)
        self.assertEqual(1, refused.returncode)
        self.assertIn("block size", refused.stderr)
        self.assertEqual(after, setting(volume))


class ConfigTest(unittest.TestCase):
    def test_shows_and_changes(self):
        volume = mounted.Volume(self, trash_days=1)
        shown = json.loads(volume.run("config", volume.meta).stdout)
        self.assertEqual(setting(volume), shown)
        done = volume.run("config", volume.meta, "--capacity", "1", "--trash-days", "7")
        self.assertEqual("  capacity: 0 B -> 1.0 GiB\ntrash-days: 1 -> 7\n", done.stdout)
        self.assertEqual((1 << 30, 7), (setting(volume)["Capacity"], setting(volume)["TrashDays"]))
        self.assertEqual("Nothing changed.\n", volume.run("config", volume.meta, "--trash-days", "7").stdout)

    def test_asks_before_what_could_hurt(self):
        volume = mounted.Volume(self, trash_days=1)
        refused = volume.run("config", volume.meta, "--trash-days", "0", check=False)
        self.assertEqual(1, refused.returncode)
        self.assertIn("Proceed anyway? [y/N]: ", refused.stdout)
        self.assertIn("Aborted.", refused.stderr)
        self.assertEqual(1, setting(volume)["TrashDays"])
        agreed = subprocess.run([mounted.binary(), "config", volume.meta, "--trash-days", "0"], input="y\n", text=True, capture_output=True)
        self.assertEqual(0, agreed.returncode, agreed.stderr)
        self.assertEqual(0, setting(volume)["TrashDays"])
        volume.run("config", volume.meta, "--trash-days", "3", "--yes")

    def test_who_is_shut_out_may_undo_it(self):
        volume = mounted.Volume(self)
        volume.run("config", volume.meta, "--max-client-version", "1.0.0", "--yes")
        self.assertIn("1.0.0", volume.run("status", volume.meta, check=False).stderr)
        self.assertEqual("1.0.0", json.loads(volume.run("config", volume.meta).stdout)["MaxClientVersion"])
        volume.run("config", volume.meta, "--max-client-version", "")
        volume.run("status", volume.meta)

    def test_secrets_are_hidden_and_stored_encrypted(self):
        volume = mounted.Volume(self)
        volume.run("config", volume.meta, "--access-key", "me", "--secret-key", "hush-hush", "--yes")
        for verb in ("config", "status"):
            self.assertNotIn("hush-hush", volume.run(verb, volume.meta).stdout)
        self.assertNotIn("hush-hush", json.dumps(setting(volume)))
        for more in ((), ("--secret-key", "hush-again", "--trash-days", "3")):
            volume.run("config", volume.meta, "--encrypt-secret", *more, "--yes")
            self.assertTrue(setting(volume)["KeyEncrypted"])
            self.assertNotIn("hush", json.dumps(setting(volume)))
            self.assertEqual("removed", json.loads(volume.run("config", volume.meta).stdout)["SecretKey"], "it can be read again")


class StatusTest(unittest.TestCase):
    def test_shape(self):
        volume = mounted.Volume(self, trash_days=1)
        status = volume.status()
        self.assertEqual(["Setting", "Sessions", "Stat"], list(status))
        self.assertEqual([], status["Sessions"])
        self.assertEqual({"UsedSpace", "AvailableSpace", "UsedInodes", "AvailableInodes"}, set(status["Stat"]))
        self.assertEqual(1, volume.run("status", volume.meta, "-s", "99", check=False).returncode)

    def test_sessions_and_what_is_left_of_deleted_files(self):
        volume = mounted.Volume(self, trash_days=1)
        mount = volume.mount()
        with open(mount / "doomed", "wb") as file:
            file.write(b"x" * 5000)
        os.unlink(mount / "doomed")
        session = volume.status()["Sessions"][0]
        self.assertEqual(mount.path, session["MountPoint"])
        self.assertIn(session["ProcessID"], mount.pids())
        one = json.loads(volume.run("status", volume.meta, "--session", str(session["Sid"])).stdout)
        self.assertEqual(session["Sid"], one["Sid"])
        more = json.loads(volume.run("status", "-m", volume.meta).stdout)["Stat"]
        self.assertEqual((1, 5000), (more["TrashFileCount"], more["TrashFileSize"]))


class InfoTest(mounted.MountedTest):
    def test_a_file(self):
        with open(self.path("f"), "wb") as file:
            file.write(b"12345")
        done = self.volume.run("info", self.path("f"))
        inode = os.stat(self.path("f")).st_ino
        lines = done.stdout.splitlines()
        self.assertEqual([f"{self.path('f')} :", f"  inode: {inode}", "  files: 1", "   dirs: 0", " length: 5 Bytes",
                          "   size: 4.00 KiB (4096 Bytes)", "   path: /f"], lines[:7], done.stdout + done.stderr)
        self.assertIn(" objects:", lines)
        self.assertRegex(done.stdout, r"\| +0 \| e2e/chunks/0/0/\d+_0_5 \| +5 \| +0 \| +5 \| +0 \|")
        self.assertIn(" chunks:", self.volume.run("info", "--raw", self.path("f")).stdout)

    def test_a_tree(self):
        os.makedirs(self.path("d/e"))
        for name in ("d/1", "d/e/2"):
            with open(self.path(name), "w") as file:
                file.write("x")
        done = self.volume.run("info", "-r", "--strict", self.path("d"))
        self.assertIn("  files: 2\n   dirs: 2\n", done.stdout)

    def test_elsewhere_is_only_told(self):
        done = self.volume.run("info", self.volume.root)
        self.assertIn("not inside a mounted volume", done.stderr)


class LimitsTest(unittest.TestCase):
    def test_a_new_limit_reaches_mounts_that_run(self):
        """README: change a living volume: its mounts follow."""
        import time
        volume = mounted.Volume(self, format_flags=("--block-size", "256K"))
        mount = volume.mount("--heartbeat", "1s")
        volume.run("config", volume.meta, "--upload-limit", "8")
        body, took, deadline = os.urandom(1 << 20), 0.0, time.monotonic() + 30
        while took < 0.6:  # three blocks at 850 KB/s; the fourth goes on credit
            self.assertLess(time.monotonic(), deadline, "uploads are as fast as ever")
            began = time.monotonic()
            with open(mount / "f", "wb") as file:
                file.write(body)
                os.fsync(file.fileno())
            took = time.monotonic() - began


    def test_another_bucket_reaches_mounts_that_run(self):
        """README: change a living volume: its mounts follow."""
        import shutil
        import time
        volume = mounted.Volume(self)
        mount = volume.mount("--heartbeat", "1s")
        with open(mount / "before", "wb") as file:
            file.write(b"before")
        moved = os.path.join(volume.root, "moved")
        shutil.copytree(volume.objects, moved)
        volume.run("config", volume.meta, "--bucket", moved, "--yes")

        def objects():
            return sum(len(names) for _, _, names in os.walk(moved))

        had, deadline, number = objects(), time.monotonic() + 30, 0
        while objects() == had:  # the next heartbeat reads the settings
            self.assertLess(time.monotonic(), deadline, "blocks still go where they went")
            number += 1
            with open(mount / f"after{number}", "wb") as file:
                file.write(b"after")
            time.sleep(0.1)
        shutil.rmtree(volume.objects)
        other = volume.mount()
        for name, body in (("before", b"before"), (f"after{number}", b"after")):
            with open(other / name, "rb") as file:
                self.assertEqual(body, file.read())


class SecretsTest(unittest.TestCase):
    def test_passwords_do_not_stay_on_the_command_line(self):
        """What ps(1) shows to everybody."""
        import socket
        import time
        silent = socket.socket()
        self.addCleanup(silent.close)
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"redis://:Pa55word@127.0.0.1:{silent.getsockname()[1]}/1"
        for words in (["status", url], ["mount", url, "/mnt"], ["format", url, "vol", "--secret-key", "S3cret", "--session-token=T0ken"]):
            waiting = subprocess.Popen([mounted.binary(), *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            deadline = time.monotonic() + 10
            while True:
                with open(f"/proc/{waiting.pid}/cmdline") as file:
                    shown = file.read()
                if "********" in shown:
                    break
                self.assertLess(time.monotonic(), deadline, shown)
                time.sleep(0.01)
            waiting.kill()
            waiting.wait()
            self.assertIn(words[0], shown)
            for secret in ("Pa55word", "S3cret", "T0ken"):
                self.assertNotIn(secret, shown)


if __name__ == "__main__":
    mounted.main()
