#!/usr/bin/env python3
"""An ordinary user mounts through fusermount3; where /dev/fuse is closed to users, the refusal says so.

Runs as root and becomes nobody inside a mount namespace of its own, where /dev/fuse is a node with the wanted mode; the
machine's own /dev/fuse stays as it is.
"""
import os
import shutil
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import mounted  # noqa: E402

NOBODY = 65534
AS_NOBODY = """
set -e
mount -t tmpfs -o dev,mode=755 tmpfs "$ROOT/device"
mknod "$ROOT/device/fuse" c 10 229
chmod "$MODE" "$ROOT/device/fuse"
mount --bind "$ROOT/device/fuse" /dev/fuse
exec setpriv --reuid 65534 --regid 65534 --clear-groups env HOME="$ROOT/home" sh -c "$SCRIPT"
"""
MOUNT_AND_USE = """
set -e
cd "$ROOT/home"
"$KISEKI" format sqlite3://$ROOT/home/meta.db users --storage file --bucket $ROOT/home/objects/ --trash-days 0
"$KISEKI" mount sqlite3://$ROOT/home/meta.db "$ROOT/home/mnt" -d --no-usage-report --log "$ROOT/home/log" \
    --cache-dir "$ROOT/home/cache"
echo words > mnt/file
mkdir mnt/dir
mv mnt/file mnt/dir/
test "$(cat mnt/dir/file)" = words
test "$(stat -c %u mnt/dir/file)" = 65534
fusermount3 -u mnt
"$KISEKI" mount sqlite3://$ROOT/home/meta.db "$ROOT/home/mnt" -d --no-usage-report --log "$ROOT/home/log" \
    --cache-dir "$ROOT/home/cache"
test "$(cat mnt/dir/file)" = words
"$KISEKI" umount mnt
! mountpoint -q mnt
echo all well
"""


class OrdinaryUserTest(unittest.TestCase):
    def setUp(self):
        mounted.need(os.geteuid() == 0, "only root can become nobody")
        mounted.need_tool("unshare", "setpriv", "fusermount3")
        self.volume = mounted.Volume(self, formatted=False)
        self.root = self.volume.root
        for name in ("device", "home", "home/mnt"):
            os.mkdir(os.path.join(self.root, name))
        for name in ("home", "home/mnt"):
            os.chown(os.path.join(self.root, name), NOBODY, NOBODY)
        # The build may lie where users cannot look; a copy of the binary can be run by anyone.
        self.client = os.path.join(self.root, "client")
        shutil.copy(shutil.which(mounted.binary()), self.client)
        os.chmod(self.client, 0o755)

    def as_nobody(self, mode, script):
        environment = {**os.environ, "ROOT": self.root, "MODE": mode, "SCRIPT": script, "KISEKI": self.client}
        works = subprocess.run(["unshare", "-m", "true"], capture_output=True)
        mounted.need(works.returncode == 0, "mount namespaces are forbidden here")
        return subprocess.run(["unshare", "-m", "sh", "-c", AS_NOBODY], env=environment, capture_output=True, text=True, timeout=120)

    def test_mounts_uses_and_unmounts(self):
        done = self.as_nobody("666", MOUNT_AND_USE)
        self.assertEqual(0, done.returncode, done.stdout + done.stderr)
        self.assertIn("all well", done.stdout)

    def test_a_closed_device_is_named(self):
        done = self.as_nobody("600", MOUNT_AND_USE)
        self.assertNotEqual(0, done.returncode)
        self.assertIn("/dev/fuse", done.stdout + done.stderr)


if __name__ == "__main__":
    mounted.main()
